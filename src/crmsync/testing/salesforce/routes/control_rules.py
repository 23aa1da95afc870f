"""Rules and permissions, as the control API sets them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from crmsync.testing.salesforce.permissions import Profile
from crmsync.testing.salesforce.rules import DuplicateRule, ValidationRule, matches, required_when

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from crmsync.testing.salesforce.org import SalesforceOrg

_KINDS: Final[Mapping[str, Callable[..., ValidationRule]]] = {"required": required_when, "matches": matches}


def set_rules(org: SalesforceOrg, body: Mapping[str, Any]) -> dict[str, Any]:
    """Add rules; with ``clear`` those before go.

    ``validation`` [{rule: "required", object, field, when, equals, message}, {rule: "matches", object, field, pattern,
    message}]; ``duplicates`` [{object, fields, allow, name, on_update, message}]; ``triggers`` [{object, field, do,
    length}].

    :raises ValueError: a rule is unknown, or for a field that the org has not.
    """
    fresh = [_validation(org, each) for each in body.get("validation", ())]
    duplicates = [_duplicates(org, each) for each in body.get("duplicates", ())]
    triggers = [dict(each) for each in body.get("triggers", ())]
    if body.get("clear"):
        org.rules.clear()
    for each in triggers:
        name, field = _known(org, each.pop("object"), each.pop("field"))
        org.rules.rewrite(name, field, each.pop("do"), **each)
    org.rules.validation += fresh
    org.rules.duplicates += duplicates
    return {}


def _known(org: SalesforceOrg, object_name: str, field_name: str) -> tuple[str, str]:
    definition = org.table(object_name).definition
    found = definition.find(field_name)
    if found is None:
        raise ValueError(f"{definition.name} has no field {field_name}")
    return definition.name, found.name


def _validation(org: SalesforceOrg, body: Mapping[str, Any]) -> ValidationRule:
    given = dict(body)
    make = _KINDS.get(given.pop("rule"))
    if make is None:
        raise ValueError(f"no such rule; there are {', '.join(_KINDS)}")
    name, field = _known(org, given.pop("object"), given.pop("field"))
    if given.get("when") is not None:
        _, given["when"] = _known(org, name, given["when"])
    return make(name, field, **given)


def _duplicates(org: SalesforceOrg, body: Mapping[str, Any]) -> DuplicateRule:
    given = dict(body)
    name = org.table(given.pop("object")).name
    fields = [_known(org, name, each)[1] for each in given.pop("fields", ("Email",))]
    return DuplicateRule(object_name=name, fields=fields, **given)


def set_permissions(org: SalesforceOrg, body: Mapping[str, Any]) -> dict[str, Any]:
    """Give the ``user``, by default the API's, a profile of what is ``hidden``, ``read_only`` and open by ``objects``.

    :raises ValueError: the profile names what the org has not.
    """
    given = dict(body)
    user = given.pop("user", org.user_id)
    org.set_profile(user, Profile(**given) if given else None)
    return {}
