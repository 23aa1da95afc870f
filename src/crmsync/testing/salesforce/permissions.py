"""What a user may see and do: field-level security and object permissions, as a profile sets them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from attrs import define, evolve, field, frozen

if TYPE_CHECKING:
    from crmsync.testing.salesforce.schema import FieldDef, ObjectDef
    from crmsync.testing.salesforce.store import Table

_ALL: Final = "crud"


def _names(values: object) -> frozenset[str]:
    if isinstance(values, str) or not hasattr(values, "__iter__"):
        raise TypeError("a list of names such as 'Contact.Email' is needed")
    return frozenset(str(value).lower() for value in values)


@frozen(kw_only=True)
class Profile:
    """What is taken from a user who else may do everything.

    :param hidden: fields that the user does not see, such as ``"Contact.HasOptedOutOfEmail"``.
    :param read_only: fields that the user sees and cannot write.
    :param view_encrypted: whether the user sees encrypted fields in clear. Without that they are asterisks ("Classic
        Encryption for Custom Fields", Security Guide).
    :param objects: what the user may do with records of an object, by its name: some of the letters of ``"crud"``,
        create, read, update, delete. Without read, the object is not there.
    """

    hidden: frozenset[str] = field(factory=frozenset, converter=_names)
    read_only: frozenset[str] = field(factory=frozenset, converter=_names)
    view_encrypted: bool = True
    objects: Mapping[str, str] = field(factory=dict)

    def seen(self, definition: ObjectDef) -> ObjectDef | None:
        """Return the object as the user sees it; ``None``: not at all."""
        letters = {name.lower(): letters for name, letters in self.objects.items()}.get(definition.name.lower(), _ALL)
        if "r" not in letters:
            return None
        fields = {
            name: self._field(definition, entry)
            for name, entry in definition.fields.items()
            if f"{definition.name}.{name}".lower() not in self.hidden
        }
        return evolve(
            definition,
            fields=fields,
            createable=definition.createable and "c" in letters,
            updateable=definition.updateable and "u" in letters,
            deletable=definition.deletable and "d" in letters,
        )

    def _field(self, definition: ObjectDef, entry: FieldDef) -> FieldDef:
        if entry.type == "encryptedstring" and not self.view_encrypted:
            entry = evolve(entry, masked=True)
        if f"{definition.name}.{entry.name}".lower() not in self.read_only:
            return entry
        return evolve(entry, createable=False, updateable=False)


@define
class Permissions:
    """The profiles of an org's users. A user without one may do everything."""

    tables: Mapping[str, Table]
    _profiles: dict[str, Profile] = field(factory=dict)
    _views: dict[str, dict[str, Table]] = field(factory=dict, repr=False)

    def grant(self, user_id: str, profile: Profile | None) -> None:
        """Give a user a profile, or with ``None`` everything.

        :raises ValueError: the profile names an object or field that the org has not, or an unknown letter.
        """
        self._views.pop(user_id, None)
        if profile is None:
            self._profiles.pop(user_id, None)
            return
        self._require_known(profile)
        self._profiles[user_id] = profile

    def tables_of(self, user_id: str) -> Mapping[str, Table]:
        """Return the tables that a user sees, as the user sees them. They are for reading."""
        profile = self._profiles.get(user_id)
        if profile is None:
            return self.tables
        view = self._views.get(user_id)
        if view is None:
            seen = {name: profile.seen(table.definition) for name, table in self.tables.items()}
            view = {name: self.tables[name].seen_as(known) for name, known in seen.items() if known is not None}
            self._views[user_id] = view
        return view

    def _require_known(self, profile: Profile) -> None:
        fields = {f"{name}.{entry}".lower() for name, table in self.tables.items() for entry in table.definition.fields}
        unknown = sorted((profile.hidden | profile.read_only) - fields)
        unknown += sorted(set(map(str.lower, profile.objects)) - {name.lower() for name in self.tables})
        unknown += [letters for letters in profile.objects.values() if not set(letters) <= set(_ALL)]
        if unknown:
            raise ValueError(f"unknown in a profile: {', '.join(unknown)}")
