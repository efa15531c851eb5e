from __future__ import annotations

import subprocess
import sys
from importlib.metadata import requires

from tillroll.errors import AWS_EXTRA


def test_boto3_is_installed_only_with_the_aws_extra() -> None:
    aws = [each for each in requires("tillroll") or [] if each.startswith(("boto", "aws-"))]
    assert aws
    assert all('extra == "aws"' in each.replace("'", '"') for each in aws)


def test_without_boto3_the_aws_commands_say_what_to_install() -> None:
    code = (
        "import sys; sys.modules['boto3'] = None; sys.modules['botocore'] = None; from tillroll.cli.main import run;"
        "sys.exit(run(['work', '--data', '/nonexistent/x', '--queue', 'https://sqs.eu-west-1.amazonaws.com/1/q']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode != 0
    commands = (
        "import sys; sys.modules['boto3'] = None; from tillroll.cli.main import run; sys.exit(run(['aws', 'status']))"
    )
    done = subprocess.run([sys.executable, "-c", commands], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert f"{sys.executable} -m pip install 'boto3>=" in done.stderr
    assert "tillroll[aws]" not in done.stderr, "tillroll is in no index that one could install it from"


def test_what_is_said_to_install_is_the_extra() -> None:
    extra = {
        each.partition(";")[0].strip() for each in requires("tillroll") or [] if "aws" in each.partition("extra")[2]
    }
    assert extra == set(AWS_EXTRA)
