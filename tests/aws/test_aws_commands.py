"""`tillroll aws deploy`, `status` and `redrive`, run as commands against the deployed stack."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from tests.aws.deployed import wait_until
from tests.e2e import forks

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

    from tests.aws.deployed import Deployed
    from tests.aws.ministack import Ministack


def run(aws: Ministack, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return forks.run(["aws", *words], aws.environment() | variables)


def test_status_shows_the_queues_and_how_far_the_journal_is_counted(deployed: Deployed) -> None:
    done = run(deployed.aws, "status")
    assert done.returncode == 0, done.stderr
    for word in ("queue", "dead letters", "journal", "last fold", "freshness"):
        assert word in done.stdout
    found = json.loads(run(deployed.aws, "status", "--json").stdout)
    assert found["queue"].keys() == {"waiting", "in_flight", "oldest_s"}
    assert found["lag_s"] >= 0


@pytest.mark.parametrize("words", [("status",), ("folders",)])
def test_a_profile_is_that_of_the_tables_and_queues_too(
    words: tuple[str, ...], deployed: Deployed, tmp_path: Path
) -> None:
    """Whatever else is in force: the keys and the profile here are of an account that has none of it."""
    keys = "aws_access_key_id = {0}\naws_secret_access_key = test\n"
    file = tmp_path / "credentials"
    file.write_text(f"[other]\n{keys.format('111111111111')}\n[ours]\n{keys.format('test')}")
    other = {
        "AWS_ACCESS_KEY_ID": "111111111111",
        "AWS_DEFAULT_PROFILE": "other",
        "AWS_SHARED_CREDENTIALS_FILE": str(file),
    }
    assert run(deployed.aws, *words, **other).returncode == 4
    done = run(deployed.aws, *words, "--profile", "ours", **other)
    assert done.returncode == 0, done.stderr


def test_redrive_lists_tries_and_leaves_what_is_still_wrong(deployed: Deployed) -> None:
    body = '{"date": "2011-12-05T10:15:30Z", "amount": "1", "paymentMethod": "PAY_NOW", "merchantId": "m"}'
    sqs = deployed.aws.client("sqs")
    sqs.send_message(QueueUrl=deployed.outputs["QueueUrl"], MessageBody=body)
    wait_until(lambda: deployed.depth("DeadLettersUrl"), "a dead letter")
    listed = json.loads(run(deployed.aws, "redrive", "--dry-run", "--json").stdout)
    [letter] = [each for each in listed if each["body"] == body]
    done = run(deployed.aws, "redrive")
    assert done.returncode == 3
    assert letter["id"] in done.stdout


def test_deploy_needs_words_it_knows(aws: Ministack) -> None:
    done = run(aws, "deploy", "--architecture", "mips")
    assert (done.returncode, "arm64 or x86_64" in done.stderr) == (2, True)
    done = run(aws, "deploy", "--parameter", "FreshnessSeconds")
    assert (done.returncode, "NAME=VALUE" in done.stderr) == (2, True)


@pytest.mark.parametrize("command", ["status", "redrive"])
def test_a_stack_that_is_not_there_is_named(command: str, aws: Ministack) -> None:
    done = run(aws, command, "--stack", "nowhere")
    assert done.returncode == 4
    assert "nowhere" in done.stderr
    assert "Traceback" not in done.stderr
