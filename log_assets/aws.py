"""What every client of AWS shares: session, time-outs, retries, and hints for what a service refuses.

Region, profile, credentials, endpoint (`AWS_ENDPOINT_URL`, `AWS_ENDPOINT_URL_<SERVICE>`) and retries
(`AWS_MAX_ATTEMPTS`, `AWS_RETRY_MODE`) come from the standard variables and files, for all of them alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import boto3
    from botocore.config import Config
    from botocore.session import Session as CoreSession

CONNECT_SECONDS = 5
READ_SECONDS = 30
# Throttled calls are tried again, slower each time.
_ATTEMPTS = 8
_MODE = "adaptive"

# A part of what a service says, and the setting or command that helps; the first that fits counts.
HINTS = {
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


def hint(said: str, others: Mapping[str, str] | None = None) -> str | None:
    """What to do about a refusal of which a service said `said`; `others` come first."""
    found = {**(others or {}), **HINTS}
    return next((what for part, what in found.items() if part.lower() in said.lower()), None)


@dataclass(frozen=True, slots=True)
class Session:
    """boto3's session, and what of the standard variables and files botocore alone tells.

    Attributes:
        boto3: makes the clients.
        region: AWS_REGION's, the profile's, or None.
        attempts: how often a call is tried in all.
        retry_mode: botocore's name for how it waits between two tries.
    """

    boto3: boto3.Session
    region: str | None
    attempts: int
    retry_mode: str

    @property
    def config(self) -> Config:
        """For a client of boto3's."""
        from botocore.config import Config

        retries: Any = {"mode": self.retry_mode, "total_max_attempts": self.attempts}
        return Config(retries=retries, connect_timeout=CONNECT_SECONDS, read_timeout=READ_SECONDS)


@cache
def _loader() -> Any:
    from botocore.loaders import create_loader

    return create_loader()


def session() -> Session:
    """A session as the environment is now. All of them read the services' descriptions once: 100 ms a client."""
    import boto3
    import botocore.session

    core: CoreSession = botocore.session.get_session()
    core.register_component("data_loader", _loader())
    made = boto3.Session(botocore_session=core)
    attempts = core.get_config_variable("max_attempts") or _ATTEMPTS
    mode = core.get_config_variable("retry_mode") or _MODE
    return Session(made, made.region_name, int(attempts), str(mode))
