"""A CRM with rules, which can be switched off."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from crmsync.errors import RejectedError
from crmsync.models.mappings import ConflictPolicy, ObjectMapping, two_way
from crmsync.models.records import Operation, OperationKind, StoreLimits
from crmsync.models.schema import FieldType
from crmsync.security.vault import Vault
from crmsync.service import CRMSync
from crmsync.testing.world import LOCAL_LIMITS, World, world

MAPPING = ObjectMapping(
    fields=(
        two_way("email", "Email", field_type=FieldType.EMAIL),
        two_way("name", "Name"),
        two_way("city", "City", policy=ConflictPolicy.MANUAL),
    )
)


class Rule:
    """A rule of the CRM's, while it is ``on``: no name may be "bad"."""

    on = True

    def __call__(self, operation: Operation) -> RejectedError | None:
        bad = self.on and operation.fields.get("Name") == "bad"
        return RejectedError("refused by a rule", code="rule", field="Name") if bad else None


class Refusing:
    """A CRM that deletes nothing, while it is ``on``."""

    on = True

    def __call__(self, operation: Operation) -> RejectedError | None:
        kept = self.on and operation.kind is OperationKind.DELETE
        return RejectedError("nothing is deleted", code="kept") if kept else None


@asynccontextmanager
async def ruled(
    mapping: ObjectMapping = MAPPING, limits: StoreLimits = LOCAL_LIMITS
) -> AsyncIterator[tuple[World, Rule, CRMSync]]:
    rule = Rule()
    async with world(mapping, remote={"reject": rule}, local={"limits": limits}) as w:
        yield w, rule, CRMSync(w.repository, vault=Vault.from_key(Vault.generate_key()), clock=w.clock)
