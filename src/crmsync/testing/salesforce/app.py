"""The ASGI application: authentication, API versions, limits, faults, and the routes to their handlers."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import Response
from starlette.routing import Route

from crmsync.testing.salesforce.bulk import routes as bulk_routes
from crmsync.testing.salesforce.bulk.settling import settle
from crmsync.testing.salesforce.composition import routes as composition_routes
from crmsync.testing.salesforce.dataload import routes as dataload_routes
from crmsync.testing.salesforce.errors import CallError, RowError, not_found
from crmsync.testing.salesforce.gateway import Gateway
from crmsync.testing.salesforce.oauth import authorize, identity, soap, token
from crmsync.testing.salesforce.oauth.call import OAuthCall, form_of
from crmsync.testing.salesforce.oauth.errors import OAuthError
from crmsync.testing.salesforce.org import SalesforceOrg
from crmsync.testing.salesforce.routes import changes, collections, limits, metadata, query, rows, search, tooling
from crmsync.testing.salesforce.routes.answering import answer, handler_for, live_version, refused
from crmsync.testing.salesforce.routes.call import Call, Handler, Reply
from crmsync.testing.salesforce.routes.control import ROUTES as CONTROL_ROUTES

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from starlette.requests import Request

    from crmsync.testing.salesforce.oauth.call import Handler as OAuthHandler

_METHODS: Final = ("GET", "POST", "PATCH", "PUT", "DELETE")
_JSON: Final = "application/json;charset=UTF-8"
# The order matters: fixed names come before the templates that would swallow them.
_TABLES: Final = (
    metadata.ROUTES,
    limits.ROUTES,
    search.ROUTES,
    tooling.ROUTES,
    changes.ROUTES,
    query.ROUTES,
    bulk_routes.ROUTES,
    composition_routes.ROUTES,
    collections.ROUTES,
    rows.ROUTES,
)
_OAUTH_TABLES: Final = (authorize.ROUTES, token.ROUTES, identity.ROUTES, soap.ROUTES)


def create_app(org: SalesforceOrg, *, control: bool = False) -> Starlette:
    """Return the emulator of an org as an ASGI application, for any event loop.

    :param control: whether ``/__emulator__/`` is served, to whoever can reach the application.
    """
    routes = [Route("/services/data", partial(_versions, org))]
    for table in _TABLES:
        for template, handlers in table:
            routes.append(_data_route(org, template, handlers))
    routes.append(_data_route(org, "/{rest:path}", dict.fromkeys(_METHODS, _unknown)))
    for template, handlers in dataload_routes.ROUTES:
        endpoint = partial(_async, org, template, handlers)
        routes.append(Route(f"/services/async/{{version}}{template}", endpoint, methods=list(_METHODS)))
    for oauth_table in _OAUTH_TABLES:
        for path, methods, handler in oauth_table:
            routes.append(Route(path, partial(_oauth, org, path, handler), methods=list(methods)))
    if control:
        for path, methods, act in CONTROL_ROUTES:
            routes.append(Route(path, partial(_control, org, act), methods=list(methods)))
    return Starlette(
        routes=routes,
        middleware=[Middleware(Gateway, org=org), Middleware(GZipMiddleware, minimum_size=1024, compresslevel=1)],
        exception_handlers={404: _not_found, 405: _not_found},
    )


def _data_route(org: SalesforceOrg, template: str, handlers: Mapping[str, Handler]) -> Route:
    endpoint: Callable[[Request], Awaitable[Response]] = partial(_data, org, template, handlers)
    return Route(f"/services/data/v{{version}}{template}", endpoint, methods=list(_METHODS))


async def _versions(org: SalesforceOrg, _: Request) -> Response:
    return _response(Reply(metadata.versions(org.max_version)))


async def _data(org: SalesforceOrg, template: str, handlers: Mapping[str, Handler], request: Request) -> Response:
    body = await request.body()
    with org.lock:
        try:
            settle(org)
            reply = _answer(org, template, handlers, request, body)
        except CallError as error:
            reply = refused(error)
        used = f"api-usage={org.api_calls}/{org.daily_limit}"
    # Recorded traffic of real orgs has no usage header on a 401.
    headers = reply.headers if reply.status == 401 else {**reply.headers, "Sforce-Limit-Info": used}
    return _response(reply, headers)


def _answer(org: SalesforceOrg, template: str, handlers: Mapping[str, Handler], request: Request, body: bytes) -> Reply:
    session = org.oauth.use_session(bearer_token(request), org.now())
    if session is None:
        raise CallError(401, "INVALID_SESSION_ID", "Session expired or invalid")
    if not {"api", "full"} & set(session.scopes):
        raise CallError(401, "INVALID_SESSION_ID", "This session is not valid for use with the REST API")
    version = live_version(org, request.path_params["version"])
    method = "GET" if request.method == "HEAD" else request.method
    handler = handler_for(handlers, method)
    if not org.spend_call(f"{method} {template or '/'}"):
        raise CallError(403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.")
    call = Call(
        org=org,
        method=method,
        version=version,
        user_id=session.user_id,
        base_url=base_url(request),
        params={name: str(value) for name, value in request.path_params.items()},
        query=request.query_params,
        headers=request.headers,
        body=body,
    )
    return answer(handler, call)


async def _async(org: SalesforceOrg, template: str, handlers: Mapping[str, Handler], request: Request) -> Response:
    given = {name: str(value) for name, value in request.path_params.items()}
    body = await request.body()
    with org.lock:
        settle(org)
        reply = dataload_routes.serve(
            org,
            template,
            handlers,
            version=given.pop("version"),
            method=request.method,
            base_url=base_url(request),
            params=given,
            query=request.query_params,
            headers=request.headers,
            body=body,
        )
    return _response(reply)


def _unknown(_: Call) -> Reply:
    raise not_found()


def bearer_token(request: Request) -> str | None:
    """Return the token of the Authorization header; the old scheme ``OAuth`` is accepted too."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() in ("bearer", "oauth") else None


