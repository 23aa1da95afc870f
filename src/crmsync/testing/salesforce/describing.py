"""Describe results: the definitions of :mod:`.schema` with all the keys that a real org's describe has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from crmsync.testing.salesforce.schema import COMPOUND_TYPES, ID_TYPES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from crmsync.testing.salesforce.schema import FieldDef, ObjectDef

_UNGROUPED: Final = frozenset({"double", "currency", "percent", "address", "location", "datetime", "multipicklist"})
_UNAGGREGATED: Final = frozenset({"boolean", "address", "location"})
_BYTES_A_CHARACTER: Final = 3


def describe_field(field: FieldDef) -> dict[str, Any]:
    """Return the 57 keys of a field's describe."""
    return {
        "aggregatable": field.type not in _UNAGGREGATED and not field.is_long_text,
        "aiPredictionField": False,
        "autoNumber": False,
        "byteLength": field.length if field.type in ID_TYPES else field.length * _BYTES_A_CHARACTER,
        "calculated": False,
        "calculatedFormula": None,
        "cascadeDelete": False,
        "caseSensitive": field.case_sensitive,
        "compoundFieldName": field.part_of,
        "controllerName": field.controller,
        "createable": field.createable,
        "custom": field.custom,
        "defaultValue": field.default,
        "defaultValueFormula": None,
        "defaultedOnCreate": field.defaulted_on_create,
        "dependentPicklist": field.controller is not None,
        "deprecatedAndHidden": False,
        "digits": 8 if field.type == "int" else 0,
        "displayLocationInDecimal": False,
        "encrypted": False,
        "externalId": field.external_id,
        "extraTypeInfo": field.extra_type,
        "filterable": field.is_filterable,
        "filteredLookupInfo": None,
        "formulaTreatNullNumberAsZero": False,
        "groupable": field.type not in _UNGROUPED and not field.is_long_text,
        "highScaleNumber": False,
        "htmlFormatted": False,
        "idLookup": field.id_lookup,
        "inlineHelpText": None,
        "label": field.label,
        "length": field.length,
        "mask": "asterisk" if field.type == "encryptedstring" else None,
        "maskType": "all" if field.type == "encryptedstring" else None,
        "name": field.name,
        "nameField": field.name == "Name",
        "namePointing": field.is_polymorphic,
        "nillable": field.nillable,
        "permissionable": field.permissionable,
        "picklistValues": _picklist(field),
        "polymorphicForeignKey": field.is_polymorphic,
        "precision": _precision(field),
        "queryByDistance": field.type in COMPOUND_TYPES,
        "referenceTargetField": None,
        "referenceTo": list(field.references),
        "relationshipName": field.relationship,
        "relationshipOrder": None,
        "restrictedDelete": False,
        "restrictedPicklist": field.restricted,
        "scale": field.scale,
        "searchPrefilterable": field.search_prefilterable,
        "soapType": field.soap_type,
        "sortable": field.is_sortable,
        "type": field.type,
        "unique": field.unique,
        "updateable": field.updateable,
        "writeRequiresMasterRead": False,
    }


def _precision(field: FieldDef) -> int:
    if field.type in ("double", "currency", "percent"):
        return 18
    # The number of lines that a multi-select picklist shows.
    return 4 if field.type == "multipicklist" else 0


def _picklist(field: FieldDef) -> list[dict[str, Any]]:
    return [
        {
            "active": True,
            "defaultValue": entry.value == field.default,
            "label": entry.label,
            "validFor": entry.valid_for,
            "value": entry.value,
        }
        for entry in field.values
    ]


def describe_object(
    definition: ObjectDef, objects: Mapping[str, ObjectDef], *, data_root: str, instance_url: str
) -> dict[str, Any]:
    """Return an object's whole describe."""
    root = f"{data_root}/sobjects/{definition.name}"
    urls = {
        "compactLayouts": f"{root}/describe/compactLayouts",
        "rowTemplate": f"{root}/{{ID}}",
        "approvalLayouts": f"{root}/describe/approvalLayouts",
        "uiDetailTemplate": f"{instance_url}/{{ID}}",
        "uiEditTemplate": f"{instance_url}/{{ID}}/e",
        "describe": f"{root}/describe",
        "uiNewRecord": f"{instance_url}/{definition.key_prefix}/e",
        "layouts": f"{root}/describe/layouts",
        "sobject": root,
    }
    return {
        "actionOverrides": [],
        **_head(definition),
        "associateEntityType": None,
        "associateParentEntity": None,
        "childRelationships": _children(definition, objects),
        "compactLayoutable": True,
        "extendedBy": None,
        "extendsInterfaces": None,
        "defaultImplementation": None,
        "fields": [describe_field(field) for field in definition.fields.values()],
        "implementedBy": None,
        "implementsInterfaces": None,
        "listviewable": None,
        "lookupLayoutable": None,
        "namedLayoutInfos": [],
        "networkScopeFieldName": None,
        "recordTypeInfos": [
            {
                "active": True,
                "available": True,
                "defaultRecordTypeMapping": True,
                "developerName": "Master",
                "master": True,
                "name": "Master",
                "recordTypeId": "012000000000000AAA",
                "urls": {"layout": f"{root}/describe/layouts/012000000000000AAA"},
            }
        ],
        "searchLayoutable": True,
        "sobjectDescribeOption": "FULL",
        "supportedScopes": [
            {"label": f"All {definition.label_plural.lower()}", "name": "everything"},
            {"label": f"My {definition.label_plural.lower()}", "name": "mine"},
        ],
        "urls": urls,
    }


def summarize_object(definition: ObjectDef, *, data_root: str) -> dict[str, Any]:
    """Return an object's entry in the global describe."""
    root = f"{data_root}/sobjects/{definition.name}"
    urls = {"rowTemplate": f"{root}/{{ID}}", "describe": f"{root}/describe", "sobject": root}
    return {**_head(definition), "urls": urls}


def _head(definition: ObjectDef) -> dict[str, Any]:
    return {
        "activateable": False,
        "createable": definition.createable,
        "custom": definition.name.endswith("__c"),
        "customSetting": False,
        "deepCloneable": False,
        "deletable": definition.deletable,
        "deprecatedAndHidden": False,
        "feedEnabled": True,
        "hasSubtypes": False,
        "isInterface": False,
        "isSubtype": False,
        "keyPrefix": definition.key_prefix,
        "label": definition.label,
        "labelPlural": definition.label_plural,
        "layoutable": True,
        "mergeable": definition.mergeable,
        "mruEnabled": True,
        "name": definition.name,
        "queryable": True,
        "replicateable": definition.replicateable,
        "retrieveable": True,
        "searchable": True,
        "triggerable": True,
        "undeletable": definition.undeletable,
        "updateable": definition.updateable,
    }


def _children(definition: ObjectDef, objects: Mapping[str, ObjectDef]) -> list[dict[str, Any]]:
    return [
        {
            "cascadeDelete": field.cascade,
            "childSObject": child.name,
            "deprecatedAndHidden": False,
            "field": field.name,
            "junctionIdListNames": [],
            "junctionReferenceTo": [],
            "relationshipName": field.children,
            "restrictedDelete": False,
        }
        for child in objects.values()
        for field in child.fields.values()
        if definition.name in field.references and field.name != "MasterRecordId"
    ]
