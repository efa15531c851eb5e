"""A stack's life on somebody's account: looked at first, tagged, protected, rolled back, deleted, deployed again."""

from __future__ import annotations

import json
import uuid
import zipfile
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError
from tests.aws.ministack import ACCOUNT

from tillroll.aws import release, stack
from tillroll.aws.errors import AwsError
from tillroll.aws.package import Package
from tillroll.cli.main import run
from tillroll.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    from tests.aws.deployed import Deployed
    from tests.aws.ministack import Ministack

OTHER = "999999999999"


def silent(*_event: str) -> None:
    """Tell nobody."""


def parameters(deployed: Deployed) -> dict[str, str]:
    """Return the parameters of the shared stack, for one of another name beside it."""
    found = deployed.aws.client("cloudformation").describe_stacks(StackName="tillroll")["Stacks"][0]["Parameters"]
    given = {each["ParameterKey"]: each["ParameterValue"] for each in found}
    return given | {"Name": "second", "HttpApi": "false"}


def another_package(deployed: Deployed, given: dict[str, str], directory: Path) -> Package:
    """Return the package that is deployed, with one file more."""
    path = directory / "another.zip"
    deployed.aws.client("s3").download_file(given["CodeBucket"], given["CodeKey"], str(path))
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("another.txt", "another")
    return Package(path, f"tillroll/another-{uuid.uuid4().hex}.zip", 0, has_kernel=True)


def publish(functions: Any, bucket: str, key: str, **variables: str) -> None:
    """Do what CloudFormation does for another key of the package: ministack gives SAM no parameters to see it by."""
    for name in ("second-take-batch", "second-fold"):
        functions.update_function_code(FunctionName=name, S3Bucket=bucket, S3Key=key)
        functions.update_function_configuration(FunctionName=name, Environment={"Variables": variables})
        version = functions.publish_version(FunctionName=name)["Version"]
        functions.update_alias(FunctionName=name, Name="live", FunctionVersion=version)


