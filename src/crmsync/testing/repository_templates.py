"""The promises on mapping templates."""

from __future__ import annotations

import pytest

from crmsync.errors import NotFoundError
from crmsync.models.integrations import MappingTemplate
from crmsync.models.mappings import ObjectMapping, two_way
from crmsync.protocols.repository import SyncRepository
from crmsync.testing.repository_subject import ABROAD, CONTACT, LEAD, NOW, OURS, TEXTS, RepositorySubject, assert_utc


class TemplatePromises(RepositorySubject):
    """Templates are kept by provider and name."""

    async def test_a_template_is_read_back_as_it_was_saved(self, repository: SyncRepository) -> None:
        fields = (
            two_way("email", "Email", value_map={"a": "b"}, default=0.5),
            two_way("tags", "Tags__c", sensitive=True),
        )
        saved = MappingTemplate(
            id="t1",
            provider="salesforce",
            name="O'Brien's é",
            description=TEXTS[6],
            mappings={CONTACT: ObjectMapping(fields=fields), LEAD: ObjectMapping(fields=())},
            is_default=True,
            created_at=NOW.astimezone(ABROAD),
        )
        await repository.save_template(saved)
        [found] = await repository.list_templates()
        assert found == saved == await repository.get_template(saved.provider, saved.name)
        assert_utc(found.created_at)

    async def test_a_template_replaces_the_one_of_its_provider_and_name(self, repository: SyncRepository) -> None:
        """Also the one with its id: a template may be renamed."""
        await repository.save_template(template("t1", "salesforce", "standard"))
        await repository.save_template(template("t2", "hubspot", "standard"))
        replaced = template("t3", "salesforce", "standard")
        await repository.save_template(replaced)
        assert [found.id for found in await repository.list_templates()] == ["t2", "t3"]
        await repository.save_template(template("t3", "salesforce", "renamed"))
        assert [found.name for found in await repository.list_templates("salesforce")] == ["renamed"]

    async def test_templates_are_listed_by_provider_and_name(self, repository: SyncRepository) -> None:
        names = [("b", "a"), ("a", "b"), ("a", "é"), ("B", "z"), ("a", "Z")]
        for number, (provider, name) in enumerate(names):
            await repository.save_template(template(f"t{number}", provider, name))
        listed = [(found.provider, found.name) for found in await repository.list_templates()]
        assert listed == sorted(names)
        assert [found.name for found in await repository.list_templates("a")] == ["Z", "b", "é"]

    async def test_one_template_is_found_by_its_provider_and_name(self, repository: SyncRepository) -> None:
        await repository.save_template(template("t1", "salesforce", "standard"))
        await repository.save_template(template("t2", "hubspot", "standard"))
        assert (await repository.get_template("hubspot", "standard")).id == "t2"
        with pytest.raises(NotFoundError):
            await repository.get_template("hubspot", "Standard")

    async def test_a_deleted_template_is_gone_and_the_others_stay(self, repository: SyncRepository) -> None:
        await repository.save_template(template("t1", "salesforce", "standard"))
        await repository.save_template(template("t2", "hubspot", "standard"))
        await repository.delete_template("salesforce", "standard")
        assert [found.id for found in await repository.list_templates()] == ["t2"]
        with pytest.raises(NotFoundError):
            await repository.delete_template("salesforce", "standard")

    async def test_a_template_outlives_the_integrations(self, repository: SyncRepository) -> None:
        await repository.save_template(template("t1", "salesforce", "standard"))
        await repository.delete_integration(OURS)
        assert [found.id for found in await repository.list_templates()] == ["t1"]


def template(template_id: str, provider: str, name: str) -> MappingTemplate:
    """A template of nothing."""
    return MappingTemplate(id=template_id, provider=provider, name=name, mappings={}, created_at=NOW)
