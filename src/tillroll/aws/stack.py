"""The deployed stack: create or update it, and find its parts."""

from __future__ import annotations

import hashlib
import json
import re
import time
from importlib.resources import files
from typing import TYPE_CHECKING, Final, NamedTuple

from botocore.exceptions import ClientError, WaiterError

from tillroll.aws.errors import AwsError, explained
from tillroll.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import boto3
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_cloudformation.type_defs import (
        CreateChangeSetInputTypeDef,
        ParameterTypeDef,
        StackEventTypeDef,
    )

    from tillroll.aws.package import Package

STACK: Final = "tillroll"
_CAPABILITIES: Final = ("CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND")
_POLL_S: Final = 2.0
_NO_CHANGES: Final = ("didn't contain changes", "No updates are to be performed", "no changes")


def template() -> str:
    """Return the template's text."""
    return files("tillroll.aws").joinpath("template.yaml").read_text()


def parameter_defaults() -> dict[str, str]:
    """Return the template's parameters with their defaults, "" for those that have none."""
    section = template().partition("\nParameters:\n")[2].partition("\n\n")[0]
    found: dict[str, str] = {}
    for line in section.splitlines():
        name = re.fullmatch(r"  (\w+):", line)
        if name:
            found[name[1]] = ""
        elif line.startswith("    Default: "):
            found[next(reversed(found))] = line.partition(": ")[2].strip('"')
    return found


def mark(session: boto3.Session, stack: str, parameters: Mapping[str, str]) -> str:
    """Return what tells a stack of this template with these parameters from any other.

    SAM publishes a version of a function when its package has another key, and at no other change of a parameter.
    """
    client: CloudFormationClient = session.client("cloudformation")
    with explained(f"looking for the stack {stack}"):
        now = _parameters_now(client, stack) if _exists(client, stack) else {}
    settings = parameter_defaults() | now | dict(parameters)
    told = sorted((name, value) for name, value in settings.items() if not name.startswith("Code"))
    return hashlib.sha256(json.dumps([template(), told]).encode()).hexdigest()[:8]


def upload(
    session: boto3.Session, package: Package, bucket: str = "", owner: str = "", mark: str = ""
) -> tuple[str, str]:
    """Put the package into a bucket, unless it is there, and return the bucket and the key, which ends with the mark.

    The bucket is made when it is not named: `tillroll-code-ACCOUNT-REGION`. One that belongs to another account than
    `owner` (this one, unless told) is refused: whoever guesses a name first can make the bucket.
    """
    with explained("putting the package into a bucket"):
        s3 = session.client("s3")
        account = session.client("sts").get_caller_identity()["Account"]
        if not bucket:
            bucket = f"tillroll-code-{account}-{s3.meta.region_name}"
            _make_bucket(session, bucket, account)
        key = f"{package.key.removesuffix('.zip')}{'-' * bool(mark)}{mark}.zip"
        owned = {"Bucket": bucket, "Key": key, "ExpectedBucketOwner": owner or account}
        try:
            s3.head_object(**owned)
        except ClientError as error:
            if error.response["Error"]["Code"] not in {"404", "NoSuchKey", "NotFound"}:
                problem = f"the bucket {bucket} cannot be used ({error.response['Error']['Code']})"
                remedy = "Name another with --bucket, and its account with --bucket-owner if it is not this one"
                raise AwsError(problem, remedy) from error
            s3.put_object(**owned, Body=package.path.read_bytes())
    return bucket, key


def _make_bucket(session: boto3.Session, bucket: str, account: str) -> None:
    """Make the bucket, unless it is there, and have it as it should be: private, by TLS only, with all versions."""
    s3 = session.client("s3")
    owned = {"Bucket": bucket, "ExpectedBucketOwner": account}
    try:
        s3.head_bucket(**owned)
    except ClientError as error:
        if error.response["Error"]["Code"] not in {"404", "NoSuchBucket", "NotFound"}:
            problem = f"the bucket {bucket} belongs to another account, or is not accessible"
            raise AwsError(problem, "Name another with --bucket") from error
        region = s3.meta.region_name
        if region == "us-east-1":  # where the API takes no location
            s3.create_bucket(Bucket=bucket)
        else:
            s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": region})
    blocked = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
    s3.put_public_access_block(**owned, PublicAccessBlockConfiguration=dict.fromkeys(blocked, True))
    s3.put_bucket_versioning(**owned, VersioningConfiguration={"Status": "Enabled"})
    s3.put_bucket_policy(**owned, Policy=json.dumps(_only_tls(session.client("sts").meta.partition, bucket)))


