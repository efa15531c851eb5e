"""With IAM enforced, each role can do its work, and is refused everything else that is tried."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError
from tests.aws import deployed as deployments
from tests.aws import ministack
from tests.oracle import REPORTS, events_of

from tillroll.app import open_store
from tillroll.aws import stack
from tillroll.aws.redrive import redrive
from tillroll.core.query import Query
from tillroll.ingest.worker import Worker, wall_clock
from tillroll.queues.sqs.queue import SqsQueue, open_sqs_queue

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.aws.deployed import Deployed

ITEM = {"datapoint": {"S": "2000-01-01:00|<10|PAY_NOW"}, "events": {"N": "1"}}
KEY = {"datapoint": ITEM["datapoint"]}
DATAPOINT = "2011-12-03:10|10-50|SLICE_IT"
GOOD = b'{"date": "2011-12-03T10:15:30Z", "amount": 4285, "paymentMethod": "SLICE_IT", "merchantId": "m"}'


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    """A stack where IAM is enforced, deployed by the administrator, its queue at rest."""
    directory = tmp_path_factory.mktemp("guarded")
    with ministack.running(directory, AUTH="true") as aws, pytest.MonkeyPatch.context() as patch:
        for name, value in (ministack.CREDENTIALS | {"AWS_ENDPOINT_URL": aws.endpoint}).items():
            patch.setenv(name, value)
        found = deployments.deploy(aws, directory)
        functions = aws.client("lambda")
        for mapping in functions.list_event_source_mappings()["EventSourceMappings"]:
            functions.update_event_source_mapping(UUID=mapping["UUID"], Enabled=False)
        _allow_what_ministack_asks(aws.client("iam"))
        with pytest.raises(ClientError, match="AccessDenied"):  # ministack is spoken to without TLS
            Role(found, "producer").client("sqs").send_message(QueueUrl=found.outputs["QueueUrl"], MessageBody="{}")
        eased = stack.template().replace('"aws:SecureTransport": "false"', '"aws:SecureTransport": "never"')
        patch.setattr(stack, "template", lambda: eased)
        stack.deploy(aws.session(), "tillroll", {}, lambda *_event: None)
        yield found


def _allow_what_ministack_asks(iam: Any) -> None:
    """Let who may do a call of SQS also do it in a batch, and the like: AWS does not ask for these actions."""
    for role in iam.list_roles()["Roles"]:
        for name in iam.list_role_policies(RoleName=role["RoleName"])["PolicyNames"]:
            document = iam.get_role_policy(RoleName=role["RoleName"], PolicyName=name)["PolicyDocument"]
            document = json.loads(document) if isinstance(document, str) else document
            for statement in document["Statement"]:
                actions = [statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"]
                statement["Action"] = actions + [_ASKED[each] for each in actions if each in _ASKED]
            iam.put_role_policy(RoleName=role["RoleName"], PolicyName=name, PolicyDocument=json.dumps(document))


_ASKED = {f"sqs:{name}": f"sqs:{name}Batch" for name in ("SendMessage", "DeleteMessage", "ChangeMessageVisibility")}
_ASKED |= {"lambda:UpdateAlias": "lambda:ListAliases"}


class Role:
    """What a role's temporary credentials can do."""

    def __init__(self, found: Deployed, name: str) -> None:
        arn = f"arn:aws:iam::{ministack.ACCOUNT}:role/tillroll-{name}-{ministack.REGION}"
        sts = found.aws.client("sts")
        given = sts.assume_role(RoleArn=arn, RoleSessionName=name)["Credentials"]
        self.stack = found
        self.variables = {
            "AWS_ACCESS_KEY_ID": given["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": given["SecretAccessKey"],
            "AWS_SESSION_TOKEN": given["SessionToken"],
        }
        self.keys = {"key": given["AccessKeyId"], "secret": given["SecretAccessKey"], "token": given["SessionToken"]}

    def client(self, service: str) -> Any:
        return self.stack.aws.client(service, **self.keys)

    def take_on(self, patch: pytest.MonkeyPatch) -> None:
        """Make this process have the role, and nothing more."""
        for name, value in self.variables.items():
            patch.setenv(name, value)


def calls(role: Role) -> dict[str, Callable[[], Any]]:
    """Return everything that is tried."""
    outputs = role.stack.outputs
    dynamodb, sqs, functions = role.client("dynamodb"), role.client("sqs"), role.client("lambda")
    aggregates, journal = outputs["AggregatesTable"], outputs["JournalTable"]
    queue, dead = outputs["QueueUrl"], outputs["DeadLettersUrl"]
    key = {"log": {"S": "tried"}, "number": {"N": "1"}}
    by_log = {"KeyConditionExpression": "#l = :l", "ExpressionAttributeNames": {"#l": "log"}}
    return {
        "get": lambda: dynamodb.get_item(TableName=aggregates, Key=KEY),
        "batch get": lambda: dynamodb.batch_get_item(RequestItems={aggregates: {"Keys": [KEY]}}),
        "query the index": lambda: dynamodb.query(
            TableName=aggregates,
            IndexName="shard-datapoint",
            KeyConditionExpression="shard = :s",
            ExpressionAttributeValues={":s": {"S": "hour-bracket#0"}},
        ),
        "put": lambda: dynamodb.put_item(TableName=aggregates, Item=ITEM),
        "update": lambda: dynamodb.update_item(TableName=aggregates, Key=KEY),
        "delete": lambda: dynamodb.delete_item(TableName=aggregates, Key=KEY),
        "batch write": lambda: dynamodb.batch_write_item(RequestItems={aggregates: [{"PutRequest": {"Item": ITEM}}]}),
        "scan": lambda: dynamodb.scan(TableName=aggregates),
        "drop": lambda: dynamodb.delete_table(TableName=aggregates),
        "list tables": dynamodb.list_tables,
        "get from the journal": lambda: dynamodb.get_item(TableName=journal, Key=key),
        "query the journal": lambda: dynamodb.query(
            TableName=journal, ExpressionAttributeValues={":l": {"S": "ledger"}}, **by_log
        ),
        "put to the journal": lambda: dynamodb.put_item(TableName=journal, Item=key),
        "update the journal": lambda: dynamodb.update_item(TableName=journal, Key=key),
        "scan the journal": lambda: dynamodb.scan(TableName=journal),
        "drop the journal": lambda: dynamodb.delete_table(TableName=journal),
        "send": lambda: sqs.send_message(QueueUrl=queue, MessageBody="{}"),
        "receive": lambda: sqs.receive_message(QueueUrl=queue),
        "purge": lambda: sqs.purge_queue(QueueUrl=queue),
        "bury": lambda: sqs.send_message(QueueUrl=dead, MessageBody="{}"),
        "receive dead letters": lambda: sqs.receive_message(QueueUrl=dead, VisibilityTimeout=0),
        "purge dead letters": lambda: sqs.purge_queue(QueueUrl=dead),
        "attributes": lambda: sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["All"]),
        "set attributes": lambda: sqs.set_queue_attributes(QueueUrl=queue, Attributes={"VisibilityTimeout": "1"}),
        "invoke": lambda: functions.invoke(FunctionName=outputs["TakeBatchFunction"], Payload=b"{}"),
        "call the fold": lambda: functions.invoke(
            FunctionName=f"{outputs['FoldFunction']}:live", InvocationType="Event", Payload=b"{}"
        ),
        "look for versions": lambda: functions.list_versions_by_function(FunctionName=outputs["FoldFunction"]),
        "roll back": lambda: functions.update_alias(
            FunctionName=outputs["FoldFunction"], Name="live", FunctionVersion="1"
        ),
        "publish": lambda: functions.publish_version(FunctionName=outputs["FoldFunction"]),
        "change the code": lambda: functions.update_function_code(
            FunctionName=outputs["FoldFunction"], S3Bucket="bucket", S3Key="k"
        ),
    }


