"""SOAP ``login()``, which older clients sign in with. No other call of the SOAP API is here.

"Platform SOAP API login() Retirement" (Salesforce Help): v31.0 to v64.0 have it, later versions do not, and an org may
have it switched off.
"""

from __future__ import annotations

import re
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Final
from xml.etree.ElementTree import Element, ParseError
from xml.sax.saxutils import escape

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import fromstring

from crmsync.testing.salesforce.oauth.call import OAuthCall, RouteTable
from crmsync.testing.salesforce.oauth.token import password_fits
from crmsync.testing.salesforce.routes.call import Reply
from crmsync.testing.salesforce.routes.metadata import FIRST_LIVE_VERSION

if TYPE_CHECKING:
    from crmsync.testing.salesforce.store import Row

LAST_VERSION_WITH_LOGIN: Final = 64
_DEFAULT_LIFETIME: Final = timedelta(hours=2)
_VERSION: Final = re.compile(r"(\d{1,3})(?:\.0)?")
_HEADERS: Final = {"Content-Type": "text/xml;charset=UTF-8"}
_ENVELOPE: Final = "http://schemas.xmlsoap.org/soap/envelope/"
#: Namespaces of ``login`` by the part of the URL that names the WSDL: partner and enterprise.
_NAMESPACES: Final = {"u": "urn:partner.soap.sforce.com", "c": "urn:enterprise.soap.sforce.com"}
_FAULT: Final = """\
<?xml version="1.0" encoding="UTF-8"?>\
<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" xmlns:sf="{namespace}" \
xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><soapenv:Body><soapenv:Fault>\
<faultcode>sf:{code}</faultcode><faultstring>{code}: {message}</faultstring><detail>\
<sf:{kind} xsi:type="sf:{kind}"><sf:exceptionCode>{code}</sf:exceptionCode>\
<sf:exceptionMessage>{message}</sf:exceptionMessage></sf:{kind}></detail>\
</soapenv:Fault></soapenv:Body></soapenv:Envelope>"""
_RESULT: Final = """\
<?xml version="1.0" encoding="UTF-8"?>\
<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" xmlns="{namespace}" \
xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><soapenv:Body><loginResponse><result>\
<metadataServerUrl>{url}/services/Soap/m/{version}/{short_id}</metadataServerUrl>\
<passwordExpired>false</passwordExpired><sandbox>false</sandbox>\
<serverUrl>{url}/services/Soap/{wsdl}/{version}/{short_id}</serverUrl>\
<sessionId>{session}</sessionId><userId>{user_id}</userId><userInfo>\
<organizationId>{org_id}</organizationId><organizationName>{org_name}</organizationName>\
<sessionSecondsValid>{seconds}</sessionSecondsValid><userEmail>{email}</userEmail>\
<userFullName>{name}</userFullName><userId>{user_id}</userId><userLanguage>en_US</userLanguage>\
<userLocale>en_US</userLocale><userName>{username}</userName><userTimeZone>GMT</userTimeZone>\
<userType>Standard</userType></userInfo></result></loginResponse></soapenv:Body></soapenv:Envelope>"""


class _FaultError(Exception):
    """A refused call. ``kind`` is the fault's type in the WSDL."""

    def __init__(self, code: str, message: str, kind: str = "UnexpectedErrorFault") -> None:
        super().__init__(code, message, kind)
        self.code = code
        self.message = message
        self.kind = kind


def login(call: OAuthCall, wsdl: str) -> Reply:
    """Open a session for a username and a password."""
    try:
        number = _version(call)
        username, password = _credentials(call, _NAMESPACES[wsdl])
        _require_login(call, number)
        user = call.user_named(username)
        if user is None or not password_fits(call, username, password):
            message = "Invalid username, password, security token; or user locked out."
            raise _FaultError("INVALID_LOGIN", message, "LoginFault")
        return Reply(_result(call, user, wsdl, number), headers=_HEADERS)
    except _FaultError as error:
        text = _FAULT.format(
            namespace=_NAMESPACES[wsdl].replace("urn:", "urn:fault."),
            code=error.code,
            message=escape(error.message),
            kind=error.kind,
        )
        return Reply(text, status=500, headers=_HEADERS)


def _version(call: OAuthCall) -> int:
    match = _VERSION.fullmatch(call.params["version"])
    if match is None or not FIRST_LIVE_VERSION <= int(match[1]) <= call.org.max_version:
        raise _FaultError("UNSUPPORTED_API_VERSION", "Invalid Api version specified on URL", "ApiFault")
    return int(match[1])


def _require_login(call: OAuthCall, number: int) -> None:
    if number > LAST_VERSION_WITH_LOGIN:
        message = f"SOAP API login() is not available in API version {number}.0"
        raise _FaultError("INVALID_OPERATION", message)
    if not call.org.oauth.allow_soap_login:
        message = (
            "SOAP API login() is disabled by default in this org. Contact the org administrator to enable SOAP API"
            " login()."
        )
        raise _FaultError("INVALID_OPERATION", message)


def _credentials(call: OAuthCall, namespace: str) -> tuple[str, str]:
    try:
        envelope: Element = fromstring(call.body, forbid_dtd=True)
    except (ParseError, DefusedXmlException, ValueError):
        raise _FaultError("UNKNOWN_EXCEPTION", "the request is not well-formed SOAP") from None
    found = envelope.find(f"{{{_ENVELOPE}}}Body/{{{namespace}}}login")
    if found is None:
        raise _FaultError("INVALID_OPERATION", "the emulator has no SOAP call but login()")
    return found.findtext(f"{{{namespace}}}username", ""), found.findtext(f"{{{namespace}}}password", "")


def _result(call: OAuthCall, user: Row, wsdl: str, number: int) -> str:
    org = call.org
    lifetime = org.oauth.session_lifetime or _DEFAULT_LIFETIME
    organization = org.get("Organization", org.org_id) or {}
    values = {
        "namespace": _NAMESPACES[wsdl],
        "url": call.base_url,
        "wsdl": wsdl,
        "version": f"{number}.0",
        "short_id": org.org_id[:15],
        "session": org.oauth.open_session(user["Id"], org.now()),
        "user_id": user["Id"],
        "org_id": org.org_id,
        "org_name": organization.get("Name", ""),
        "seconds": int(lifetime.total_seconds()),
        "email": user.get("Email", ""),
        "name": user.get("Name", ""),
        "username": user.get("Username", ""),
    }
    return _RESULT.format(**{name: escape(str(value)) for name, value in values.items()})


ROUTES: RouteTable = tuple(
    (f"/services/Soap/{wsdl}/{{version}}{end}", ("POST",), partial(login, wsdl=wsdl))
    for wsdl in _NAMESPACES
    for end in ("", "/{org}")
)
