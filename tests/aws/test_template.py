from __future__ import annotations

import hashlib
import json
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from tests.aws.fetch_environments import install
from tests.aws.tables import AGGREGATES_TABLE, JOURNAL_TABLE

from tillroll.aws import package, stack
from tillroll.stores.dynamodb.schema import OFFERS, OLD_INDEX, REJECTED

if TYPE_CHECKING:
    from tests.aws.deployed import Deployed

pytestmark = pytest.mark.slow
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
        attributes = [each for each in properties["AttributeDefinitions"] if "If" not in each]
        assert attributes == schema["AttributeDefinitions"]
        indexes = [each for each in properties.get("GlobalSecondaryIndexes", []) if "If" not in each]
        plain = [{key: value for key, value in each.items() if key != "ProvisionedThroughput"} for each in indexes]
        assert plain == schema.get("GlobalSecondaryIndexes", [])
        assert properties["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}


def test_the_index_of_0_1_0_stays_in_a_stack_that_has_it_until_it_is_dropped(template: dict[str, Any]) -> None:
    assert template["Parameters"]["OldIndex"]["Default"] == "true"
    properties = template["Resources"]["Aggregates"]["Properties"]
    condition, index, none = properties["GlobalSecondaryIndexes"][1]["If"]
    assert (condition, index["IndexName"], none) == ("HasOldIndex", OLD_INDEX, {"Ref": "AWS::NoValue"})
    assert [key["AttributeName"] for key in index["KeySchema"]] == ["report", "datapoint"]
    assert properties["AttributeDefinitions"][-1]["If"][0] == "HasOldIndex"


def test_the_queue_gives_the_function_time_and_tries(template: dict[str, Any]) -> None:
    timeout = template["Globals"]["Function"]["Timeout"]
    window = template["Parameters"]["BatchWindowSeconds"]["MaxValue"]
    assert template["Resources"]["Queue"]["Properties"]["VisibilityTimeout"] >= 6 * timeout + window
    assert template["Parameters"]["ReceivesBeforeDeadLetter"]["MinValue"] >= 5
    assert template["Parameters"]["Concurrency"]["MinValue"] == 2
    dead = template["Resources"]["DeadLetters"]["Properties"]["MessageRetentionPeriod"]
    assert dead > template["Parameters"]["QueueRetentionSeconds"]["MaxValue"]


def test_another_api_is_another_deployment(template: dict[str, Any]) -> None:
    """API Gateway serves the copy that a deployment made: so its name must change with what it is a copy of."""
    resources = template["Resources"]
    copied = ("Api", "ApiEvents", "ApiPost", "ApiUnknownType")
    parts = [template["Mappings"]["EventsApi"], *(resources[name] for name in copied)]
    name = f"ApiDeployment{hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:8]}"
    assert [each for each in resources if each.startswith("ApiDeployment")] == [name]
    assert resources["ApiStage"]["Properties"]["DeploymentId"] == {"Ref": name}
    assert {each for each in resources if each.startswith("Api")} == {*copied, name, "ApiStage", "ApiRole"}


def test_nobody_may_use_the_queues_without_tls(template: dict[str, Any]) -> None:
    for policy, queue in (("QueuePolicy", "Queue"), ("DeadLettersPolicy", "DeadLetters")):
        properties = template["Resources"][policy]["Properties"]
        assert properties["Queues"] == [{"Ref": queue}]
        first = properties["PolicyDocument"]["Statement"][0]
        assert (first["Effect"], first["Principal"], first["Action"]) == ("Deny", "*", "sqs:*")
        assert first["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


def test_topics_and_rules_may_send_only_when_they_are_named(template: dict[str, Any]) -> None:
    statements = template["Resources"]["QueuePolicy"]["Properties"]["PolicyDocument"]["Statement"][1:]
    for statement in statements:
        condition, allowed, otherwise = statement["If"]
        assert condition in template["Conditions"]
        assert otherwise == {"Ref": "AWS::NoValue"}
        assert allowed["Principal"].get("AWS") or "aws:SourceArn" in allowed["Condition"]["ArnEquals"]
    assert len(statements) == 3


def test_every_role_is_bounded_and_may_use_the_key_where_its_work_needs_it(template: dict[str, Any]) -> None:
    for name, resource in template["Resources"].items():
        if resource["Type"] != "AWS::IAM::Role":
            continue
        properties = resource["Properties"]
        assert properties["PermissionsBoundary"]["If"][:2] == ["Bounded", {"Ref": "PermissionsBoundaryArn"}], name
        policies = json.dumps(properties["ManagedPolicyArns"])
        actions = json.dumps(_statements(resource))
        folds = "TakeAndFold" in policies
        assert ("UseKeyForTables" in policies) == (folds or "dynamodb:" in actions), name
        assert ("UseKeyForQueues" in policies) == ("sqs:" in actions), name


def test_what_is_encrypted_is_with_the_key_that_is_given(template: dict[str, Any]) -> None:
    resources = template["Resources"]
    for name in ("Queue", "DeadLetters"):
        assert resources[name]["Properties"]["KmsMasterKeyId"]["If"][:2] == ["Keyed", {"Ref": "KmsKeyArn"}]
    for name in ("Aggregates", "Journal"):
        assert resources[name]["Properties"]["SSESpecification"]["If"][1]["KMSMasterKeyId"] == {"Ref": "KmsKeyArn"}


def test_no_alarm_is_raised_by_a_stack_that_has_just_begun(template: dict[str, Any]) -> None:
    """Missing data are no alarm; of the fold that runs every minute they are a change, once there were some."""
    for name, alarm in _alarms(template).items():
        properties = alarm["Properties"]
        expected = "missing" if name == "FoldLagAlarm" else "notBreaching"
        assert properties["TreatMissingData"] == expected, name
        assert ("InsufficientDataActions" in properties) == (name == "FoldLagAlarm"), name


def test_every_alarm_is_explained(template: dict[str, Any]) -> None:
    docs = (TEMPLATE.parents[1] / "docs" / "aws.md").read_text()
    names = [each["Properties"]["AlarmName"]["Sub"].removeprefix("${Name}-") for each in _alarms(template).values()]
    assert [name for name in names if f"| {name} |" not in docs] == []


def test_reads_writes_and_the_index_are_watched_for_refusals(template: dict[str, Any]) -> None:
    watched = {
        (properties["MetricName"], json.dumps(properties["Dimensions"]))
        for properties in (each["Properties"] for each in _alarms(template).values())
        if properties["Namespace"] == "AWS/DynamoDB"
    }
    assert len(watched) == 5


def _alarms(template: dict[str, Any]) -> dict[str, Any]:
    resources: dict[str, Any] = template["Resources"]
    return {name: each for name, each in resources.items() if each["Type"] == "AWS::CloudWatch::Alarm"}


def test_the_dashboard_is_json_that_names_what_is_there(template: dict[str, Any]) -> None:
    text = template["Resources"]["Overview"]["Properties"]["DashboardBody"]["Sub"]
    named = {name.partition(".")[0] for name in re.findall(r"\$\{([A-Za-z.]+)\}", text)}
    assert named <= {*template["Resources"], "Name"}
    places = [(each["x"], each["y"]) for each in json.loads(text)["widgets"]]
    assert len(places) == len(set(places)) == 9


def test_the_functions_are_called_by_an_alias(template: dict[str, Any]) -> None:
    assert template["Globals"]["Function"]["AutoPublishAlias"] == "live"
    for name in ("TakeBatch", "Fold"):  # else another setting would be in no version
        assert template["Resources"][name]["Properties"]["AutoPublishAliasAllProperties"] is True


def test_another_key_of_the_package_publishes_another_version_of_both_functions() -> None:
    """By SAM's own translator. It looks past all other parameters, which is why the key is named by them as well."""
    program = f"""if True:
        from samtranslator.translator.transform import transform
        from samtranslator.yaml_helper import yaml_parse
        def versions(key):
            text = open({str(TEMPLATE)!r}).read()
            given = {{name: each.get("Default", "") for name, each in yaml_parse(text)["Parameters"].items()}}
            done = transform(yaml_parse(text), given | {{"CodeKey": key}}, type("None_", (), {{"load": dict}}))
            return [name for name, each in done["Resources"].items() if each["Type"] == "AWS::Lambda::Version"]
        print(*versions("a"), *versions("a"), *versions("b"))
    """
    python = install("ministack") / "bin" / "python"
    variables = {"AWS_DEFAULT_REGION": "eu-west-1"}
    done = subprocess.run([python, "-c", program], env=variables, capture_output=True, text=True, check=True)
    names = done.stdout.split()
    assert len(names) == 6
    assert names[:2] == names[2:4]
    assert len(set(names)) == 4


def test_a_version_is_never_like_the_one_before(template: dict[str, Any]) -> None:
    """Lambda publishes nothing when nothing changed, which CloudFormation takes for an error."""
    assert {"Ref": "CodeKey"} in template["Globals"]["Function"]["Environment"]["Variables"].values()


def test_failures_are_reported_message_by_message(template: dict[str, Any]) -> None:
    events = template["Resources"]["TakeBatch"]["Properties"]["Events"]["Messages"]["Properties"]
    assert events["FunctionResponseTypes"] == ["ReportBatchItemFailures"]


def test_no_role_has_a_star_where_an_arn_can_stand(template: dict[str, Any]) -> None:
    for name, resource in template["Resources"].items():
        for statement in _statements(resource):
            if statement["Effect"] == "Deny":
                continue
            actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
            assert not any("*" in action for action in actions), name
            if "*" in json.dumps(statement["Resource"]):
                # These know no resources (Service Authorization Reference).
                known = (["cloudwatch:GetMetricData"], ["xray:PutTraceSegments", "xray:PutTelemetryRecords"])
                assert actions in known, name


def _statements(resource: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    properties = resource.get("Properties", {})
    documents = [policy["PolicyDocument"] for policy in properties.get("Policies", [])]
    documents += [properties["PolicyDocument"]] if "PolicyDocument" in properties else []
    for document in documents:
        for statement in document["Statement"]:
            found += statement["If"][1:2] if "If" in statement else [statement]
    return found


def test_no_role_can_delete_from_the_journal_but_offers_and_what_was_rejected(template: dict[str, Any]) -> None:
    logs = []
    for resource in template["Resources"].values():
        for statement in _statements(resource):
            text = json.dumps(statement)
            if "DeleteItem" in text and "Journal" in text:
                assert statement["Condition"]["Null"] == {"dynamodb:LeadingKeys": "false"}
                logs += [x for like in statement["Condition"].values() for x in like["dynamodb:LeadingKeys"]]
    assert {x for x in logs if len(x) > 1} == {OFFERS, REJECTED, f"{REJECTED}/*"}


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
