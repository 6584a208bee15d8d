"""The lake in S3, or a store that speaks it: `s3://bucket/prefix`.

Region, profile, credentials, endpoint, certificates and checksums come from botocore (`aws`), so they are the same for
every client.
"""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

from botocore.exceptions import BotoCoreError, ClientError
from obstore.auth.boto3 import Boto3CredentialProvider
from obstore.store import S3Store

from log_assets import aws
from log_assets.errors import LakeError, SettingError, shown
from log_assets.lake.store import FAILURES, ObjectLake, first_line

if TYPE_CHECKING:
    from obstore.store import ClientConfig, S3Config

_RETRY_TIMEOUT = timedelta(seconds=60)


def open_s3(url: str) -> ObjectLake:
    """The lake under a prefix of a bucket.

    `?kms_key=…` encrypts with a key of KMS; `?request_payer=requester` pays for what is asked of another's bucket.

    Raises:
        SettingError: no bucket is named, no region is set, or there is no such profile or file of certificates.
        LakeError: there are no credentials, or they cannot be had.
    """
    parts = urlsplit(url)
    if not parts.netloc:
        raise SettingError(f"LAKE_URL={shown(url)} names no bucket: write s3://bucket/prefix")
    session = aws.session()
    if not session.region:
        raise SettingError("no AWS region is set: set AWS_REGION, or region in the profile")
    try:
        endpoint, with_bucket = session.address(parts.netloc)
        credentials = Boto3CredentialProvider(session.boto3)
        # Here an SSO session that has expired is an error in botocore's words, and not a dump of obstore's inside.
        credentials()
    except (BotoCoreError, ClientError, ValueError) as error:
        what = aws.hint(str(error)) or "check the AWS credentials and region"
        raise LakeError(f"the lake {shown(url)} cannot be opened ({first_line(error)}): {what}") from None
    config: S3Config = {
        "region": session.region,
        "endpoint": endpoint,
        "virtual_hosted_style_request": with_bucket,
    }
    if session.checks_puts:
        # The signature has it already: it costs nothing.
        config["checksum_algorithm"] = "SHA256"
    options = parse_qs(parts.query)
    if key := options.get("kms_key"):
        config |= {"server_side_encryption": "aws:kms", "sse_kms_key_id": key[0]}
    if options.get("request_payer"):
        config["request_payer"] = True
    client: ClientConfig = {
        "timeout": timedelta(seconds=aws.READ_SECONDS),
        "connect_timeout": timedelta(seconds=aws.CONNECT_SECONDS),
        "allow_http": endpoint.startswith("http://"),
    }
    if session.ca_bundle:
        client["root_certificate"] = Path(session.ca_bundle).read_bytes()
    prefix = parts.path.strip("/")
    try:
        store = S3Store(
            parts.netloc,
            prefix=prefix or None,
            config=config,
            client_options=client,
            retry_config={"max_retries": session.attempts - 1, "retry_timeout": _RETRY_TIMEOUT},
            credential_provider=credentials,
        )
    except FAILURES as error:
        raise LakeError(f"the lake {shown(url)} cannot be opened ({first_line(error)}): check LAKE_URL") from None
    return ObjectLake(store, f"s3://{parts.netloc}/{prefix}".rstrip("/"), partial(open_s3, url))