def test_a_stack_is_planned_protected_rolled_back_and_takes_its_tables_over(
    deployed: Deployed, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    session, given = deployed.aws.session(), parameters(deployed)
    formation, functions = deployed.aws.client("cloudformation"), deployed.aws.client("lambda")
    planned = stack.plan(session, "second", given)
    assert planned is not None
    assert planned.is_first
    assert {"Journal", "Aggregates", "TakeBatch"} <= {each.resource for each in planned.changes}
    with pytest.raises(ClientError):  # looked at, not done
        functions.get_function(FunctionName="second-fold")

    outputs = stack.deploy(session, "second", given, silent, stack.Options(tags={"team": "checkout"}))
    [described] = formation.describe_stacks(StackName="second")["Stacks"]
    assert described["EnableTerminationProtection"]
    assert described["Tags"] == [{"Key": "team", "Value": "checkout"}]

    with pytest.raises(AwsError, match="no package before version 1"):
        release.rollback(session, outputs)
    another = another_package(deployed, given, tmp_path)
    bucket, key = stack.upload(session, another, mark=stack.mark(session, "second", {}))
    assert key != stack.upload(session, another, mark=stack.mark(session, "second", {"FreshnessSeconds": "7"}))[1]
    publish(functions, bucket, key)
    publish(functions, bucket, key, TILLROLL_FRESHNESS_S="7")  # a version more of the same package
    assert not release.is_rolled_back(session, outputs)
    assert run(["aws", "rollback", "--stack", "second"]) == 0
    assert "second-fold: version 3 -> 1" in capfd.readouterr().out
    for name in ("second-take-batch", "second-fold"):
        assert functions.get_alias(FunctionName=name, Name="live")["FunctionVersion"] == "1"
    assert release.is_rolled_back(session, outputs)
    assert {(move.before.number, move.after.number) for move in release.undo(session, outputs)} == {(1, 3)}
    assert release.undo(session, outputs) == []
    by_hand = {"FunctionName": "second-fold", "Name": "live"}
    functions.update_alias(**by_hand, FunctionVersion="$LATEST")
    assert release.is_rolled_back(session, outputs)
    assert run(["aws", "rollback", "--stack", "second", "--undo"]) == 0
    assert "second-fold: version $LATEST -> 3" in capfd.readouterr().out
    functions.update_alias(**by_hand | {"FunctionName": "second-take-batch"}, FunctionVersion="$LATEST")
    assert {(move.before.name, move.after.name) for move in release.rollback(session, outputs)} == {
        ("$LATEST", "1"),
        ("3", "1"),
    }
    assert release.undo(session, outputs)

    deployed.aws.client("dynamodb").put_item(TableName="second-journal", Item={"log": {"S": "x"}, "number": {"N": "1"}})
    formation.update_termination_protection(StackName="second", EnableTerminationProtection=False)
    formation.delete_stack(StackName="second")
    formation.get_waiter("stack_delete_complete").wait(StackName="second", WaiterConfig={"Delay": 1})
    with pytest.raises(AwsError, match="--adopt"):
        stack.deploy(session, "second", given, silent)
    stack.deploy(session, "second", given, silent, stack.Options(adopt=True, protected=False))
    assert stack.plan(session, "second", {}, stack.Options(adopt=True)) is None  # nor are its tables called otherwise
    found = deployed.aws.client("dynamodb").scan(TableName="second-journal")["Items"]
    assert [each["log"]["S"] for each in found] == ["x"]
    assert not formation.describe_stacks(StackName="second")["Stacks"][0]["EnableTerminationProtection"]


def test_a_parameter_that_a_release_drops_holds_nobody_up(deployed: Deployed, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = stack.template()
    session = deployed.aws.session()
    monkeypatch.setattr(stack, "template", lambda: without_kept_fields(whole))
    planned = stack.plan(session, "tillroll", {})
    assert planned is not None
    assert planned.dropped == ["KeptFields"]
    deployed.aws.client("cloudformation").delete_change_set(ChangeSetName=planned.id)


def without_kept_fields(text: str) -> str:
    """Return a template without one of its parameters."""
    start = text.index("  KeptFields:\n    Type")
    text = text[:start] + text[text.index("  BatchSize:\n    Type") :]
    text = text.replace("[KeptFields, ", "[").replace("        TILLROLL_EVENTS_KEEP: !Ref KeptFields\n", "")
    text = text.replace('  Keeps: !Not [!Equals [!Ref KeptFields, ""]]\n', "")
    return text[: text.index("  KeptFields:\n    Condition")]


def test_the_same_parameters_have_the_same_mark_on_a_first_deployment_and_on_a_later_one(deployed: Deployed) -> None:
    """So deploying again, with nothing else, publishes no version of the functions."""
    session, given = deployed.aws.session(), parameters(deployed) | {"Name": "tillroll", "HttpApi": "true"}
    defaults = stack.parameter_defaults()
    told = {name: value for name, value in given.items() if value != defaults[name]}
    assert stack.mark(session, "nowhere", told) == stack.mark(session, "tillroll", {})
    assert stack.mark(session, "tillroll", {"MemoryMegabytes": "512"}) != stack.mark(session, "tillroll", {})


def test_the_command_plans_with_tags_and_a_role_and_shows_it(
    deployed: Deployed, capfd: pytest.CaptureFixture[str]
) -> None:
    words = ["aws", "deploy", "--architecture", "x86_64", "--runtime", "python3.11", "--stack", "third", "--no-execute"]
    words += ["--tag", "team=checkout", "--role-arn", "arn:aws:iam::000000000000:role/deployer", "-p", "Name=third"]
    assert run(words) == 0
    told = capfd.readouterr().out
    assert "TakeBatchRole" in told
    change = told.partition("--change-set-name ")[2].splitlines()[0]
    found = deployed.aws.client("cloudformation").describe_change_set(ChangeSetName=change)
    assert found["Tags"] == [{"Key": "team", "Value": "checkout"}]
    [key] = [each["ParameterValue"] for each in found["Parameters"] if each["ParameterKey"] == "CodeKey"]
    given = {"Name": "third", "Architecture": "x86_64", "Runtime": "python3.11"}
    assert key.endswith(f"-{stack.mark(deployed.aws.session(), 'third', given)}.zip")
    deployed.aws.client("cloudformation").delete_change_set(ChangeSetName=change)


def test_a_parameter_that_there_is_not_is_named(aws: Ministack) -> None:
    with pytest.raises(ConfigError, match=r"Freshness is not a parameter.*FreshnessSeconds"):
        stack.plan(aws.session(), "nowhere", {"Freshness": "3"})


def test_the_bucket_of_the_code_is_private_by_tls_only_and_keeps_versions(deployed: Deployed) -> None:
    s3, bucket = deployed.aws.client("s3"), parameters(deployed)["CodeBucket"]
    blocked = s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"]
    assert blocked == dict.fromkeys(blocked, True)
    assert s3.get_bucket_versioning(Bucket=bucket)["Status"] == "Enabled"
    [statement] = json.loads(s3.get_bucket_policy(Bucket=bucket)["Policy"])["Statement"]
    assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    assert statement["Resource"] == [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"]


def test_every_call_to_the_bucket_says_whose_it_must_be(deployed: Deployed, tmp_path: Path) -> None:
    """On AWS a bucket of another account then refuses. Ministack looks past it, so what is sent is looked at."""
    session, given = deployed.aws.session(), parameters(deployed)
    sent: list[tuple[str, str]] = []

    def note(params: dict[str, Any], model: Any, **_rest: object) -> None:
        sent.append((model.name, params["headers"].get("x-amz-expected-bucket-owner", "")))

    session.events.register("before-call.s3", note)
    package = Package(tmp_path / "code.zip", "whose.zip", 0, has_kernel=True)
    package.path.write_bytes(b"code")
    stack.upload(session, package)
    stack.upload(session, package, given["CodeBucket"], OTHER)
    owners = dict.fromkeys(("HeadBucket", "PutBucketPolicy", "PutBucketVersioning", "PutPublicAccessBlock"), ACCOUNT)
    assert owners.items() <= dict(sent).items()
    assert [owner for name, owner in sent if name == "HeadObject"] == [ACCOUNT, OTHER]
    assert ("PutObject", ACCOUNT) in sent
