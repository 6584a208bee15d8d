"""The lake in S3, or a store that speaks it: `s3://bucket/prefix`.

Region, profile, credentials and endpoint come from boto3's chain (profiles, SSO, roles, web identity,
`AWS_ENDPOINT_URL` and `AWS_ENDPOINT_URL_S3`), so they are the same for every client.
"""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

from botocore.exceptions import BotoCoreError, ClientError
from obstore.auth.boto3 import Boto3CredentialProvider
from obstore.store import S3Store

from log_assets import aws
from log_assets.errors import LakeError, SettingError, shown
from log_assets.lake.store import FAILURES, ObjectLake, first_line

if TYPE_CHECKING:
    from obstore.store import S3Config

_RETRY_TIMEOUT = timedelta(seconds=60)


def open_s3(url: str) -> ObjectLake:
    """The lake under a prefix of a bucket; `?kms_key=…` encrypts with a key of KMS.

    Raises:
        SettingError: no bucket is named, or no region is set.
        LakeError: there are no credentials.
    """
    parts = urlsplit(url)
    if not parts.netloc:
        raise SettingError(f"LAKE_URL={shown(url)} names no bucket: write s3://bucket/prefix")
    session = aws.session()
    try:
        client = session.boto3.client("s3")
        credentials = Boto3CredentialProvider(session.boto3)
    except (BotoCoreError, ClientError, ValueError) as error:
        raise LakeError(
            f"the lake {shown(url)} cannot be opened ({error}): check the AWS credentials and region"
        ) from None
    if not session.region:
        raise SettingError("no AWS region is set: set AWS_REGION, or region in the profile")
    config: S3Config = {"region": session.region}
    endpoint = client.meta.endpoint_url
    if ".amazonaws.com" not in endpoint:
        config |= {"endpoint": endpoint, "virtual_hosted_style_request": False}
    if key := parse_qs(parts.query).get("kms_key"):
        config |= {"server_side_encryption": "aws:kms", "sse_kms_key_id": key[0]}
    prefix = parts.path.strip("/")
    try:
        store = S3Store(
            parts.netloc,
            prefix=prefix or None,
            config=config,
            client_options={
                "timeout": timedelta(seconds=aws.READ_SECONDS),
                "connect_timeout": timedelta(seconds=aws.CONNECT_SECONDS),
                "allow_http": endpoint.startswith("http://"),
            },
            retry_config={"max_retries": session.attempts - 1, "retry_timeout": _RETRY_TIMEOUT},
            credential_provider=credentials,
        )
    except FAILURES as error:
        raise LakeError(f"the lake {shown(url)} cannot be opened ({first_line(error)}): check LAKE_URL") from None
    return ObjectLake(store, f"s3://{parts.netloc}/{prefix}".rstrip("/"), partial(open_s3, url))
