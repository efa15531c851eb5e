"""Events by HTTP: API Gateway puts them on the queue itself, with the Idempotency-Key as the eventId."""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.request
import uuid
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from tests.aws.conftest import take_for_aws
from tests.aws.deployed import wait_until
from tests.aws.ministack import REGION

from tillroll.app import open_store
from tillroll.web.events import TYPES

if TYPE_CHECKING:
    from tests.aws.deployed import Deployed

    from tillroll.ports import Store

SUFFIXED = [
    f"application/{name}+json" for name in ("cloudevents", "cloudevents-batch", "vnd.api", "hal", "ld", "problem")
]
DIRECTIVE = re.compile(r"""#if\("\$!key" [!=]= ""\)|#\{?end\}?""")


def post(
    deployed: Deployed, body: str, content_type: str, key: str, *, signed: bool = True
) -> tuple[int, dict[str, object]]:
    """POST to the stack's API, at the address that ministack serves it on, signed as AWS_IAM wants it."""
    url = urlsplit(deployed.outputs["EventsUrl"])
    api, path = url.netloc.partition(".")[0], url.path
    address = f"{deployed.aws.endpoint}/_aws/execute-api/{api}{path}"
    headers = {"Content-Type": content_type, "Idempotency-Key": key}
    wanted = AWSRequest("POST", address, headers=headers, data=body.encode())
    if signed:
        SigV4Auth(Credentials("test", "test"), "execute-api", REGION).add_auth(wanted)
    request = urllib.request.Request(address, body.encode(), dict(wanted.headers.items()), method="POST")
    try:
        with urllib.request.urlopen(request, timeout=30) as reply:
            return reply.status, json.loads(reply.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read() or b"{}")


def take_the_condition(deployed: Deployed) -> None:
    """Resolve each #if to true, as for a request with a key in small letters: ministack knows #set, and no #if."""
    gateway = deployed.aws.client("apigateway")
    api = urlsplit(deployed.outputs["EventsUrl"]).netloc.partition(".")[0]
    [resource] = [each for each in gateway.get_resources(restApiId=api)["items"] if each["path"] == "/events"]
    where = {"restApiId": api, "resourceId": resource["id"], "httpMethod": "POST"}
    integration = gateway.get_integration(**where)
    templates = integration["requestTemplates"]
    assert all(len(DIRECTIVE.findall(text)) == 4 for text in templates.values())
    responses = integration["integrationResponses"]
    gateway.put_integration(
        **where,
        type=integration["type"],
        integrationHttpMethod="POST",
        uri=integration["uri"],
        credentials=integration["credentials"],
        requestParameters=integration["requestParameters"],
        requestTemplates={name: DIRECTIVE.sub("", text) for name, text in templates.items()},
        passthroughBehavior=integration["passthroughBehavior"],
    )
    for status, response in responses.items():
        kept = {name: response[name] for name in ("selectionPattern", "responseTemplates") if name in response}
        gateway.put_integration_response(**where, statusCode=status, **kept)


def counted(store: Store, datapoint: str) -> int:
    """Fold and count, rather than wait for the minute in which the stack folds."""
    store.fold()
    return store.get([datapoint])[0].events


@pytest.fixture(scope="session")
def conditional(once_deployed: Deployed) -> None:
    """The stack's templates as ministack takes them: changed once, however often a worker comes to this module."""
    with pytest.MonkeyPatch.context() as patch:
        take_for_aws(once_deployed.aws, patch)
        take_the_condition(once_deployed)


def purchase(merchant: str) -> str:
    event = {"date": "2011-12-06T10:15:30Z", "amount": 1, "paymentMethod": "PAY_NOW", "merchantId": merchant}
    return json.dumps(event | {"note": "a&b=c+d é"})


@pytest.mark.usefixtures("conditional")
def test_a_post_with_an_idempotency_key_is_counted_once_however_often_and_whatever_type_it_is_sent_as(
    deployed: Deployed,
) -> None:
    """The types that `serve` takes, among them what `curl -d` says of all it sends, and none."""
    merchant = uuid.uuid4().hex
    with_parameters = "application/json; charset=utf-8", "Text/Plain;charset=UTF-8", "application/hal+json; profile=x"
    for content_type in (*TYPES, *SUFFIXED, *with_parameters, ""):
        status, answer = post(deployed, purchase(merchant), content_type, f"key-{merchant}")
        assert status == 202, (content_type, answer)
        assert answer["messageId"]
    assert post(deployed, purchase(merchant), "application/json", f"other-{merchant}")[0] == 202
    store = open_store(deployed.store)
    wait_until(lambda: counted(store, f"2011-12-06|{merchant}") == 2, "two purchases, by their keys")
    store.close()


@pytest.mark.usefixtures("conditional")
def test_a_bad_first_line_costs_only_itself(deployed: Deployed) -> None:
    bad = ("nonsense", '{"date": "2011', "[17,", "\ufeff{]", '"')
    merchants = [uuid.uuid4().hex for _ in bad]
    for first, merchant in zip(bad, merchants, strict=True):
        body = f"{first}\n{purchase(merchant)}\n{purchase(merchant)}"
        assert post(deployed, body, "application/x-www-form-urlencoded", f"key-{merchant}")[0] == 202
    store = open_store(deployed.store)
    datapoints = [f"2011-12-06|{merchant}" for merchant in merchants]
    wait_until(lambda: all(counted(store, each) == 2 for each in datapoints), "the two lines after each")
    store.close()


@pytest.mark.parametrize(
    ("body", "content_type", "status", "word"),
    [("", "application/json", 400, "the queue does not take this body"), ("<a/>", "text/xml", 415, "unknown_type")],
)
def test_what_the_queue_is_not_asked_or_refuses_is_told(
    body: str, content_type: str, status: int, word: str, deployed: Deployed
) -> None:
    found, answer = post(deployed, body, content_type, "key")
    assert found == status
    assert answer["status"] == status
    assert word in answer.values()


def test_a_request_that_nobody_signed_goes_no_further(deployed: Deployed) -> None:
    assert post(deployed, "{}", "application/json", "key", signed=False)[0] == 403
