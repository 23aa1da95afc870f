"""Short ways to compile one field mapping, or a mapping against Contact's fields."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from crmsync.mapping import compile_mapping
from crmsync.models.mappings import FieldMapping, MatchKeys, ObjectMapping
from crmsync.models.schema import FieldSchema, FieldType, ObjectSchema
from crmsync.protocols.conversion import FieldRule

CompileOne = Callable[..., FieldRule]


def _compile(local: FieldSchema | FieldType, remote: FieldSchema | FieldType, **options: object) -> FieldRule:
    fields = [
        each if isinstance(each, FieldSchema) else FieldSchema(name=name, type=each)
        for each, name in ((local, "here"), (remote, "There__c"))
    ]
    mapping = FieldMapping.model_validate({"markmail_field": fields[0].name, "crm_field": fields[1].name, **options})
    whole = ObjectMapping(fields=(mapping,), match=MatchKeys(local_email="", remote_email=""))
    sides = ObjectSchema(name="subscribers", fields=(fields[0],)), ObjectSchema(name="Contact", fields=(fields[1],))
    return compile_mapping(whole, *sides).rules[0]


@pytest.fixture
def rule_of() -> CompileOne:
    """Compiles one field mapping between two fields, or fields of two types."""
    return _compile


@pytest.fixture
def contact() -> ObjectSchema:
    """Some of Salesforce's Contact."""
    return ObjectSchema(
        name="Contact",
        fields=(
            FieldSchema(name="Id", type=FieldType.ID, length=18, nillable=False, createable=False, updateable=False),
            FieldSchema(name="LastName", length=80, required=True, nillable=False),
            FieldSchema(name="FirstName", length=40),
            FieldSchema(name="Name", length=121, createable=False, updateable=False),
            FieldSchema(name="Email", type=FieldType.EMAIL, length=80),
            FieldSchema(name="HasOptedOutOfEmail", type=FieldType.BOOLEAN, nillable=False),
            FieldSchema(name="CleanStatus", type=FieldType.PICKLIST, options=("Matched", "Pending"), restricted=True),
            FieldSchema(name="Interests__c", type=FieldType.MULTI_PICKLIST, options=("a", "b"), separator=";"),
            FieldSchema(name="Birthdate", type=FieldType.DATE),
            FieldSchema(name="Score__c", type=FieldType.DECIMAL, precision=6, scale=2),
            FieldSchema(name="Source__c", updateable=False),
            FieldSchema(name="Later__c", createable=False),
            FieldSchema(name="Secret__c", readable=False),
            FieldSchema(name="Archived__c", type=FieldType.BOOLEAN),
        ),
    )
