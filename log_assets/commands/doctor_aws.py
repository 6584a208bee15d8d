"""The AWS account under the pipeline: what `log-assets doctor` probes when a URL names S3, Glue or Athena.

Each probe asks one service for one thing, says what it saw, or raises with the missing right or setting and what to do.
Nothing is made here, and nothing written that stays.
"""

from __future__ import annotations

import base64
import hashlib
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from botocore.exceptions import BotoCoreError, ClientError

from log_assets import aws
from log_assets.errors import LogAssetsError, SettingError
from log_assets.lake import layout

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

# What the pipeline does under each folder of the lake.
_RIGHTS = {
    layout.RAW: ("Put", "List", "Get"),
    layout.ROWS: ("Put", "List", "Get", "Delete"),
    layout.REJECTS: ("Put", "List", "Get"),
    layout.RECEIPTS: ("Put", "List", "Get"),
    layout.COMPACT: ("Put", "List", "Get", "Delete"),
    layout.CAPTURE: ("List", "Get"),
}
_REFUSED = {"AccessDenied", "403", "AllAccessDisabled"}
_MISSING_BUCKET = {"NoSuchBucket", "404"}
_ENGINE = "Athena engine version 3"


def probes(lake_url: str, catalog_url: str, query_url: str) -> dict[str, Callable[[], str]]:
    """The probes of the account that these settings call for, by what they probe; none without AWS."""
    lake, catalog, query = map(urlsplit, (lake_url, catalog_url, query_url))
    found: dict[str, Callable[[], str]] = {}
    if {"s3", "glue", "athena"} & {lake.scheme, catalog.scheme, query.scheme}:
        found |= {"AWS region": _region, "AWS identity": _identity}
    if lake.scheme == "s3":
        pays = "request_payer" in parse_qs(lake.query)
        found["bucket"] = lambda: _bucket(lake.netloc, pays=pays)
        found["rights in the lake"] = lambda: _lake_rights(lake.netloc, lake.path.strip("/"), pays=pays)
    if catalog.scheme == "glue":
        found["database"] = lambda: _database(catalog.netloc)
    if query.scheme == "athena":
        found["workgroup"] = lambda: _workgroup(query.netloc)
        found["output location"] = lambda: _output(query.netloc)
    return found


def _region() -> str:
    region = aws.session().region
    if not region:
        raise SettingError("no AWS region is set: set AWS_REGION, or region in the profile (aws configure)")
    return region


def _identity() -> str:
    with _errors("who asks could not be told"):
        return str(_client("sts").get_caller_identity()["Arn"])


def _bucket(name: str, *, pays: bool = False) -> str:
    region = aws.session().region
    try:
        with _errors(f"s3://{name}", {"403": "it belongs to another account, or the role lacks s3:ListBucket on it"}):
            found = _client("s3", pays=pays).head_bucket(Bucket=name)
    except ClientError as error:
        if _code(error) in _MISSING_BUCKET:
            raise SettingError(
                f"there is no bucket {name}: deploy/ makes it, or aws s3 mb s3://{name} --region {region}; or set "
                "LAKE_URL to another"
            ) from None
        # A bucket elsewhere answers with its region and nothing else.
        there = error.response["ResponseMetadata"]["HTTPHeaders"].get("x-amz-bucket-region", "another region")
        raise SettingError(f"s3://{name} lies in {there}, and AWS_REGION is {region}: set AWS_REGION={there}") from None
    there = found.get("BucketRegion") or region
    if there != region:
        raise SettingError(f"s3://{name} lies in {there}, and AWS_REGION is {region}: set AWS_REGION={there}")
    return f"s3://{name} is there, in {there}"


def _lake_rights(bucket: str, prefix: str, *, pays: bool) -> str:
    client = _client("s3", pays=pays)
    base = f"{prefix}/" if prefix else ""
    missing: list[str] = []
    for folder, rights in _RIGHTS.items():
        missing += _missing_rights(client, bucket, f"{base}{folder}/", rights)
    if missing:
        raise SettingError(f"the role lacks {', '.join(missing)}: add that to it; deploy/ has the role's whole policy")
    return f"it may do under {', '.join(_RIGHTS)} what the pipeline does there"


