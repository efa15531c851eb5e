"""What botocore's errors mean to a person, for the queue."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    HTTPClientError,
    NoCredentialsError,
    PartialCredentialsError,
)
from botocore.exceptions import (
    ConnectionError as UnreachableError,
)

from tillroll.errors import QueueError

if TYPE_CHECKING:
    from collections.abc import Iterator

RETRY_AFTER_S: Final = 5.0
_MISSING: Final = ("NonExistentQueue", "QueueDoesNotExist")
_CREDENTIALS: Final = (
    "ExpiredToken",
    "InvalidClientTokenId",
    "UnrecognizedClient",
    "SignatureDoesNotMatch",
    "InvalidSignature",
    "MissingAuthenticationToken",
    "InvalidAccessKeyId",
    "AuthFailure",
)
_DENIED: Final = ("AccessDenied", "UnauthorizedOperation")
_BUSY: Final = ("Throttl", "OverLimit", "ServiceUnavailable", "InternalError", "InternalFailure", "RequestTimeout")
_LOG_IN: Final = "Log in again, or name another profile with AWS_PROFILE; nothing was lost"


@contextmanager
def explain(action: str, url: str) -> Iterator[None]:
    """Turn botocore's errors into a QueueError that says what to do."""
    try:
        yield
    except (NoCredentialsError, PartialCredentialsError, CredentialRetrievalError) as error:
        raise QueueError(f"there are no AWS credentials for {url} ({error})", _LOG_IN) from error
    except (UnreachableError, HTTPClientError) as error:
        problem = f"{url} cannot be reached ({error})"
        raise QueueError(problem, "Check the network; it is tried again", retry_after_s=RETRY_AFTER_S) from error
    except ClientError as error:
        raise _explained(error, action, url) from error
    except BotoCoreError as error:
        raise QueueError(f"{action} on {url}: {error}", "Check the address and the AWS settings") from error


def _explained(error: ClientError, action: str, url: str) -> QueueError:
    code = error.response.get("Error", {}).get("Code", "")
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if any(each in code for each in _MISSING):
        return QueueError(f"there is no queue {url}", "Check its name, account and region (AWS_REGION)")
    if any(each in code for each in _CREDENTIALS):
        return QueueError(f"AWS does not accept the credentials ({code})", _LOG_IN)
    if any(each in code for each in _DENIED):
        return QueueError(f"the credentials in use may not do {action} on {url}", "Use the role of the stack's outputs")
    if status >= 500 or any(each in code for each in _BUSY):
        return QueueError(f"SQS is busy ({code})", "It is tried again", retry_after_s=RETRY_AFTER_S)
    return QueueError(f"{action} on {url}: {error}", "Check the address and the AWS settings")
