"""What can be known to be wrong with the settings of a field mapping that say how its values are meant."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from crmsync.mapping.drafts import Draft
from crmsync.mapping.findings import Findings, MappingCode, closest
from crmsync.mapping.phones import known_regions
from crmsync.mapping.zones import find_zone
from crmsync.models.mappings import Enforcement, UnknownOption
from crmsync.models.schema import FieldSchema, FieldType, Unit

_USED_BY: Final[Mapping[str, frozenset[FieldType]]] = {
    "region": frozenset({FieldType.PHONE}),
    "zone": frozenset({FieldType.DATE, FieldType.DATETIME}),
    "currency": frozenset({FieldType.CURRENCY}),
    "references": frozenset({FieldType.REFERENCE, FieldType.ID}),
    "case_fold": frozenset({FieldType.TEXT, FieldType.PICKLIST, FieldType.MULTI_PICKLIST, FieldType.TAGS}),
}
"""The types of value that a setting says something about."""


def check_settings(draft: Draft, findings: Findings) -> None:
    """Region, zone, units, currency, and what the lists of options have to do with the value maps.

    :raises MissingExtraError: a region is named and the extra ``phone`` is not installed.
    """
    for setting, kinds in _USED_BY.items():
        if getattr(draft.mapping, setting) and draft.kind not in kinds:
            message = f"{setting} says nothing about a {draft.kind} field"
            findings.warn(draft.path(setting), MappingCode.SETTING_UNUSED, message, "leave it out")
    _check_region(draft, findings)
    _check_zone(draft, findings)
    _check_units(draft, findings)
    _check_fallback(draft, findings)
    _check_names(draft, findings)


def _check_region(draft: Draft, findings: Findings) -> None:
    region = draft.mapping.region
    if region and draft.kind is FieldType.PHONE and region not in known_regions():
        message = f"there is no region {region!r}"
        remedy = "name a country by its two letters, such as DE or US"
        findings.fault(draft.path("region"), MappingCode.UNKNOWN_REGION, message, remedy)


def _check_zone(draft: Draft, findings: Findings) -> None:
    zone = draft.mapping.zone
    if zone and find_zone(zone) is None:
        remedy = (
            "name a zone of the IANA time zone database, such as Europe/Berlin"
            " (a system that comes without that database needs `pip install tzdata`)"
        )
        findings.fault(draft.path("zone"), MappingCode.UNKNOWN_ZONE, f"there is no time zone {zone!r}", remedy)


def _check_units(draft: Draft, findings: Findings) -> None:
    for setting in ("unit", "crm_unit"):
        unit: Unit | None = getattr(draft.mapping, setting)
        if unit is None:
            continue
        meant = FieldType.DURATION if unit.of_time else FieldType.PERCENT
        if draft.kind is not meant:
            message = f"{unit} is a unit of a {meant}, and the values are of type {draft.kind}"
            remedy = f'set field_type = "{meant}", or leave the unit out'
            findings.fault(draft.path(setting), MappingCode.UNIT_UNFIT, message, remedy)


def _check_fallback(draft: Draft, findings: Findings) -> None:
    mapping, path = draft.mapping, draft.path("fallback_option")
    falls = mapping.unknown_option is UnknownOption.FALLBACK
    if mapping.fallback_option and not falls:
        message = "the fallback option is never used"
        findings.warn(path, MappingCode.SETTING_UNUSED, message, 'set unknown_option = "fallback"')
    listed = [field for field in _targets(draft) if field.options]
    if falls and not mapping.fallback_option:
        remedy = "name the option that is to stand for values that the list lacks"
        findings.fault(path, MappingCode.UNKNOWN_OPTION, "unknown_option is fallback, and none is named", remedy)
    elif falls and listed and not any(mapping.fallback_option in field.options for field in listed):
        message = f"{listed[0].name!r} has no option {mapping.fallback_option!r}"
        findings.fault(path, MappingCode.UNKNOWN_OPTION, message, closest(mapping.fallback_option, listed[0].options))


def _targets(draft: Draft) -> tuple[FieldSchema, ...]:
    ends = ((draft.remote, draft.to_crm), (draft.local, draft.from_crm))
    return tuple(field for field, enforcement in ends if enforcement is not Enforcement.OFF)


def _check_names(draft: Draft, findings: Findings) -> None:
    mapping = draft.mapping
    if mapping.case_fold:
        for setting in ("value_map", "crm_value_map"):
            names: Mapping[str, str] = getattr(mapping, setting)
            if len({name.casefold() for name in names}) < len(names):
                message = "two values differ only in case, which case_fold ignores"
                remedy = "name each value once, or leave case_fold out"
                findings.fault(draft.path(setting), MappingCode.VALUE_MAP_NOT_ONE_TO_ONE, message, remedy)
    if draft.local not in _targets(draft) or not draft.local.restricted or not draft.local.options:
        return
    for name in sorted(set(mapping.crm_value_map.values()) - set(draft.local.options)):
        message = f"{draft.local.name!r} has no option {name!r}"
        remedy = closest(name, draft.local.options)
        findings.fault(draft.path("crm_value_map"), MappingCode.UNKNOWN_OPTION, message, remedy)
