"""How the command line says a sign-in: its options, and what they say together."""

from __future__ import annotations

from collections.abc import Mapping
from inspect import Parameter
from pathlib import Path
from typing import Annotated, Any, Final

import attrs
import typer

from crmsync.cli.exits import UsageProblemError
from crmsync.cli.options import Group, option
from crmsync.cli.references import CREDENTIAL, VAULT

_PANEL: Final = "Signing in"


@attrs.frozen
class SignInOptions:
    """A sign-in as it is asked for. ``answers`` are by question; ``token`` is a reference."""

    method: str = "browser"
    answers: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    from_env: Mapping[str, str] = attrs.field(factory=dict)
    token: str | None = None
    open_browser: bool = True
    port: int = 0
    time_limit: float = 300.0


@attrs.frozen(kw_only=True)
class SignInWords:
    """The options as they are given, of which each may say how to sign in."""

    instance_url: str | None
    client_id: str | None
    username: str | None
    jwt_key: Path | None
    client_credentials: bool
    sf_org: str | None
    access_token: str | None = attrs.field(repr=False)
    no_browser: bool
    port: int
    time_limit: float

    def refuse(self) -> None:
        """Refuse them where nobody says what to sign in to.

        :raises UsageProblemError: one of them is given.
        """
        if self._ways() or self._answers() or self.no_browser:
            raise UsageProblemError("say what to sign in to, as in `crmsync connect salesforce`")

    def options(self, from_env: Mapping[str, str], *, test: bool) -> SignInOptions:
        """What they say together. ``test`` says that nothing new is to be stored, and so that there is no sign-in.

        :raises UsageProblemError: two ways are given, the token itself, or a key that cannot be read.
        """
        ways = self._ways()
        if len(ways) > 1 or test:
            raise UsageProblemError(f"choose one of {', '.join([*ways, *(['--test'] if test else [])])}")
        token = self.access_token
        if token is not None and (token == VAULT or not CREDENTIAL.fullmatch(token)):
            raise UsageProblemError("--access-token takes env:NAME: a token on the command line is seen by others")
        key = {} if self.jwt_key is None else {"private_key": _key_text(self.jwt_key)}
        return SignInOptions(
            method=ways[0] if ways else "browser",
            answers={**self._answers(), **key},
            from_env=from_env,
            token=token,
            open_browser=not self.no_browser,
            port=self.port,
            time_limit=self.time_limit,
        )

    def _ways(self) -> list[str]:
        ways = {
            "jwt": self.jwt_key is not None,
            "client-credentials": self.client_credentials,
            "cli": self.sf_org is not None,
            "token": self.access_token is not None,
        }
        return [way for way, given in ways.items() if given]

    def _answers(self) -> dict[str, str]:
        given = {
            "instance_url": self.instance_url,
            "client_id": self.client_id,
            "username": self.username,
            "sf.org": self.sf_org,
        }
        return {name: value for name, value in given.items() if value is not None}


def _key_text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not a text file"
        raise UsageProblemError(f"{path} cannot be read: {reason}") from None


def _option(name: str, type_: object, spelling: str, text: str, *, default: object = None, **more: Any) -> Parameter:
    return option(name, Annotated[type_, typer.Option(spelling, help=text, rich_help_panel=_PANEL, **more)], default)


_CALLBACK: Final = (
    "Where the browser comes back to: the app needs the Callback URL http://localhost:PORT/OauthRedirect."
    " 0 takes a free one."
)

SignIn = Annotated[
    SignInWords,
    Group(
        SignInWords,
        _option("instance_url", str | None, "--instance-url", "The org's URL.", metavar="URL"),
        _option("client_id", str | None, "--client-id", "The app's consumer key.", metavar="KEY"),
        _option("username", str | None, "--username", "With --jwt-key: the user.", metavar="NAME"),
        _option("jwt_key", Path | None, "--jwt-key", "Sign in by JWT, with this private key.", metavar="FILE"),
        _option("client_credentials", bool, "--client-credentials", "Sign in as the app's own user.", default=False),
        _option("sf_org", str | None, "--sf-org", "Borrow the login of the sf command.", metavar="ALIAS"),
        _option("access_token", str | None, "--access-token", "Use the token in a variable.", metavar="env:NAME"),
        _option("no_browser", bool, "--no-browser", "Print the address to open.", default=False),
        _option("port", int, "--port", _CALLBACK, default=1717, min=0, max=65535),
        _option("time_limit", float, "--time-limit", "Seconds to wait for the browser.", default=300.0, min=1),
    ),
]
