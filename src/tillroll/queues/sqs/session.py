"""The session that everything of AWS is opened with."""

from __future__ import annotations

from typing import Final

import boto3
import botocore.session

# botocore knows AWS_DEFAULT_REGION only; every other SDK, Lambda and ECS say AWS_REGION, which so comes first.
_REGION: Final = ("region", ["AWS_REGION", "AWS_DEFAULT_REGION"], None, None)


def open_session(profile: str | None = None, region: str | None = None) -> boto3.Session:
    """Return a session of a profile, or of the one in force; its region is AWS_REGION's unless one is given.

    Raises:
        botocore.exceptions.ProfileNotFound: there is no such profile.
    """
    core = botocore.session.Session(session_vars={"region": _REGION}, profile=profile)
    return boto3.Session(region_name=region, botocore_session=core)
