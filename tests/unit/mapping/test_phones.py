"""Phone numbers under a region are compared by E.164, and keep the spelling that each side gave them."""

from __future__ import annotations

import pytest

from crmsync.errors import MappingError
from crmsync.models.schema import FieldSchema, FieldType
from tests.unit.mapping.conftest import CompileOne

PHONE = FieldType.PHONE


@pytest.mark.parametrize(
    "region,spelt,number",
    [
        ("DE", "030 123456", "+4930123456"),
        ("DE", "+49 (0)30 / 12 34 56", "+4930123456"),
        ("DE", "0049-30-123456", "+4930123456"),
        ("US", "(650) 253-0000", "+16502530000"),
        ("US", "1-650-253-0000", "+16502530000"),
        ("US", "+44 20 7031 3000", "+442070313000"),
        ("GB", "020 7031 3000 ext. 12", "+442070313000;ext=12"),
        ("IT", "02 3661 8300", "+390236618300"),
        ("DE", "\u0660\u0663\u0660 \u0661\u0662\u0663\u0664\u0665\u0666", "+4930123456"),
    ],
)
def test_spellings_of_one_number_are_the_same(rule_of: CompileOne, region: str, spelt: str, number: str) -> None:
    rule = rule_of(PHONE, PHONE, region=region)
    assert rule.normal_local(spelt) == rule.normal_remote(spelt) == number
    assert rule.normal_local(number) == number


@pytest.mark.parametrize("text", ["ask Ada", "n/a", "1", "+999 12345678", "-", "0" * 40])
def test_what_is_no_number_is_compared_as_without_a_region(rule_of: CompileOne, text: str) -> None:
    assert rule_of(PHONE, PHONE, region="DE").normal_local(text) == rule_of(PHONE, PHONE).normal_local(text)


def test_a_number_is_written_as_it_was_spelt(rule_of: CompileOne) -> None:
    rule = rule_of(PHONE, FieldSchema(name="Phone", type=PHONE, length=40), region="DE")
    assert rule.to_remote("030 / 12 34 56").value == "030 / 12 34 56"
    assert not rule.to_remote("030 / 12 34 56").losses


def test_an_unknown_region_is_a_fault_of_the_mapping(rule_of: CompileOne) -> None:
    with pytest.raises(MappingError) as caught:
        rule_of(PHONE, PHONE, region="ZZ")
    assert [(problem.path, problem.code) for problem in caught.value.problems] == [
        ("fields[0].region", "unknown_region")
    ]