def _only_tls(partition: str, bucket: str) -> dict[str, object]:
    arn = f"arn:{partition}:s3:::{bucket}"
    refused = {"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": [arn, f"{arn}/*"]}
    return {"Version": "2012-10-17", "Statement": [refused | {"Condition": {"Bool": {"aws:SecureTransport": "false"}}}]}


class Options(NamedTuple):
    """How a stack is deployed, beside its parameters."""

    tags: Mapping[str, str] | None = None  # None: as they are
    role_arn: str = ""  # that CloudFormation takes; empty: the caller's own rights
    adopt: bool = False  # take over tables that are there
    protected: bool | None = None  # against deletion; None: as it is, and at first so


_AS_IT_IS: Final = Options()


class Change(NamedTuple):
    """What a change set does to one resource."""

    action: str
    resource: str
    kind: str
    replaced: str  # True, False or Conditional


class ChangeSet(NamedTuple):
    """What is to be done to a stack."""

    id: str
    stack_id: str
    is_first: bool
    changes: list[Change]
    dropped: list[str]  # parameters that the template no longer has


def deploy(
    session: boto3.Session,
    stack: str,
    parameters: Mapping[str, str],
    tell: Callable[[str, str, str], None],
    options: Options = _AS_IT_IS,
) -> dict[str, str]:
    """Create or update the stack, telling what happens, and return its outputs. Nothing to change is a success.

    A parameter that is not given keeps its value, or at first takes its default.

    Raises:
        AwsError: AWS refused it, or it was rolled back.
    """
    planned = plan(session, stack, parameters, options)
    if planned is not None:
        carry_out(session, planned, tell)
    client: CloudFormationClient = session.client("cloudformation")
    protected = options.protected
    if protected is None and planned is not None and planned.is_first:
        protected = True
    if protected is not None:
        with explained(f"protecting {stack}"):
            client.update_termination_protection(StackName=stack, EnableTerminationProtection=protected)
    return outputs(session, stack)


def plan(
    session: boto3.Session, stack: str, parameters: Mapping[str, str], options: Options = _AS_IT_IS
) -> ChangeSet | None:
    """Make a change set and return it; None when there is nothing to change.

    Raises:
        ConfigError: the template has no such parameter.
        AwsError: AWS refused it.
    """
    known = parameter_defaults()
    for name in parameters:
        if name not in known:
            raise ConfigError("parameter", f"{name} is not a parameter of the template", f"They are {', '.join(known)}")
    client: CloudFormationClient = session.client("cloudformation")
    with explained(f"deploying {stack}"):
        exists = _exists(client, stack)
        if not exists and not options.adopt:
            parameters = {"OldIndex": "false", **parameters}  # which only tables of 0.1.0 need
        now = _parameters_now(client, stack) if exists else {}
        kept = [name for name in now if name not in parameters and name in known]
        called = parameters.get("Name") or now.get("Name", STACK)
        request: CreateChangeSetInputTypeDef = {
            "StackName": stack,
            "ChangeSetName": f"tillroll-{int(time.time() * 1_000)}",
            "ChangeSetType": "UPDATE" if exists else "CREATE",
            "TemplateBody": _with_plain_names(called) if options.adopt else template(),
            "Parameters": _given(parameters) + [{"ParameterKey": name, "UsePreviousValue": True} for name in kept],
            "Capabilities": list(_CAPABILITIES),
            "ImportExistingResources": options.adopt,
        }
        if options.tags is not None:
            request["Tags"] = [{"Key": name, "Value": value} for name, value in options.tags.items()]
        if options.role_arn:
            request["RoleARN"] = options.role_arn
        if not exists and not options.adopt:
            _refuse_tables_that_are_there(session, called)
        created = client.create_change_set(**request)
        if not _has_changes(client, created["Id"]):
            return None
        dropped = [name for name in now if name not in known]
        return ChangeSet(created["Id"], created["StackId"], not exists, _changes(client, created["Id"]), dropped)


def carry_out(session: boto3.Session, planned: ChangeSet, tell: Callable[[str, str, str], None]) -> None:
    """Do what a change set says, telling what happens.

    Raises:
        AwsError: it was rolled back.
    """
    client: CloudFormationClient = session.client("cloudformation")
    with explained("deploying"):
        old = {event["EventId"] for event in _events(client, planned.stack_id)}
        client.execute_change_set(ChangeSetName=planned.id)
        _watch(client, planned.stack_id, old, tell)