def _missing_rights(client: S3Client, bucket: str, folder: str, rights: Sequence[str]) -> list[str]:
    key = f"{folder}doctor-{uuid.uuid4().hex}"
    where = f"arn:aws:s3:::{bucket}/{folder}*"

    def put() -> None:
        # The checksum is wrong on purpose: S3 checks the rights first, and then refuses to write. A store that does not
        # check checksums has the object for a moment.
        wrong = base64.b64encode(hashlib.md5(b"wrong", usedforsecurity=False).digest()).decode()
        client.put_object(Bucket=bucket, Key=key, Body=b"", ContentMD5=wrong)
        with suppress(ClientError):
            client.delete_object(Bucket=bucket, Key=key)

    tries: dict[str, tuple[str, Callable[[], Any]]] = {
        "Put": (f"s3:PutObject on {where}", put),
        "List": (
            f"s3:ListBucket on arn:aws:s3:::{bucket} for {folder}",
            lambda: client.list_objects_v2(Bucket=bucket, Prefix=folder, MaxKeys=1),
        ),
        "Get": (f"s3:GetObject on {where}", lambda: client.head_object(Bucket=bucket, Key=key)),
        "Delete": (f"s3:DeleteObject on {where}", lambda: client.delete_object(Bucket=bucket, Key=key)),
    }
    missing = []
    for right in rights:
        name, attempt = tries[right]
        try:
            with _errors(f"s3://{bucket}/{folder}", passing=_REFUSED):
                attempt()
        except ClientError as error:
            if _code(error) in _REFUSED:
                missing.append(name)
    return missing


def _database(name: str) -> str:
    with _errors(f"glue://{name}", {"EntityNotFound": "run log-assets init, which makes it"}):
        _client("glue").get_database(Name=name)
    return f"{name} is there"


def _workgroup(name: str) -> str:
    configuration, state = _configuration(name)
    if state != "ENABLED":
        raise SettingError(
            f"the workgroup {name} is {state.lower()}: aws athena update-work-group --work-group {name} --state ENABLED"
        )
    engine = configuration.get("EngineVersion", {}).get("EffectiveEngineVersion", _ENGINE)
    if engine != _ENGINE:
        raise SettingError(
            f"the workgroup {name} runs {engine}, and athena_sql/ is written for {_ENGINE}: aws athena "
            f"update-work-group --work-group {name} --configuration-updates "
            f'EngineVersion={{SelectedEngineVersion="{_ENGINE}"}}'
        )
    limit = configuration.get("BytesScannedCutoffPerQuery")
    return f"{name} is enabled, {engine}, " + (f"at most {limit:,} bytes a query" if limit else "no limit of bytes")


def _output(name: str) -> str:
    configuration, _ = _configuration(name)
    location = configuration.get("ResultConfiguration", {}).get("OutputLocation")
    if not location:
        raise SettingError(
            f"the workgroup {name} has no output location: aws athena update-work-group --work-group {name} "
            "--configuration-updates ResultConfigurationUpdates={OutputLocation=s3://bucket/athena-results/}"
        )
    parts = urlsplit(location)
    _bucket(parts.netloc)
    folder = parts.path.strip("/")
    missing = _missing_rights(_client("s3"), parts.netloc, f"{folder}/" if folder else "", ("Put", "List", "Get"))
    if missing:
        raise SettingError(f"the role lacks {', '.join(missing)}, where Athena writes results: add that to it")
    return str(location)


def _configuration(name: str) -> tuple[Any, str]:
    with _errors(f"athena://{name}", {"is not found": "check QUERY_URL, or make the workgroup, as deploy/ does"}):
        found = _client("athena").get_work_group(WorkGroup=name)["WorkGroup"]
    return found.get("Configuration", {}), found.get("State", "ENABLED")


def _client(service: Any, *, pays: bool = False) -> Any:
    session = aws.session()
    try:
        client = session.boto3.client(service, config=session.config)
    except (BotoCoreError, ValueError) as error:
        raise SettingError(f"AWS's {service} cannot be asked ({error}): set AWS_REGION") from None
    if pays:
        client.meta.events.register("before-sign.s3", _pay)
    return client


def _pay(request: Any, **_: Any) -> None:
    request.headers["x-amz-request-payer"] = "requester"


@contextmanager
def _errors(what: str, hints: dict[str, str] | None = None, passing: set[str] = _MISSING_BUCKET) -> Iterator[None]:
    """Turns what AWS says into one clear line; what S3 says of a probe, or of a bucket, goes to who asked."""
    try:
        yield
    except ClientError as error:
        code = _code(error)
        if code in passing | {"301", "BadDigest", "404", "NoSuchKey"}:
            raise
        said = f"{code}: {error.response.get('Error', {}).get('Message', '')}"
        hint = aws.hint(said, hints) or "try again later"
        raise LogAssetsError(f"{what}: {said}: {hint}") from None
    except BotoCoreError as error:
        hint = aws.hint(str(error)) or "check region and endpoint"
        raise LogAssetsError(f"{what} could not be asked ({error}): {hint}") from None


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))
