"""What botocore's errors mean to a person who deploys or looks after tillroll."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
    ProfileNotFound,
)

from tillroll.errors import TillrollError

if TYPE_CHECKING:
    from collections.abc import Iterator

_CREDENTIALS: Final = ("ExpiredToken", "InvalidClientTokenId", "UnrecognizedClient", "SignatureDoesNotMatch")


class AwsError(TillrollError):
    """AWS refused, or could not be asked."""

    exit_code = 4

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(f"{problem}. {remedy}")


@contextmanager
def explained(doing: str) -> Iterator[None]:
    """Turn botocore's errors into an AwsError that says what was being done, and what to do."""
    try:
        yield
    except NoRegionError as error:
        raise AwsError(f"{doing}: no region is known", "Set AWS_REGION, or give the profile one") from error
    except (NoCredentialsError, PartialCredentialsError, ProfileNotFound) as error:
        raise AwsError(f"{doing}: {error}", "Log in, or name a profile with AWS_PROFILE") from error
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "")
        if any(each in code for each in _CREDENTIALS):
            raise AwsError(f"{doing}: AWS does not accept the credentials ({code})", "Log in again") from error
        if "AccessDenied" in code or "Unauthorized" in code:
            raise AwsError(f"{doing}: {error}", "Use a role with that permission: see docs/aws.md") from error
        raise AwsError(f"{doing}: {error}", "See the AWS message above") from error
    except BotoCoreError as error:
        raise AwsError(f"{doing}: {error}", "Check the network and the AWS settings") from error