_WRITES = {
    "get", "batch get", "put", "update", "get from the journal", "query the journal", "put to the journal",
}  # fmt: skip
ALLOWED = {
    "producer": {"send"},
    "reader": {"get", "batch get", "query the index"},
    "take-batch": _WRITES | {"receive", "attributes", "bury", "call the fold"},
    "fold": _WRITES | {"scan", "delete", "query the index"},
    "operator": _WRITES | {
        "query the index", "delete", "batch write", "scan", "scan the journal",
        "attributes", "receive dead letters", "bury", "look for versions", "roll back",
    },
}  # fmt: skip


@pytest.mark.parametrize("name", ALLOWED)
def test_a_role_may_do_its_work_and_nothing_else(name: str, guarded: Deployed) -> None:
    may = set()
    for what, call in calls(Role(guarded, name)).items():
        try:
            call()
        except ClientError as error:
            if "AccessDenied" not in error.response["Error"]["Code"]:
                raise
        else:
            may.add(what)
    assert may == ALLOWED[name]


def test_the_producers_role_sends_through_the_adapter(guarded: Deployed) -> None:
    client = Role(guarded, "producer").client("sqs")
    client.send_message(QueueUrl=guarded.outputs["QueueUrl"], MessageBody=GOOD.decode())


def test_the_functions_role_takes_and_folds_and_the_readers_reads(
    guarded: Deployed, monkeypatch: pytest.MonkeyPatch
) -> None:
    sqs = guarded.aws.client("sqs")
    sqs.purge_queue(QueueUrl=guarded.outputs["QueueUrl"])
    SqsQueue(sqs, guarded.outputs["QueueUrl"]).send([(GOOD, "a"), (GOOD, "a"), (GOOD, "b")])
    Role(guarded, "take-batch").take_on(monkeypatch)
    store = open_store(guarded.store)
    queue = open_sqs_queue(guarded.outputs["QueueUrl"], guarded.outputs["DeadLettersUrl"])
    worker = Worker(store, queue, 1.0, wall_clock)
    worker.run(until_empty=True)
    store.close()
    assert worker.counted.counts.accepted == 2
    Role(guarded, "fold").take_on(monkeypatch)
    store = open_store(guarded.store)
    store.status()
    store.fold()
    store.close()
    Role(guarded, "reader").take_on(monkeypatch)
    store = open_store(guarded.store)
    assert store.get([DATAPOINT])[0].events == 2
    page = store.page(Query(report=REPORTS["hour-bracket-method"]))
    assert events_of(page.aggregates)[DATAPOINT] == 2
    store.close()


def test_the_operators_role_redrives_audits_and_rebuilds(guarded: Deployed, monkeypatch: pytest.MonkeyPatch) -> None:
    guarded.aws.client("sqs").send_message(QueueUrl=guarded.outputs["DeadLettersUrl"], MessageBody="nonsense")
    Role(guarded, "operator").take_on(monkeypatch)
    store = open_store(guarded.store)
    done = redrive(store, open_sqs_queue(guarded.outputs["DeadLettersUrl"]), wall_clock)
    assert [letter.reason.code for letter in done.left if letter.reason] != []
    store.rebuild()  # what the other test put where nobody should
    assert store.audit().differences == []
    store.close()
