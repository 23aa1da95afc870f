"""Faults, warnings and advice on a mapping, gathered until all are known."""

from __future__ import annotations

import difflib
import enum
from collections.abc import Iterable
from typing import Final

import attrs

from crmsync.models.checks import Fix, MappingProblem
from crmsync.models.problems import Problem

_SHOWN: Final = 8
_SURE: Final = 0.8


class MappingCode(enum.StrEnum):
    """The stable codes of what `compile_mapping`, `check_mapping` and `schema_drift` find."""

    UNKNOWN_FIELD = "unknown_field"
    DUPLICATE_TARGET = "duplicate_target"
    NOT_WRITABLE = "not_writable"
    NOT_CREATEABLE = "not_createable"
    CREATE_ONLY = "create_only"
    UNREADABLE = "unreadable"
    POLICY_UNFIT = "policy_unfit"
    INCOMPATIBLE_TYPES = "incompatible_types"
    VALUE_MAP_NOT_ONE_TO_ONE = "value_map_not_one_to_one"
    UNKNOWN_OPTION = "unknown_option"
    ENFORCEMENT_CONTRADICTS_DIRECTION = "enforcement_contradicts_direction"
    ARCHIVE_FIELD_MISSING = "archive_field_missing"
    REQUIRED_NOT_COVERED = "required_not_covered"
    MATCH_INCOMPLETE = "match_incomplete"
    CUSTOM_MISSING = "custom_missing"
    CUSTOM_UNUSED = "custom_unused"
    DEFAULT_UNUSABLE = "default_unusable"
    NO_SEPARATOR = "no_separator"
    NAMESPACE_UNUSED = "namespace_unused"
    NOTHING_MAPPED = "nothing_mapped"
    SHORTER = "shorter"
    LESS_PRECISE = "less_precise"
    LOSSY_TYPES = "lossy_types"
    DIRECTIVE_UNFIT = "directive_unfit"
    UNKNOWN_NORMALISER = "unknown_normaliser"
    NOT_INVERTIBLE = "not_invertible"
    OPTIONS_DIFFER = "options_differ"
    NOT_UNIQUE = "not_unique"
    BLANK_REFUSED = "blank_refused"
    FIELD_GONE = "field_gone"
    FIELD_RENAMED = "field_renamed"
    TYPE_CHANGED = "type_changed"
    LENGTH_SHRUNK = "length_shrunk"
    SCALE_SHRUNK = "scale_shrunk"
    OPTIONS_REMOVED = "options_removed"
    PERMISSION_LOST = "permission_lost"
    NOW_REQUIRED = "now_required"
    NOW_UNIQUE = "now_unique"
    UNKNOWN_REGION = "unknown_region"
    UNKNOWN_ZONE = "unknown_zone"
    UNIT_UNFIT = "unit_unfit"
    SETTING_UNUSED = "setting_unused"
    MAY_BE_MASKED = "may_be_masked"
    COMPUTED_NAME = "computed_name"
    COMPUTED_CYCLE = "computed_cycle"
    COMPUTED_TYPE = "computed_type"
    COMPUTED_KEY = "computed_key"
    COMPUTED_INPUT = "computed_input"
    COMPUTED_UNUSED = "computed_unused"
    NO_INVERSE = "no_inverse"
    INVERSE_WRONG = "inverse_wrong"
    RULE_UNFIT = "rule_unfit"
    RULE_UNUSED = "rule_unused"


@attrs.define(slots=True)
class Findings:
    """What is wrong (``faults``), what works less well than its author may think (``warnings``), and what is good to
    know (``advice``).
    """

    faults: list[Problem] = attrs.field(factory=list)
    warnings: list[Problem] = attrs.field(factory=list)
    advice: list[Problem] = attrs.field(factory=list)

    def fault(self, path: str, code: MappingCode, message: str, remedy: str, fix: Fix | None = None) -> None:
        """Note something that the mapping cannot work with."""
        self.faults.append(MappingProblem(path, code, message, remedy, fix))

    def warn(self, path: str, code: MappingCode, message: str, remedy: str, fix: Fix | None = None) -> None:
        """Note something that does not hinder a sync."""
        self.warnings.append(MappingProblem(path, code, message, remedy, fix))

    def advise(self, path: str, code: MappingCode, message: str, remedy: str, fix: Fix | None = None) -> None:
        """Note something that is only worth knowing."""
        self.advice.append(MappingProblem(path, code, message, remedy, fix))


def only_name_like(name: str, known: Iterable[str]) -> str | None:
    """The one name that another was surely meant to be: the same but for case and joints, or the only near one."""
    by_key = {_key(each): each for each in known}
    if _key(name) in by_key:
        return by_key[_key(name)]
    near = difflib.get_close_matches(_key(name), by_key, n=2, cutoff=_SURE)
    return by_key[near[0]] if len(near) == 1 else None


def closest(name: str, known: Iterable[str]) -> str:
    """A remedy for a name that is not known: the names most like it, or what there is."""
    names = list(known)
    if not names:
        return "the object offers no fields; look at the permissions of the connected user"
    by_key = {_key(each): each for each in names}
    if _key(name) in by_key:
        return f"did you mean {by_key[_key(name)]!r}?"
    near = [by_key[key] for key in difflib.get_close_matches(_key(name), by_key, n=3, cutoff=0.6)]
    if near:
        return "did you mean " + " or ".join(repr(each) for each in near) + "?"
    rest = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return "there are " + ", ".join(repr(each) for each in sorted(names)[:_SHOWN]) + rest


def _key(name: str) -> str:
    """What is left of a name without its case, its joints and Salesforce's mark of custom fields."""
    return "".join(char for char in name.casefold().removesuffix("__c") if char.isalnum())
