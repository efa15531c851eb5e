from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from tests.aws.fetch_environments import install

from tillroll.aws import package, stack
from tillroll.stores.dynamodb.schema import AGGREGATES_TABLE, JOURNAL_TABLE

if TYPE_CHECKING:
    from tests.aws.deployed import Deployed

TEMPLATE = Path(__file__).parents[2] / "deploy" / "template.yaml"


class _Loader(yaml.SafeLoader):
    """Reads !Ref and the like as plain data."""


def _tagged(loader: yaml.SafeLoader, suffix: str, node: yaml.Node) -> Any:
    if isinstance(node, yaml.ScalarNode):
        return {suffix: loader.construct_scalar(node)}
    if isinstance(node, yaml.SequenceNode):
        return {suffix: loader.construct_sequence(node, deep=True)}
    assert isinstance(node, yaml.MappingNode)
    return {suffix: loader.construct_mapping(node, deep=True)}


_Loader.add_multi_constructor("!", _tagged)


@pytest.fixture(scope="module")
def template() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.load(TEMPLATE.read_text(), _Loader)
    return loaded


def test_cfn_lint_finds_nothing() -> None:
    program = install("cfn-lint") / "bin" / "cfn-lint"
    done = subprocess.run([program, TEMPLATE], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_checkov_finds_nothing_but_what_is_suppressed_with_a_reason() -> None:
    program = install("checkov") / "bin" / "checkov"
    command = [str(program), "-f", str(TEMPLATE), "--framework", "cloudformation", "--skip-download", "-o", "json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = json.loads(done.stdout)
    assert found["summary"]["failed"] == 0, [each["check_id"] for each in found["results"]["failed_checks"]]
    assert all(each["check_result"]["suppress_comment"] for each in found["results"]["skipped_checks"])


def test_the_package_brings_the_template() -> None:
    assert stack.template() == TEMPLATE.read_text()


def test_the_tables_are_those_of_the_store(template: dict[str, Any]) -> None:
    for name, schema in (("Aggregates", AGGREGATES_TABLE), ("Journal", JOURNAL_TABLE)):
        properties = template["Resources"][name]["Properties"]
        assert properties["KeySchema"] == schema["KeySchema"]
        assert properties["AttributeDefinitions"] == schema["AttributeDefinitions"]
        indexes = properties.get("GlobalSecondaryIndexes", [])
        plain = [{key: value for key, value in each.items() if key != "ProvisionedThroughput"} for each in indexes]
        assert plain == schema.get("GlobalSecondaryIndexes", [])
        assert properties["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}


def test_the_queue_gives_the_function_time_and_tries(template: dict[str, Any]) -> None:
    timeout = template["Globals"]["Function"]["Timeout"]
    window = template["Parameters"]["BatchWindowSeconds"]["MaxValue"]
    assert template["Resources"]["Queue"]["Properties"]["VisibilityTimeout"] >= 6 * timeout + window
    assert template["Parameters"]["ReceivesBeforeDeadLetter"]["MinValue"] >= 5
    assert template["Parameters"]["Concurrency"]["MinValue"] == 2
    dead = template["Resources"]["DeadLetters"]["Properties"]["MessageRetentionPeriod"]
    assert dead > template["Parameters"]["QueueRetentionSeconds"]["MaxValue"]


def test_failures_are_reported_message_by_message(template: dict[str, Any]) -> None:
    events = template["Resources"]["TakeBatch"]["Properties"]["Events"]["Messages"]["Properties"]
    assert events["FunctionResponseTypes"] == ["ReportBatchItemFailures"]


def test_no_role_has_a_star_where_an_arn_can_stand(template: dict[str, Any]) -> None:
    for name, resource in template["Resources"].items():
        for statement in _statements(resource):
            if "Action" not in statement or "sts:AssumeRole" in statement["Action"]:
                continue
            actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
            assert not any("*" in action for action in actions), name
            if "*" in json.dumps(statement["Resource"]):
                # CloudWatch's GetMetricData knows no resources (Service Authorization Reference).
                assert actions == ["cloudwatch:GetMetricData"], name


def _statements(resource: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    properties = resource.get("Properties", {})
    documents = [policy["PolicyDocument"] for policy in properties.get("Policies", [])]
    documents += [properties["PolicyDocument"]] if "PolicyDocument" in properties else []
    for document in documents:
        for statement in document["Statement"]:
            found += statement["If"][1:2] if "If" in statement else [statement]
    return found


def test_no_role_can_delete_from_the_journal_but_what_was_rejected(template: dict[str, Any]) -> None:
    for resource in template["Resources"].values():
        for statement in _statements(resource):
            text = json.dumps(statement)
            if "DeleteItem" in text and "Journal" in text:
                assert "dynamodb:LeadingKeys" in text


def test_yaml_anchors_are_not_used_for_cloudformation_refuses_them() -> None:
    assert not re.search(r"(?m)^[^#\"]*: [&*][a-z_]+", TEMPLATE.read_text())


def test_every_parameter_is_explained(template: dict[str, Any]) -> None:
    docs = (TEMPLATE.parents[1] / "docs" / "aws.md").read_text()
    missing = [name for name in template["Parameters"] if f"`{name}`" not in docs]
    assert not missing
    assert all(parameter.get("Description") for parameter in template["Parameters"].values())


def test_every_output_is_documented(template: dict[str, Any]) -> None:
    docs = (TEMPLATE.parents[1] / "docs" / "aws.md").read_text()
    assert [name for name in template["Outputs"] if f"`{name}`" not in docs] == []


def test_it_deploys_and_tells_what_happens(deployed: Deployed) -> None:
    states = {(resource, state) for resource, state, _ in deployed.events}
    assert ("tillroll", "CREATE_COMPLETE") in states
    assert deployed.outputs["Store"] == "dynamodb://eu-west-1/tillroll-aggregates/tillroll-journal"


def test_deploying_again_changes_nothing(deployed: Deployed) -> None:
    events: list[tuple[str, str, str]] = []
    outputs = stack.deploy(deployed.aws.session(), "tillroll", {}, lambda *event: events.append(event))
    assert outputs == deployed.outputs


@pytest.mark.parametrize("architecture", ["arm64", "x86_64"])
def test_the_package_is_small_and_the_same_every_time(architecture: package.Architecture, tmp_path: Path) -> None:
    first = package.build(tmp_path, architecture)
    second = package.build(tmp_path, architecture)
    assert first == second
    assert first.unpacked_bytes < package.UNPACKED_BYTES_MAX