def _changes(client: CloudFormationClient, change: str) -> list[Change]:
    pages = client.get_paginator("describe_change_set").paginate(ChangeSetName=change)
    found = [each["ResourceChange"] for page in pages for each in page.get("Changes", []) if "ResourceChange" in each]
    return [
        Change(
            each.get("Action", ""),
            each.get("LogicalResourceId", ""),
            each.get("ResourceType", ""),
            each.get("Replacement", "False"),
        )
        for each in found
    ]


def _with_plain_names(name: str) -> str:
    """Return the template with the tables' names written out: CloudFormation takes over no other.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/import-resources-automatically.html
    """
    return re.sub(r"(?m)^( +TableName: )!Sub \$\{Name\}", rf"\g<1>{name}", template())


def _refuse_tables_that_are_there(session: boto3.Session, name: str) -> None:
    """Say so before AWS does, half an hour into it: tables outlive their stack."""
    client = session.client("dynamodb")
    found = []
    for table in (f"{name}-aggregates", f"{name}-journal"):
        try:
            client.describe_table(TableName=table)
        except ClientError as error:
            if "NotFound" in error.response["Error"]["Code"]:
                continue
            return  # who may not look finds out from CloudFormation
        found.append(table)
    if found:
        remedy = "Take them over, with all that is in them: --adopt; or give the stack another: --parameter Name=..."
        raise AwsError(f"there are already tables {' and '.join(found)}, of a stack that was deleted", remedy)


def _exists(client: CloudFormationClient, stack: str) -> bool:
    try:
        status = client.describe_stacks(StackName=stack)["Stacks"][0]["StackStatus"]
    except ClientError as error:
        if "does not exist" in str(error):
            return False
        raise
    return status != "REVIEW_IN_PROGRESS"


def _given(parameters: Mapping[str, str]) -> list[ParameterTypeDef]:
    return [{"ParameterKey": name, "ParameterValue": value} for name, value in parameters.items()]


def _parameters_now(client: CloudFormationClient, stack: str) -> dict[str, str]:
    found = client.describe_stacks(StackName=stack)["Stacks"][0].get("Parameters", [])
    return {each["ParameterKey"]: each.get("ParameterValue", "") for each in found}


def _has_changes(client: CloudFormationClient, change: str) -> bool:
    try:
        client.get_waiter("change_set_create_complete").wait(
            ChangeSetName=change, WaiterConfig={"Delay": 1, "MaxAttempts": 300}
        )
    except WaiterError as error:
        reason = str(client.describe_change_set(ChangeSetName=change).get("StatusReason", ""))
        if any(each in reason for each in _NO_CHANGES):
            client.delete_change_set(ChangeSetName=change)
            return False
        raise AwsError(f"AWS refuses the change: {reason}", "Mend the parameters and deploy again") from error
    return True


def _events(client: CloudFormationClient, stack_id: str) -> list[StackEventTypeDef]:
    """Return the latest events, oldest first."""
    return client.describe_stack_events(StackName=stack_id)["StackEvents"][::-1]


def _watch(client: CloudFormationClient, stack_id: str, seen: set[str], tell: Callable[[str, str, str], None]) -> None:
    """Tell each event of the stack that was not seen yet, until it has come to rest."""
    failed = ""
    while True:
        status = client.describe_stacks(StackName=stack_id)["Stacks"][0]["StackStatus"]
        for event in _events(client, stack_id):
            if event["EventId"] in seen:
                continue
            seen.add(event["EventId"])
            resource, reason = event.get("LogicalResourceId", ""), event.get("ResourceStatusReason", "")
            state = event.get("ResourceStatus", "")
            tell(resource, state, reason)
            if state.endswith("_FAILED") and not failed and "cancelled" not in reason:
                failed = f"{resource}: {reason}"
        if not status.endswith("IN_PROGRESS"):
            break
        time.sleep(_POLL_S)
    if status not in {"CREATE_COMPLETE", "UPDATE_COMPLETE"}:
        remedy = "Fix it and deploy again; a stack that was never complete must be deleted first"
        raise AwsError(f"the stack is {status}: {failed or 'see its events'}", remedy)


def outputs(session: boto3.Session, stack: str) -> dict[str, str]:
    """Return a stack's outputs by name.

    Raises:
        AwsError: there is no such stack, or it cannot be seen.
    """
    client: CloudFormationClient = session.client("cloudformation")
    with explained(f"looking for the stack {stack} in {client.meta.region_name}"):
        found = client.describe_stacks(StackName=stack)["Stacks"][0]
    return {each["OutputKey"]: each["OutputValue"] for each in found.get("Outputs", [])}
