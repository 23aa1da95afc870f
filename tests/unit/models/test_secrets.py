"""A secret is shown by nothing but the one method that is for it."""

from __future__ import annotations

import copy
import json
import pickle

import attrs
import pytest
from pydantic import BaseModel, SecretStr

from crmsync.models.secrets import Secret
from crmsync.security.sealing import Secrets, masked

TEXT = "open sesame"


class Holder(BaseModel):
    token: Secret


def test_a_secret_is_shown_by_no_form_of_it() -> None:
    secret = Secret(TEXT)
    holder = Holder(token=secret)
    shown = [
        repr(secret),
        str(secret),
        f"{secret} {secret!r} {secret:>40}",
        "%s %r" % (secret, secret),  # noqa: UP031 - the old form, too
        repr(holder),
        holder.model_dump_json(),
        repr(holder.model_dump()),
        repr(holder.model_dump(mode="json")),
        repr([secret]),
        repr({"token": secret}),
    ]
    assert all(TEXT not in one for one in shown)
    assert secret.get_secret_value() == TEXT


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_secret_and_what_holds_it_is_not_pickled(protocol: int) -> None:
    for one in (Secret(TEXT), [Secret(TEXT)], Holder(token=Secret(TEXT)), Secrets({}, {}, b"key")):
        with pytest.raises(TypeError, match="not pickled"):
            pickle.dumps(one, protocol)


def test_a_secret_is_not_json() -> None:
    with pytest.raises(TypeError):
        json.dumps({"token": Secret(TEXT)})
    assert TEXT not in json.dumps({"token": Secret(TEXT)}, default=str)


def test_a_copy_of_a_secret_is_the_secret() -> None:
    secret = Secret(TEXT)
    assert copy.copy(secret) is secret
    assert copy.deepcopy({"a": secret})["a"] is secret
    assert Holder(token=secret).model_copy(deep=True).token == secret


def test_secrets_compare_as_secrets_of_pydantic_do() -> None:
    assert Secret(TEXT) == Secret(TEXT) != Secret("other")
    assert Secret(TEXT) == SecretStr(TEXT) == Secret(TEXT) != TEXT
    assert len({Secret(TEXT), SecretStr(TEXT)}) == 1
    assert Holder.model_validate({"token": TEXT}).token == Secret(TEXT)
    assert isinstance(Holder(token=SecretStr(TEXT)).token, Secret)


def test_all_that_the_vault_gives_out_is_of_the_strict_kind() -> None:
    given = masked({"a": TEXT, "b": SecretStr(TEXT), "c": Secret(TEXT)})
    assert {type(value) for value in given.values()} == {Secret}
    assert {value.get_secret_value() for value in given.values()} == {TEXT}


def test_a_set_of_secrets_shows_nothing() -> None:
    assert "key" not in repr(attrs.evolve(Secrets(masked({"a": TEXT}), {}, b"key-bytes"))).replace("digest_key", "")
