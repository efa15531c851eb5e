from __future__ import annotations

import doctest
import re
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.aws import deployed as deployments
from tests.aws import ministack

from tillroll.aws.errors import AwsError
from tillroll.aws.shell import Shell, plain

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.aws.deployed import Deployed

TOUR = Path(__file__).parents[2] / "docs" / "aws-tour.md"


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    """An account in which nothing has happened yet."""
    directory = tmp_path_factory.mktemp("tour")
    with ministack.running(directory) as aws, pytest.MonkeyPatch.context() as patch:
        for name, value in (ministack.CREDENTIALS | {"AWS_ENDPOINT_URL": aws.endpoint}).items():
            patch.setenv(name, value)
        patch.delenv("AWS_DEFAULT_REGION", raising=False)
        yield deployments.deploy(aws, directory)


@pytest.mark.usefixtures("fresh")
def test_every_line_of_the_tour_answers_as_it_says() -> None:
    shell = Shell("tillroll")
    blocks = re.findall(r"(?ms)^```python\n(.*?)^```", TOUR.read_text())
    assert len(blocks) > 10
    test = doctest.DocTestParser().get_doctest("\n".join(blocks), shell.names, "aws-tour", str(TOUR), 0)
    written: list[str] = []
    result = doctest.DocTestRunner(verbose=False).run(test, out=written.append)
    assert result.failed == 0, "".join(written)
    assert result.attempted > 25


def test_the_shell_names_the_deployed_parts(fresh: Deployed) -> None:
    shell = Shell("tillroll")
    assert shell.names["queue"] == fresh.outputs["QueueUrl"]
    assert shell.names["aggregates"] == "tillroll-aggregates"
    assert "eu-west-1" in shell.banner()


@pytest.mark.usefixtures("fresh")
def test_the_shell_opens_without_a_stack_and_says_so() -> None:
    shell = Shell("another")
    assert "queue" not in shell.names
    assert "another" in shell.names["stack"]["missing"]


def test_refresh_credentials_goes_on_under_another_profile(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    credentials = tmp_path / "credentials"
    credentials.write_text("[clj-prod]\naws_access_key_id = 111111111111\naws_secret_access_key = s\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(credentials))
    with ministack.running(tmp_path) as aws:
        for name, value in (ministack.CREDENTIALS | {"AWS_ENDPOINT_URL": aws.endpoint}).items():
            monkeypatch.setenv(name, value)
        shell = Shell("tillroll")
        sts, dynamodb = shell.names["sts"], shell.names["dynamodb"]
        assert ":000000000000:" in sts.get_caller_identity()["Arn"]
        monkeypatch.delenv("AWS_ACCESS_KEY_ID")
        monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
        assert ":111111111111:" in shell.names["refresh_credentials"]("clj-prod")
        assert ":111111111111:" in sts.get_caller_identity()["Arn"]  # what the name stands for has changed
        assert dynamodb.list_tables()["TableNames"] == []
        credentials.write_text("[clj-prod]\naws_access_key_id = 222222222222\naws_secret_access_key = s\n")
        assert ":222222222222:" in shell.names["refresh_credentials"]()


@pytest.mark.usefixtures("fresh")
def test_a_profile_that_is_not_there_is_named() -> None:
    with pytest.raises(AwsError, match="nobody"):
        Shell("tillroll", "nobody")


@pytest.mark.usefixtures("fresh")
def test_without_a_region_the_shell_says_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_REGION")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    with pytest.raises(AwsError, match="AWS_REGION"):
        Shell("tillroll")


@pytest.mark.usefixtures("fresh")
def test_an_error_of_aws_is_a_sentence() -> None:
    shell = Shell("tillroll")
    with pytest.raises(AwsError, match="dynamodb describe_table"):
        shell.names["dynamodb"].describe_table(TableName="none-there")


def test_replies_are_plain() -> None:
    reply = {"ResponseMetadata": {}, "Item": {"events": Decimal(42), "share": Decimal("0.5"), "names": {"a"}}}
    assert plain(reply) == {"Item": {"events": 42, "share": 0.5, "names": ["a"]}}
