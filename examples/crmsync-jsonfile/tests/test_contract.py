"""All the tests that a provider needs: crmsync's contracts, told how to open this one."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, ClassVar

import pytest
from crmsync_jsonfile import JsonFileProviderFactory, JsonFileStore
from crmsync_jsonfile.document import Document

from crmsync.models.contacts import CRMContact
from crmsync.models.records import Fields
from crmsync.protocols.provider import CRMProvider
from crmsync.testing.provider import MISFIT, ProviderContract
from crmsync.testing.records import RecordStoreContract, Subject

pytestmark = pytest.mark.anyio


class TestProvider(ProviderContract):
    contact_object = "Person"
    email_field = "email"

    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path: Path) -> None:
        self.path = tmp_path / "crm.json"

    @asynccontextmanager
    async def open(self) -> AsyncIterator[CRMProvider]:
        self.path.write_text('{"people": {}}')
        async with JsonFileProviderFactory().open({"path": str(self.path)}, {}, self.context()) as provider:
            yield provider

    def misfit(self, number: int) -> CRMContact:
        return self.contact(number, custom_fields={"score": MISFIT})


class Editor:
    """Somebody who edits the file by hand."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.made = 0
        self.save({})

    def people(self) -> dict[str, dict[str, Any]]:
        return dict(json.loads(self.path.read_text(encoding="utf-8"))["people"])

    def save(self, people: Mapping[str, Fields]) -> None:
        self.path.write_text(json.dumps({"people": people}), encoding="utf-8")

    async def add(self, records: Sequence[Fields]) -> list[str]:
        ids = [f"by-hand-{self.made + number}" for number in range(len(records))]
        self.made += len(ids)
        self.save(self.people() | dict(zip(ids, records, strict=True)))
        return ids

    async def add_late(self, fields: Fields) -> str:
        return (await self.add([fields]))[0]

    async def edit(self, record_id: str, fields: Fields) -> None:
        people = self.people()
        people[record_id] |= fields
        self.save(people)

    async def remove(self, record_id: str) -> None:
        people = self.people()
        del people[record_id]
        self.save(people)

    async def read(self, record_id: str, field: str) -> object:
        return self.people()[record_id].get(field)


class TestStore(RecordStoreContract):
    text_field = "last_name"
    typed_values: ClassVar[Mapping[str, Sequence[object]]] = {"score": (0, 5, -1), "tags": ((), ("a", "b"))}

    @pytest.fixture
    async def subject(self, tmp_path: Path) -> Subject:
        path = tmp_path / "crm.json"
        editor = Editor(path)
        return Subject(JsonFileStore(Document(path)), editor, JsonFileStore(Document(path)))
