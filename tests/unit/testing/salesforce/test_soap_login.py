"""SOAP login(): the two envelopes that clients send, and the faults they read."""

from __future__ import annotations

from xml.etree.ElementTree import fromstring

import httpx2
import pytest

from crmsync.testing.salesforce import API_USER_ID, API_USERNAME, EMULATOR_PASSWORD, ORG_ID, SalesforceOrg

pytestmark = pytest.mark.anyio

LIMITS = "/services/data/v64.0/limits"


def envelope(username: str, password: str, wsdl: str = "partner") -> str:
    """Return a login request as simple-salesforce writes it."""
    return f"""<?xml version="1.0" encoding="utf-8" ?>
        <env:Envelope xmlns:xsd="http://www.w3.org/2001/XMLSchema"
                      xmlns:env="http://schemas.xmlsoap.org/soap/envelope/" xmlns:urn="urn:{wsdl}.soap.sforce.com">
            <env:Header><urn:CallOptions><urn:client>me</urn:client></urn:CallOptions></env:Header>
            <env:Body>
                <n1:login xmlns:n1="urn:{wsdl}.soap.sforce.com">
                    <n1:username>{username}</n1:username><n1:password>{password}</n1:password>
                </n1:login>
            </env:Body>
        </env:Envelope>"""


async def login(client: httpx2.AsyncClient, text: str, path: str = "u/64.0") -> httpx2.Response:
    """Post a request as clients do."""
    headers = {"content-type": "text/xml", "charset": "UTF-8", "SOAPAction": "login", "Authorization": ""}
    return await client.post(f"/services/Soap/{path}", content=text.encode(), headers=headers)


def fault(response: httpx2.Response) -> tuple[str, str]:
    """Return code and message of a fault, which must agree in its two places."""
    assert response.status_code == 500
    tree = fromstring(response.text)
    texts = {element.tag.rpartition("}")[2]: element.text or "" for element in tree.iter()}
    assert texts["faultcode"] == f"sf:{texts['exceptionCode']}"
    assert texts["faultstring"] == f"{texts['exceptionCode']}: {texts['exceptionMessage']}"
    return texts["exceptionCode"], texts["exceptionMessage"]


@pytest.mark.parametrize("path,wsdl", [("u/31.0", "partner"), ("u/64.0/00D", "partner"), ("c/59.0", "enterprise")])
async def test_a_good_password_opens_a_session(client: httpx2.AsyncClient, path: str, wsdl: str) -> None:
    response = await login(client, envelope(API_USERNAME.title(), EMULATOR_PASSWORD, wsdl), path)
    assert response.headers["Content-Type"] == "text/xml;charset=UTF-8"
    tree = fromstring(response.text)
    texts = {element.tag.rpartition("}")[2]: element.text or "" for element in tree.iter()}
    assert (texts["userId"], texts["organizationId"]) == (API_USER_ID, ORG_ID)
    assert texts["serverUrl"] == f"http://org.example/services/Soap/{path[:6]}/{ORG_ID[:15]}"
    headers = {"Authorization": f"Bearer {texts['sessionId']}"}
    assert (await client.get(LIMITS, headers=headers)).status_code == 200


@pytest.mark.parametrize("username,password", [(API_USERNAME, "wrong"), ("nobody", EMULATOR_PASSWORD), ("", "")])
async def test_a_wrong_password_is_a_fault(client: httpx2.AsyncClient, username: str, password: str) -> None:
    response = await login(client, envelope(username, password))
    message = "Invalid username, password, security token; or user locked out."
    assert fault(response) == ("INVALID_LOGIN", message)


@pytest.mark.parametrize(
    "path,code",
    [("u/30.0", "UNSUPPORTED_API_VERSION"), ("u/65.0", "INVALID_OPERATION"), ("u/x", "UNSUPPORTED_API_VERSION")],
)
async def test_versions_without_login_are_a_fault(client: httpx2.AsyncClient, path: str, code: str) -> None:
    response = await login(client, envelope(API_USERNAME, EMULATOR_PASSWORD), path)
    assert fault(response)[0] == code


async def test_an_org_can_have_it_switched_off(client: httpx2.AsyncClient, org: SalesforceOrg) -> None:
    org.oauth.allow_soap_login = False
    code, message = fault(await login(client, envelope(API_USERNAME, EMULATOR_PASSWORD)))
    assert (code, message.partition(".")[0]) == (
        "INVALID_OPERATION",
        "SOAP API login() is disabled by default in this org",
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "<a>",
        '<!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>',
        '<!DOCTYPE a SYSTEM "file:///etc/passwd"><a/>',
    ],
)
async def test_what_is_not_plain_soap_is_a_fault_and_is_not_expanded(client: httpx2.AsyncClient, text: str) -> None:
    assert fault(await login(client, text))[0] == "UNKNOWN_EXCEPTION"


async def test_other_calls_and_another_wsdl_are_a_fault(client: httpx2.AsyncClient) -> None:
    other = envelope(API_USERNAME, EMULATOR_PASSWORD).replace("n1:login", "n1:logout")
    assert fault(await login(client, other))[0] == "INVALID_OPERATION"
    assert fault(await login(client, envelope(API_USERNAME, EMULATOR_PASSWORD), "c/59.0"))[0] == "INVALID_OPERATION"