def base_url(request: Request) -> str:
    """Return the URL that the client reached the emulator by, without a slash at the end."""
    return f"{request.url.scheme}://{request.url.netloc}"


async def _oauth(org: SalesforceOrg, path: str, handler: OAuthHandler, request: Request) -> Response:
    body = await request.body()
    with org.lock:
        org.calls[f"{request.method} {path}"] += 1
        call = OAuthCall(
            org=org,
            method=request.method,
            base_url=base_url(request),
            token=bearer_token(request),
            params={name: str(value) for name, value in request.path_params.items()},
            form=form_of(body, request.url.query),
            headers=request.headers,
            body=body,
        )
        try:
            return _response(handler(call))
        except OAuthError as error:
            challenge = {"WWW-Authenticate": "Basic"} if error.status == 401 else {}
            return _response(Reply(error.as_body(), status=error.status, headers=challenge))


async def _control(org: SalesforceOrg, act: Callable[[SalesforceOrg, Any], Any], request: Request) -> Response:
    text = await request.body()
    try:
        body = json.loads(text) if text else {}
        with org.lock:
            settle(org)
            return _response(Reply(act(org, body)))
    except (ValueError, TypeError, KeyError, RowError, CallError) as error:
        return _response(Reply({"error": f"{type(error).__name__}: {error}"}, status=400))


async def _not_found(_request: Request, _error: Exception) -> Response:
    return _response(Reply(not_found().as_body(), status=404))


def _response(reply: Reply, headers: Mapping[str, str] | None = None) -> Response:
    extra = dict(reply.headers if headers is None else headers)
    if reply.body is None:
        return Response(status_code=reply.status, headers=extra)
    if isinstance(reply.body, str):
        return Response(reply.body, status_code=reply.status, headers=extra, media_type=reply.media_type)
    if reply.pretty:
        text = json.dumps(reply.body, ensure_ascii=False, indent=2, separators=(",", " : "))
    else:
        text = json.dumps(reply.body, ensure_ascii=False, separators=(",", ":"))
    return Response(text.encode(), status_code=reply.status, headers=extra, media_type=_JSON)
