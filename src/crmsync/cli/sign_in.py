"""Signing in to a CRM at a terminal: ask what its provider needs to know, run its flow, keep what comes of it."""

from __future__ import annotations

import getpass
import sys
import threading
import webbrowser
from collections.abc import Mapping, Sequence
from typing import Any

import attrs
from pydantic import SecretStr

from crmsync.cli.config import IntegrationSection
from crmsync.cli.exits import UsageProblemError
from crmsync.cli.loopback import listening
from crmsync.cli.output import Output, plain
from crmsync.cli.references import VAULT, from_environment
from crmsync.cli.sign_in_options import SignInOptions
from crmsync.models.secrets import Secret
from crmsync.protocols.signing_in import Question, SignedIn, SignInMethod, SupportsSignIn
from crmsync.registry import Registry

PLACEHOLDER = "YOUR-DOMAIN"
"""Stands in the address that `crmsync init` writes when it does not know the org's."""


@attrs.frozen
class Answers:
    """What is known: settings and credentials. ``references`` are the credentials that stay in the environment."""

    settings: dict[str, Any]
    credentials: dict[str, SecretStr]
    references: dict[str, str]


async def sign_in(section: IntegrationSection, options: SignInOptions, output: Output) -> tuple[SignedIn, Answers]:
    """Sign in to the CRM of an integration.

    :raises UsageProblemError: the provider has no such way, or something it must know is not given.
    :raises AuthenticationError: the user, or the CRM, refused.
    """
    factory = Registry().provider(section.provider)
    if not isinstance(factory, SupportsSignIn):
        raise UsageProblemError(f"the provider {section.provider!r} has no sign-in; use `crmsync connect` without it")
    methods = {method.name: method for method in factory.sign_in_methods()}
    if options.method not in methods:
        there = ", ".join(methods)
        raise UsageProblemError(f"{section.provider} has no sign-in by {options.method} (there are: {there})")
    answers = _answers(methods[options.method], section, options)
    if not methods[options.method].browser:
        return SignedIn(answers.settings, answers.credentials), answers
    with listening(options.port) as loopback:
        pending = factory.begin_sign_in(answers.settings, answers.credentials, loopback.redirect_uri)
        _send_browser(pending.url, options, output)
        callback = await loopback.callback(pending.state, time_limit=options.time_limit)
    return await factory.finish_sign_in(answers.settings, answers.credentials, pending, callback), answers


def _send_browser(url: str, options: SignInOptions, output: Output) -> None:
    """Open the address, or print it; on stderr in any format, since it is for the person and not the result.

    Some browsers keep whoever opened them waiting until they are closed, so nobody here waits.
    """

    def send() -> None:
        if not (options.open_browser and webbrowser.open(url)):
            output.err.print(f"open this address in a browser, sign in and allow access:\n{plain(url)}", soft_wrap=True)

    if options.open_browser:
        output.note("opening a browser: sign in and allow access there (--no-browser prints the address instead)")
    threading.Thread(target=send, name="browser", daemon=True).start()


def _answers(method: SignInMethod, section: IntegrationSection, options: SignInOptions) -> Answers:
    """Answers from the command line, the environment, the file and, for the rest, a person or stdin."""
    answers = Answers(dict(section.settings), {}, {})
    open_questions = [question for question in method.questions if not _known(question, section, options, answers)]
    given = _asked(open_questions, section.id)
    for question in open_questions:
        if value := given.get(question.name, "").strip():
            _take(question, value, answers)
    missing = [one.name for one in open_questions if not one.optional and not given.get(one.name, "").strip()]
    if missing:
        raise UsageProblemError(f"{section.id}: the sign-in needs {', '.join(missing)}")
    return answers


def _known(question: Question, section: IntegrationSection, options: SignInOptions, answers: Answers) -> bool:
    """Whether a question has its answer without asking; then it is taken."""
    name = question.name
    if name in options.answers:
        _take(question, options.answers[name], answers)
        return True
    if question.setting:
        held = _setting(section.settings, name)
        return held is not None and PLACEHOLDER not in str(held)
    if name in options.from_env:
        answers.credentials.update(from_environment({name: f"env:{options.from_env[name]}"}))
        return True
    reference = options.token if name == "access_token" and options.token else section.credentials.get(name, VAULT)
    if reference == VAULT:
        return False
    answers.credentials.update(from_environment({name: reference}))
    answers.references[name] = reference
    return True


def _take(question: Question, value: str, answers: Answers) -> None:
    if not question.setting:
        answers.credentials[question.name] = Secret(value)
        return
    table = answers.settings
    *tables, last = question.name.split(".")
    for name in tables:
        table[name] = dict(table.get(name, {}))
        table = table[name]
    table[last] = value


def _setting(settings: Mapping[str, Any], name: str) -> Any:
    found: Any = settings
    for part in name.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found


def _asked(questions: Sequence[Question], integration_id: str) -> dict[str, str]:
    if not questions:
        return {}
    if sys.stdin.isatty():
        return {one.name: _ask(one) for one in questions}
    lines = dict(line.rstrip("\n").partition("=")[::2] for line in sys.stdin if line.strip())
    unknown = lines.keys() - {one.name for one in questions}
    if unknown:
        known = ", ".join(one.name for one in questions)
        raise UsageProblemError(f"{integration_id}: stdin may have a line NAME=VALUE for each of {known}")
    return lines


def _ask(question: Question) -> str:
    prompt = f"{question.text}: "
    if question.secret:
        return getpass.getpass(prompt)
    # `input` would write it to stdout, which is for the result.
    sys.stderr.write(prompt)
    sys.stderr.flush()
    return sys.stdin.readline()
