"""What every client of AWS shares: session, time-outs, retries, and what mends a refusal.

Region, profile, credentials, endpoint (`AWS_ENDPOINT_URL`, `AWS_ENDPOINT_URL_<SERVICE>`) and retries
(`AWS_MAX_ATTEMPTS`, `AWS_RETRY_MODE`) come from the standard variables and files, for all of them alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import boto3
import botocore.loaders
import botocore.session
from botocore.config import Config

CONNECT_SECONDS = 5
READ_SECONDS = 30
# Throttled calls are tried again, slower each time.
_ATTEMPTS = 8
_MODE = "adaptive"

# A part of what a service says, and the setting or command that mends it; the first that fits counts.
MENDS = {
    "ExpiredToken": "the credentials have expired: sign in again (aws sso login), or set new ones",
    "token included in the request is expired": "the credentials have expired: sign in again, or set new ones",
    "InvalidAccessKeyId": "check the AWS credentials (aws sts get-caller-identity)",
    "SignatureDoesNotMatch": "check the AWS credentials (aws sts get-caller-identity)",
    "InvalidClientTokenId": "check the AWS credentials (aws sts get-caller-identity)",
    "UnrecognizedClient": "check the AWS credentials (aws sts get-caller-identity)",
    "security token": "check the AWS credentials (aws sts get-caller-identity)",
    "Unable to locate credentials": "there are no AWS credentials: aws configure, aws sso login, or AWS_PROFILE",
    "NoSuchBucket": "there is no such bucket: deploy/ makes it, or aws s3 mb",
    "redirect without LOCATION": "the bucket lies in another region: set AWS_REGION to its own "
    "(aws s3api get-bucket-location)",
    "PermanentRedirect": "the bucket lies in another region: set AWS_REGION to its own (aws s3api get-bucket-location)",
    "AuthorizationHeaderMalformed": "the bucket lies in another region: set AWS_REGION to its own "
    "(aws s3api get-bucket-location)",
    "KMS": "the role may not use the key: it needs kms:GenerateDataKey and kms:Decrypt on it, see deploy/",
    "AccessDenied": "the role may not, or it belongs to another account: deploy/ has the rights that are needed",
    "403 Forbidden": "the role may not, or it belongs to another account: deploy/ has the rights that are needed",
    "not authorized": "the role may not: deploy/ has the rights that are needed",
    "SlowDown": "it is asked too often: run it again later",
    "Throttling": "it is asked too often: run it again later",
    "TooManyRequests": "it is asked too often: run it again later",
}


def mend(said: str, others: Mapping[str, str] | None = None) -> str | None:
    """What mends a refusal of which a service said `said`; `others` are looked at first."""
    found = {**(others or {}), **MENDS}
    return next((what for part, what in found.items() if part.lower() in said.lower()), None)


@cache
def _loader() -> botocore.loaders.Loader:
    return botocore.loaders.create_loader()


def session() -> boto3.Session:
    """A session as the environment is now. All of them read the services' descriptions once: 100 ms a client."""
    core = botocore.session.get_session()
    core.register_component("data_loader", _loader())
    return boto3.Session(botocore_session=core)


def attempts(session: boto3.Session) -> int:
    """How often a call is tried in all."""
    return int(session._session.get_config_variable("max_attempts") or _ATTEMPTS)


def config(session: boto3.Session) -> Config:
    """For a client of boto3's."""
    mode: Any = session._session.get_config_variable("retry_mode") or _MODE
    return Config(
        retries={"mode": mode, "total_max_attempts": attempts(session)},
        connect_timeout=CONNECT_SECONDS,
        read_timeout=READ_SECONDS,
    )
