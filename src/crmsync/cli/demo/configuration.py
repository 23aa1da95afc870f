"""The demo's configuration file: an ordinary one, to look at and to go on with."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from crmsync.cli.commands.beginning import KEY_NAME, write_key
from crmsync.cli.config import DEFAULT_NAME
from crmsync.cli.config_text import Beginning, config_text
from crmsync.models.mappings import DeletePolicy
from crmsync.registry import RECORDS, Registry

OBJECT: Final = "Contact"
INTEGRATION: Final = "salesforce"


def write_configuration(directory: Path, *, url: str, local: dict[str, Any]) -> Path:
    """Write ``crmsync.toml`` and its key file; return the former's path. Deletes go both ways."""
    registry = Registry()
    default = registry.provider(INTEGRATION).default_mappings()[OBJECT]
    both = {"delete_in_crm": DeletePolicy.PROPAGATE, "delete_in_local": DeletePolicy.PROPAGATE}
    beginning = Beginning(
        provider=INTEGRATION,
        key=f"file:{KEY_NAME}",
        local=local,
        local_types=registry.names(RECORDS),
        settings={"instance_url": url, "allow_insecure_loopback": True},
        credentials={"access_token": "vault"},
        objects={OBJECT: default.model_copy(update=both)},
    )
    path = directory / DEFAULT_NAME
    path.write_text(config_text(beginning), encoding="utf-8")
    write_key(directory / KEY_NAME)
    return path
