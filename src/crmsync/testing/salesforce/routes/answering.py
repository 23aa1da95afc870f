"""From a call to its answer: the version and the method checked, and failures as the bodies they are."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from crmsync.testing.salesforce.errors import CallError, RowError, not_found
from crmsync.testing.salesforce.org import MultipleMatchesError
from crmsync.testing.salesforce.rendering import attributes
from crmsync.testing.salesforce.routes import metadata
from crmsync.testing.salesforce.routes.call import Call, Handler, Reply, truth
from crmsync.testing.salesforce.rules import SaveOptions

if TYPE_CHECKING:
    from collections.abc import Mapping

    from crmsync.testing.salesforce.org import SalesforceOrg

_DUPLICATE_RULE: Final = "sforce-duplicate-rule-header"
_VERSION: Final = re.compile(r"(\d{1,3})\.0")


def live_version(org: SalesforceOrg, text: str) -> str:
    """Return the version of a URL, such as ``"68.0"``.

    :raises CallError: it is not one, or it is retired.
    """
    match = _VERSION.fullmatch(text)
    if match is None or int(match[1]) > org.max_version:
        raise not_found()
    if int(match[1]) < metadata.FIRST_LIVE_VERSION:
        raise CallError(410, "GONE", f"The requested API version v{text} is retired", code_first=True)
    return text


def handler_for(handlers: Mapping[str, Handler], method: str) -> Handler:
    """Return the handler of a method.

    :raises CallError: METHOD_NOT_ALLOWED.
    """
    handler = handlers.get(method)
    if handler is None:
        allowed = ",".join(handlers)
        message = f"HTTP Method '{method}' not allowed. Allowed are {allowed}"
        raise CallError(405, "METHOD_NOT_ALLOWED", message, code_first=True, headers={"Allow": allowed})
    return handler


def answer(handler: Handler, call: Call) -> Reply:
    """Return what a handler answers, failures too."""
    try:
        with call.org.writer.using(_save_options(call)):
            return handler(call)
    except MultipleMatchesError as error:
        definition = call.table().definition
        return Reply([attributes(definition, found, call.version)["url"] for found in error.ids], status=300)
    except (CallError, RowError) as error:
        return refused(error)


def _save_options(call: Call) -> SaveOptions:
    """Return what ``Sforce-Duplicate-Rule-Header`` asks for, such as ``allowSave=true; includeRecordDetails=true``."""
    given = {
        name.strip().lower(): truth(value.strip())
        for name, _, value in (part.partition("=") for part in call.headers.get(_DUPLICATE_RULE, "").split(";"))
    }
    return SaveOptions(
        allow_duplicates=given.get("allowsave", False),
        include_record_details=given.get("includerecorddetails", False),
        version=call.version,
    )


def refused(error: CallError | RowError) -> Reply:
    """Return a failure as an answer."""
    headers = error.headers if isinstance(error, CallError) else {}
    return Reply(error.as_body(), status=error.status, headers=headers)
