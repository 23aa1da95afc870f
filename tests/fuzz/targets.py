"""What is fuzzed: functions of bytes that fail by raising. They need no fuzzer, so a test plays them over seeds too."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, time
from decimal import Decimal
from functools import cache
from typing import Final

from crmsync.mapping import Fit, compile_mapping, fit_of
from crmsync.mapping.expressions import Failed, FaultyError, Scope, compile_node, printed, read
from crmsync.mapping.expressions.values import MAX_TEXT
from crmsync.models.mappings import FieldMapping, MatchKeys, ObjectMapping, OnLoss
from crmsync.models.schema import FieldSchema, FieldType, ObjectSchema, Unit
from crmsync.protocols.conversion import FieldRule

PAIRS: Final = [
    (source, target)
    for source in FieldType
    for target in FieldType
    if Fit.REFUSED not in (fit_of(source, target), fit_of(target, source))
]
_SETTINGS: Final[Mapping[FieldType, Mapping[str, object]]] = {
    FieldType.DATETIME: {"zone": "Europe/Berlin"},
    FieldType.DATE: {"zone": "Asia/Beirut"},
    FieldType.PERCENT: {"unit": Unit.FRACTION},
    FieldType.DURATION: {"unit": Unit.MINUTES},
    FieldType.CURRENCY: {"currency": "EUR"},
    FieldType.PICKLIST: {"case_fold": True},
    FieldType.PHONE: {"region": "DE"},
}
_LIMITS: Final = {"length": 40, "precision": 12, "scale": 2}


@cache
def _rule(pair: int, *, set_up: bool) -> FieldRule:
    source, target = PAIRS[pair]
    kind = target if source is FieldType.TEXT else source
    options = {"options": ("Web", "Phone"), "restricted": True} if FieldType.PICKLIST in (source, target) else {}
    fields = [
        FieldSchema.model_validate({"name": name, "type": each, **(_LIMITS if set_up else {}), **options})
        for name, each in (("a", source), ("B", target))
    ]
    settings = _SETTINGS.get(kind, {}) if set_up else {}
    mapping = FieldMapping.model_validate(
        {"markmail_field": "a", "crm_field": "B", "field_type": kind, "on_loss": OnLoss.REPORT, **settings}
    )
    whole = ObjectMapping(fields=(mapping,), match=MatchKeys(local_email="", remote_email=""))
    here, there = (ObjectSchema(name=field.name, fields=(field,)) for field in fields)
    return compile_mapping(whole, here, there).rules[0]


def conversion(data: bytes) -> None:
    """A text through a pair of types: the first byte says which, the second whether settings and limits are given."""
    if len(data) < 2:
        return
    text = data[2:].decode("utf-8", "surrogateescape")
    rule = _rule(data[0] % len(PAIRS), set_up=bool(data[1] % 2))
    for normal in (rule.normal_local, rule.normal_remote):
        assert normal(normal(text)) == normal(text)
    there = rule.to_remote(text)
    if there.losses:
        return
    back = rule.to_local(there.value)
    assert back.losses or rule.normal_local(back.value) == rule.normal_local(text)


def expressions(data: bytes) -> None:
    """A text as an expression: it is read, and then reads the same when it is printed, or it has a place at fault.

    What can be compiled makes a value, or says why not, of a record whose fields all hold what stands behind a NUL.
    """
    text, _, value = data.decode("utf-8", "surrogateescape").partition("\0")
    try:
        node = read(text)
        assert printed(read(printed(node))) == printed(node)
        compiled = compile_node(node, Scope({}, open=True))
    except FaultyError as error:
        if any(not 0 <= fault.at <= len(text) for fault in error.faults):
            raise
        return
    found = compiled.run(lambda _name, _default: value)
    assert found is None or isinstance(found, str | bool | Decimal | date | time | tuple | Failed)
    assert not isinstance(found, str) or len(found) <= MAX_TEXT


TARGETS: Final[Mapping[str, Callable[[bytes], None]]] = {"conversion": conversion, "expressions": expressions}
SEEDS: Final[Mapping[str, tuple[bytes, ...]]] = {
    "conversion": tuple(
        bytes((pair, set_up)) + text.encode()
        for pair in range(len(PAIRS))
        for set_up in (0, 1)
        for text in ("O'Brien", "1e3", "2024-03-31 02:30:00", '{"city": "Berlin"}', "PT1H30M", "52.52,13.405", "*****")
    ),
    "expressions": (
        b"first_name",
        b'concat(upper(first_name), " ", last_name)',
        b'if(opted_out, "no", coalesce(nick, "friend"))',
        b"(((",
        b'"\\"',
        b"1 + -2.5e3",
        b"replace_pattern(phone, '[^0-9+](x*)', '$1-')\0+49 (30) 1234",
        b'format_date(add_months(date(born), -7), "dd.MM.yyyy")\x002024-02-29',
        b"number(a) / (number(b) - 1) * 1e\x001",
        b'lookup(part(x, ";", -2), {"a": 1, "b": -2}, length(join(split(x, ";"), "+")))\0b;a;',
    ),
}
