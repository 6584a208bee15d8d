"""What every client of AWS shares: session, time-outs, retries, and hints for what a service refuses.

Region, profile, credentials, endpoints (`AWS_ENDPOINT_URL`, `AWS_ENDPOINT_URL_<SERVICE>`, FIPS, dual stack),
certificates and retries (`AWS_MAX_ATTEMPTS`, `AWS_RETRY_MODE`) come from the standard variables and files, for all of
them alike: botocore tells what they come to.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from log_assets.errors import SettingError

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
    **dict.fromkeys(
        ("SSO session", "SSO Token", "token from sso"),
        "the SSO session has expired, or was never begun: aws sso login (with --profile, if AWS_PROFILE names one)",
    ),
    "CERTIFICATE_VERIFY_FAILED": "its certificate is of a CA that is not known here: AWS_CA_BUNDLE=file.pem",
    "InvalidCertificate": "its certificate is of a CA that is not known here: AWS_CA_BUNDLE=file.pem",
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


class _Stop(Exception):
    """A request is not sent: where it would have gone is enough."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.url = url


def _stop(request: Any, **_: Any) -> None:
    raise _Stop(request.url)


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
    core: CoreSession
    region: str | None
    attempts: int
    retry_mode: str

    @property
    def ca_bundle(self) -> str | None:
        """The file of certificates to trust, if one is named."""
        file: str | None = self.core.get_config_variable("ca_bundle")
        return file

    @property
    def checks_puts(self) -> bool:
        """Whether what is put goes with a checksum, as buckets with Object Lock want it."""
        return str(self.core.get_config_variable("request_checksum_calculation")) != "when_required"

    def address(self, bucket: str) -> tuple[str, bool]:
        """Where botocore would ask for a bucket: a URL, and whether its host names the bucket.

        Every rule of endpoints is in it: partitions, FIPS, dual stack, a profile's services, path style.
        """
        # No credentials are looked for. A URL that is signed in advance would have another host.
        client = self.boto3.client(
            "s3",
            config=self.config,
            aws_access_key_id="-",
            aws_secret_access_key="-",  # noqa: S106
        )
        client.meta.events.register("before-sign.s3.HeadObject", _stop)
        try:
            client.head_object(Bucket=bucket, Key="-")
        except _Stop as stop:
            place = stop.url.partition("?")[0].removesuffix("/-")
            in_path = place.endswith(f"/{bucket}")
            return place.removesuffix(f"/{bucket}") if in_path else place, not in_path
        raise AssertionError("unreachable: a request is signed before it is sent")

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
    """A session as the environment is now. All of them read the services' descriptions once: 100 ms a client.

    Raises:
        SettingError: there is no such profile, or no such file of certificates.
    """
    import boto3
    import botocore.session
    from botocore.exceptions import ProfileNotFound

    core: CoreSession = botocore.session.get_session()
    core.register_component("data_loader", _loader())
    try:
        _complete(core)
    except ProfileNotFound as error:
        raise SettingError(f"{error}: set AWS_PROFILE to one of ~/.aws/config, or unset it") from None
    made = boto3.Session(botocore_session=core)
    attempts = core.get_config_variable("max_attempts") or _ATTEMPTS
    mode = core.get_config_variable("retry_mode") or _MODE
    return Session(made, core, made.region_name, int(attempts), str(mode))


def _complete(core: CoreSession) -> None:
    """Give botocore what other clients of AWS read, and it does not."""
    if region := os.environ.get("AWS_REGION"):
        core.set_config_variable("region", region)
    named = {"AWS_CA_BUNDLE (or ca_bundle of the profile)": core.get_config_variable("ca_bundle")}
    named |= {name: os.environ.get(name) for name in ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE")}
    for name, file in named.items():
        if file:
            if not Path(file).is_file():
                raise SettingError(f"{name} names no file of certificates: correct or unset it")
            core.set_config_variable("ca_bundle", file)
            return
