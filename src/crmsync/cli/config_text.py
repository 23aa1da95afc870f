"""A configuration file to begin with, commented for its reader."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import attrs
import tomli_w

from crmsync.models.mappings import FieldMapping, ObjectMapping

_HEAD: Final = """\
# crmsync: which records are kept in step, and how. Check it with `crmsync plan`, which writes nothing.
# Relative paths are relative to this file. Secrets are never written here, only where to find them.

# What was synced when is kept here: digests and ids, no customer data. Also: postgresql://user@host/database
storage = "sqlite:///crmsync.db"

[vault]
# What encrypts the credentials that `crmsync connect` stores. Keep a copy of the key: without it they are lost.
key = {key}

[local]
# Your own records. type: {types}
{local}
[run]
# Defaults of every run; the command line overrides them.
# max_calls = 5000            # stop before more API calls than this
# page_size = 2000            # records held at once for each side

[[integrations]]
id = {provider}
provider = {provider}

[integrations.settings]
{settings}
[integrations.credentials]
# "env:NAME" reads an environment variable; "vault" reads what `crmsync connect` has stored.
{credentials}
"""

_OBJECT: Final = """\
[integrations.objects.{name}]
# Who wins when both sides changed a field: newest_wins, local_wins, remote_wins, prefer_nonblank, manual, ...
policy = {policy}
create_in_crm = {create_in_crm}
create_in_local = {create_in_local}
# What a delete does to the other side: ignore, unlink, archive, propagate
delete_in_crm = {delete_in_crm}
delete_in_local = {delete_in_local}

[integrations.objects.{name}.match]
# How records that are not linked yet find each other.
local_email = {local_email}
remote_email = {remote_email}

[integrations.objects.{name}.fields]
# your_field = "CRMField", or with options: {{ crm_field = "CRMField", policy = "local_wins", ... }}
# `crmsync fields {name}` lists what the CRM offers.
{fields}{unmapped}"""


@attrs.frozen
class Beginning:
    """What a new configuration file says."""

    provider: str
    key: str
    local: Mapping[str, Any]
    local_types: Sequence[str]
    settings: Mapping[str, Any]
    credentials: Mapping[str, str]
    objects: Mapping[str, ObjectMapping]
    unmapped: Mapping[str, str] = attrs.field(factory=dict)


def config_text(beginning: Beginning) -> str:
    """The file's text, valid TOML."""
    head = _HEAD.format(
        key=inline(beginning.key),
        types=", ".join(beginning.local_types),
        local=_lines(beginning.local),
        provider=inline(beginning.provider),
        settings=_lines(beginning.settings) or "# none needed\n",
        credentials=_lines(beginning.credentials) or "# none needed\n",
    )
    objects = [_object(name, mapping, beginning.unmapped) for name, mapping in beginning.objects.items()]
    return "\n".join([head, *objects])


def _object(name: str, mapping: ObjectMapping, unmapped: Mapping[str, str]) -> str:
    return _OBJECT.format(
        name=key(name),
        policy=inline(mapping.policy.value),
        create_in_crm=inline(mapping.create_in_crm),
        create_in_local=inline(mapping.create_in_local),
        delete_in_crm=inline(mapping.delete_in_crm.value),
        delete_in_local=inline(mapping.delete_in_local.value),
        local_email=inline(mapping.match.local_email),
        remote_email=inline(mapping.match.remote_email),
        fields="".join(f"{field_line(field)}\n" for field in mapping.fields),
        unmapped="".join(f"# {key(column)} = {inline(field)}\n" for column, field in unmapped.items()),
    )


def field_line(field: FieldMapping) -> str:
    """A field mapping as it stands below ``fields``, short if it has no options."""
    given = field.model_dump(mode="json", exclude_defaults=True, exclude={"markmail_field", "crm_field"})
    value = inline({"crm_field": field.crm_field, **given}) if given else inline(field.crm_field)
    return f"{key(field.markmail_field)} = {value}"


def setting_line(name: str, value: Any) -> str:
    """A setting of an object mapping."""
    return f"{key(name)} = {inline(value)}"


def _lines(content: Mapping[str, Any]) -> str:
    return "".join(f"{key(name)} = {inline(value)}\n" for name, value in content.items())


def key(name: str) -> str:
    """A TOML key, quoted if need be."""
    return tomli_w.dumps({name: 0}).rpartition(" = ")[0]


def inline(value: Any) -> str:
    """A TOML value on one line."""
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{key(name)} = {inline(one)}" for name, one in value.items()) + " }"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(inline(one) for one in value) + "]"
    return tomli_w.dumps({"x": value}).partition(" = ")[2].rstrip("\n")
