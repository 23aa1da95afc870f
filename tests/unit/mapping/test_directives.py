"""What a mapping is refused for when its directives do not fit, and that they are part of its version."""

from __future__ import annotations

import itertools

import pytest

from crmsync.errors import MappingError
from crmsync.mapping import MappingCode, check_mapping, compile_mapping, fixed
from crmsync.models.mappings import FieldMapping, MatchKeys, ObjectMapping
from crmsync.models.schema import FieldSchema, FieldType, ObjectSchema

CODE = MappingCode
LOCAL = ObjectSchema(name="subscribers", open=True)


def remote(kind: FieldType) -> ObjectSchema:
    return ObjectSchema(name="Contact", fields=(FieldSchema(name="There", type=kind),))


def mapping(**options: object) -> ObjectMapping:
    field = FieldMapping.model_validate({"markmail_field": "here", "crm_field": "There", **options})
    return ObjectMapping(fields=(field,), match=MatchKeys(local_email="", remote_email=""))


@pytest.mark.parametrize(
    "kind,options,path,code",
    [
        (FieldType.TEXT, {"on_blank": "default"}, "on_blank", CODE.DIRECTIVE_UNFIT),
        (FieldType.TAGS, {"on_blank": "default", "default": "a"}, "on_blank", CODE.DIRECTIVE_UNFIT),
        (FieldType.DATE, {"normalise": ["case_fold"]}, "normalise", CODE.DIRECTIVE_UNFIT),
        (FieldType.TEXT, {"normalise": ["casefold"]}, "normalise", CODE.UNKNOWN_NORMALISER),
    ],
)
def test_a_directive_that_means_nothing_is_refused_and_its_fix_is_accepted(
    kind: FieldType, options: dict[str, object], path: str, code: MappingCode
) -> None:
    with pytest.raises(MappingError) as caught:
        compile_mapping(mapping(**options), LOCAL, remote(kind))
    assert [(each.path, each.code) for each in caught.value.problems] == [(f"fields[0].{path}", code)]
    [finding] = check_mapping(mapping(**options), LOCAL, remote(kind)).findings
    assert finding.fix is not None
    compile_mapping(fixed(mapping(**options), [finding.fix]), LOCAL, remote(kind))


def test_a_function_of_the_users_is_a_normaliser_like_any_other() -> None:
    asked = mapping(normalise=["first_word"])
    rule = compile_mapping(asked, LOCAL, remote(FieldType.TEXT), normalisers={"first_word": lambda t: t.split()[0]})
    assert rule.rules[0].normal_local("Ada King") == rule.rules[0].normal_remote("Ada Lovelace") == "Ada"


def test_every_directive_is_part_of_the_version() -> None:
    changes: list[dict[str, object]] = [
        {},
        {"never_clear": True},
        {"on_blank": "keep"},
        {"sensitive": True},
        {"normalise": ["case_fold"]},
        {"normalise": ["case_fold", "collapse_space"]},
    ]
    versions = [compile_mapping(mapping(**change), LOCAL, remote(FieldType.TEXT)).version for change in changes]
    assert all(one != other for one, other in itertools.combinations(versions, 2))
