"""The deployed stack: create or update it, and find its parts."""

from __future__ import annotations

import time
from importlib.resources import files
from typing import TYPE_CHECKING, Final

from botocore.exceptions import ClientError, WaiterError

from tillroll.aws.errors import AwsError, explained

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import boto3
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_cloudformation.type_defs import ParameterTypeDef, StackEventTypeDef

    from tillroll.aws.package import Package

STACK: Final = "tillroll"
_CAPABILITIES: Final = ("CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND")
_POLL_S: Final = 2.0
_NO_CHANGES: Final = ("didn't contain changes", "No updates are to be performed", "no changes")


def template() -> str:
    """Return the template's text."""
    return files("tillroll.aws").joinpath("template.yaml").read_text()


def upload(session: boto3.Session, package: Package, bucket: str = "") -> tuple[str, str]:
    """Put the package into a bucket, unless it is there, and return the bucket and the key.

    The bucket is made when it is not named: `tillroll-code-ACCOUNT-REGION`.
    """
    with explained("putting the package into a bucket"):
        s3 = session.client("s3")
        if not bucket:
            account = session.client("sts").get_caller_identity()["Account"]
            bucket = f"tillroll-code-{account}-{s3.meta.region_name}"
            _make_bucket(session, bucket)
        try:
            s3.head_object(Bucket=bucket, Key=package.key)
        except ClientError:
            s3.put_object(Bucket=bucket, Key=package.key, Body=package.path.read_bytes())
    return bucket, package.key


def _make_bucket(session: boto3.Session, bucket: str) -> None:
    s3 = session.client("s3")
    try:
        s3.head_bucket(Bucket=bucket)
    except ClientError:
        region = s3.meta.region_name
        if region == "us-east-1":  # where the API takes no location
            s3.create_bucket(Bucket=bucket)
        else:
            s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": region})


def deploy(
    session: boto3.Session, stack: str, parameters: Mapping[str, str], tell: Callable[[str, str, str], None]
) -> dict[str, str]:
    """Create or update the stack, telling what happens, and return its outputs. Nothing to change is a success.

    A parameter that is not given keeps its value, or at first takes its default.

    Raises:
        AwsError: AWS refused it, or it was rolled back.
    """
    client: CloudFormationClient = session.client("cloudformation")
    with explained(f"deploying {stack}"):
        exists = _exists(client, stack)
        change = f"tillroll-{int(time.time() * 1_000)}"
        created = client.create_change_set(
            StackName=stack,
            ChangeSetName=change,
            ChangeSetType="UPDATE" if exists else "CREATE",
            TemplateBody=template(),
            Parameters=_parameters(client, stack, parameters) if exists else _given(parameters),
            Capabilities=list(_CAPABILITIES),
        )
        if _has_changes(client, created["Id"]):
            old = {event["EventId"] for event in _events(client, created["StackId"])}
            client.execute_change_set(ChangeSetName=created["Id"])
            _watch(client, created["StackId"], old, tell)
        return outputs(session, stack)


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


def _parameters(client: CloudFormationClient, stack: str, given: Mapping[str, str]) -> list[ParameterTypeDef]:
    """Return the parameters given, and every other as it is."""
    now = client.describe_stacks(StackName=stack)["Stacks"][0].get("Parameters", [])
    kept = [each["ParameterKey"] for each in now if each["ParameterKey"] not in given]
    return _given(given) + [{"ParameterKey": name, "UsePreviousValue": True} for name in kept]


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
        remedy = "Mend it and deploy again; a stack that never was whole must be deleted first"
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
