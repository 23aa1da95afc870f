"""Suggested mappings, from the API and from the shell, against an org on loopback."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from crmsync import CRMSync, ObjectMapping, Vault, two_way
from crmsync.errors import ConfigurationError, UnknownProviderError
from crmsync.models.schema import FieldSchema, FieldType, ObjectSchema
from crmsync.models.suggestions import MappingSuggestion
from crmsync.testing.memory_records import MemoryRecordStore
from crmsync.testing.salesforce import RunningEmulator, running_emulator
from tests.integration.scorers import Oracle, registry
from tests.integration.shell import Shell, shell

pytestmark = pytest.mark.anyio

COLUMNS = "id,email,Vorname,Nachname,Firma,Telefon,Handy,PLZ,Ort,nick,shoe size"


@pytest.fixture(scope="module")
def emulator() -> Iterator[RunningEmulator]:
    with running_emulator() as running:
        yield running


@pytest.fixture(scope="module")
def sh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    with ExitStack() as stack:
        made = stack.enter_context(shell(tmp_path_factory.mktemp("suggestions")))
        (made.directory / "people.csv").write_text(f"{COLUMNS}\n1,ann@example.org,Ann,Lee,Acme,+44 1,,,,Annie,38\n")
        made.configure('email = { crm_field = "Email", field_type = "email" }\nNachname = "LastName"\n')
        yield made


def local() -> MemoryRecordStore:
    fields = [FieldSchema(name="id", type=FieldType.ID), *(FieldSchema(name=name) for name in COLUMNS.split(",")[1:])]
    store = MemoryRecordStore(schema=ObjectSchema(name="subscribers", fields=tuple(fields)))
    for number in range(5):
        store.add(email=f"p{number}@example.org", nick=f"Nick {number}")
    return store


async def suggested(
    emulator: RunningEmulator, *scorers: str, samples: int = 0, share: bool = False
) -> MappingSuggestion:
    async with CRMSync.open("memory://", vault=Vault.from_key(Vault.generate_key()), registry=registry()) as crm:
        await crm.add_integration(
            "acme",
            provider="salesforce",
            settings={"instance_url": emulator.url, "allow_insecure_loopback": True},
            credentials={"access_token": emulator.access_token},
            mappings={"Contact": ObjectMapping(fields=(two_way("email", "Email"), two_way("Nachname", "LastName")))},
        )
        before = await crm.mapping("acme", "Contact")
        found = await crm.suggest_mapping(
            "acme", "Contact", local(), scorers=scorers, samples=samples, share_samples=share
        )
        assert await crm.mapping("acme", "Contact") == before, "nothing is applied"
        return found


def pairs(found: MappingSuggestion) -> dict[str, str]:
    return {one.local_field: one.crm_field for one in found.fields}


async def test_a_mapping_is_suggested_with_scores_and_reasons_and_nothing_is_applied(emulator: RunningEmulator) -> None:
    found = await suggested(emulator)
    assert pairs(found).items() >= {
        ("email", "Email"),
        ("Vorname", "FirstName"),
        ("Nachname", "LastName"),
        ("Telefon", "Phone"),
        ("Handy", "MobilePhone"),
        ("PLZ", "MailingPostalCode"),
        ("Ort", "MailingCity"),
    }
    assert all(0.5 <= one.score <= 1 and one.reasons for one in found.fields)
    assert "shoe size" in found.unmatched


async def test_values_of_both_sides_are_looked_at_when_asked_for(emulator: RunningEmulator) -> None:
    emulator.org.create("Contact", {"LastName": "Lee", "Email": "p1@example.org"})
    plain = {one.local_field: one for one in (await suggested(emulator)).fields}
    looked = {one.local_field: one for one in (await suggested(emulator, samples=50)).fields}
    assert looked["email"].score > plain["email"].score
    assert "the values of 'email' look like e-mail addresses" in looked["email"].reasons


async def test_a_scorer_that_is_installed_is_asked_too(emulator: RunningEmulator) -> None:
    found = await suggested(emulator, "oracle")
    [nick] = [one for one in found.fields if one.local_field == "nick"]
    assert nick.crm_field == "Department"
    assert "oracle finds them alike (1.00)" in nick.reasons, "what it answers is brought into 0 to 1"


@pytest.mark.parametrize(
    "scorer,share,sees", [("oracle", False, False), ("oracle", True, True), ("reticent", True, False)]
)
async def test_a_scorer_sees_values_only_if_both_say_so(
    emulator: RunningEmulator, scorer: str, share: bool, sees: bool
) -> None:
    await suggested(emulator, scorer, samples=50, share=share)
    assert any(card.samples for card in Oracle.shown) is sees


@pytest.mark.parametrize("scorer", ["nan", "words", "short", "raising", "no_scorer"])
async def test_a_broken_scorer_is_named_and_nothing_it_says_is_shown(emulator: RunningEmulator, scorer: str) -> None:
    with pytest.raises(ConfigurationError, match=r"scorer|SuggestionScorer") as raised:
        await suggested(emulator, scorer)
    assert "ann@" not in str(raised.value)


async def test_a_scorer_that_nobody_offers_is_an_error(emulator: RunningEmulator) -> None:
    with pytest.raises(UnknownProviderError, match="ghost"):
        await suggested(emulator, "ghost")


def test_the_shell_shows_what_is_suggested_why_and_what_the_file_has(sh: Shell) -> None:
    before = (sh.directory / "crmsync.toml").read_bytes()
    done = sh.run("mapping", "suggest")
    assert done.code == 0, done.err
    assert "'Vorname' and 'First Name' both mean first name" in done.out
    assert "nothing found for: " in done.out
    assert "nothing was changed" in done.out
    assert (sh.directory / "crmsync.toml").read_bytes() == before


def test_the_json_form_has_everything(sh: Shell) -> None:
    done = sh.run("mapping", "suggest", "--object", "Contact", "--samples", "10", "--format", "json")
    assert done.code == 0, done.err
    [found] = done.json["suggestions"]
    by_field = {one["local_field"]: one for one in found["fields"]}
    assert by_field["Vorname"]["toml"] == 'Vorname = "FirstName"'
    assert (by_field["Nachname"]["in_file"], by_field["Nachname"]["toml"]) == ("LastName", "")
    assert by_field["Handy"]["direction"] == "bidirectional"
    assert set(found["unmatched"]) >= {"shoe size"}
    assert "OtherCity" in found["left_over"]


def test_the_printed_lines_can_be_pasted_into_the_file(sh: Shell) -> None:
    done = sh.run("mapping", "suggest", "--toml")
    assert done.code == 0, done.err
    fields = tomllib.loads(done.out)
    assert fields["Vorname"] == "FirstName"
    assert "Nachname" not in fields, "the file has it already"
    sh.configure('email = { crm_field = "Email", field_type = "email" }\nNachname = "LastName"\n' + done.out)
    checked = sh.run("mapping", "check", "--format", "json")
    assert checked.code == 0, checked.out
    assert sh.run("mapping", "suggest", "--toml").out.count("=") == 0
    sh.configure('email = { crm_field = "Email", field_type = "email" }\nNachname = "LastName"\n')


def test_an_object_that_the_file_does_not_map_yet_can_be_asked_for(sh: Shell) -> None:
    done = sh.run("mapping", "suggest", "--object", "Lead", "--format", "json")
    assert done.code == 0, done.err
    [found] = done.json["suggestions"]
    assert {one["local_field"]: one["crm_field"] for one in found["fields"]}["Firma"] == "Company"


def test_a_scorer_that_is_not_installed_ends_the_command_with_2(sh: Shell) -> None:
    done = sh.run("mapping", "suggest", "--scorer", "ghost")
    assert done.code == 2
    assert "ghost" in done.err
