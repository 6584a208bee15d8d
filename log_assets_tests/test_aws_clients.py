"""One configuration for every client of AWS: they ask the hosts that boto3 would, and trust whom it trusts."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import boto3
import pytest
from botocore.exceptions import UnauthorizedSSOTokenError

from log_assets import aws as settings_of_aws
from log_assets.errors import LakeError, LogAssetsError
from log_assets.ports import open_catalog, open_lake
from log_assets.settings import Settings
from log_assets_tests.account import Account
from log_assets_tests.aws_proxy import Call, Refusal
from log_assets_tests.connect_proxy import connect_proxy
from log_assets_tests.private_ca import authority, in_tls
from log_assets_tests.shell import Shell

PROFILE = """
[profile elsewhere]
region = eu-west-3
services = mine
[services mine]
s3 =
    endpoint_url = https://s3.elsewhere.example
glue =
    endpoint_url = https://glue.elsewhere.example
[profile by-path]
region = eu-west-3
s3 =
    addressing_style = path
"""
VPC = "bucket.vpce-1.s3.eu-west-3.vpce.amazonaws.com"
# What is set; the hosts that S3 and Glue are asked at.
ENVIRONMENTS = {
    "AWS_REGION=eu-central-1": ("logs-b.s3.eu-central-1.amazonaws.com", "glue.eu-central-1.amazonaws.com"),
    "AWS_DEFAULT_REGION=ap-south-1": ("logs-b.s3.ap-south-1.amazonaws.com", "glue.ap-south-1.amazonaws.com"),
    "AWS_REGION=eu-west-1 AWS_DEFAULT_REGION=us-east-2": (
        "logs-b.s3.eu-west-1.amazonaws.com",
        "glue.eu-west-1.amazonaws.com",
    ),
    "AWS_REGION=cn-north-1": ("logs-b.s3.cn-north-1.amazonaws.com.cn", "glue.cn-north-1.amazonaws.com.cn"),
    "AWS_REGION=us-gov-west-1": ("logs-b.s3.us-gov-west-1.amazonaws.com", "glue.us-gov-west-1.amazonaws.com"),
    "AWS_REGION=us-east-2 AWS_USE_FIPS_ENDPOINT=true": (
        "logs-b.s3-fips.us-east-2.amazonaws.com",
        "glue-fips.us-east-2.amazonaws.com",
    ),
    "AWS_REGION=us-east-2 AWS_USE_DUALSTACK_ENDPOINT=true": (
        "logs-b.s3.dualstack.us-east-2.amazonaws.com",
        "glue.us-east-2.api.aws",
    ),
    "AWS_PROFILE=elsewhere": ("s3.elsewhere.example", "glue.elsewhere.example"),
    "AWS_PROFILE=by-path": ("s3.eu-west-3.amazonaws.com", "glue.eu-west-3.amazonaws.com"),
    f"AWS_REGION=eu-west-3 AWS_ENDPOINT_URL_S3=https://{VPC}": (VPC, "glue.eu-west-3.amazonaws.com"),
}


@pytest.fixture
def nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Credentials, and nothing else of AWS: no region, no endpoint. Gives the file of profiles."""
    for name in [name for name in os.environ if name.startswith("AWS_") or name.lower() in ("no_proxy", "https_proxy")]:
        monkeypatch.delenv(name)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    file = tmp_path / "aws-config"
    file.write_text(PROFILE)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(file))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "no-aws-credentials"))
    return file


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_every_client_asks_the_hosts_that_boto3_would(
    nowhere: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    s3, glue = ENVIRONMENTS[name]
    for variable, value in (one.split("=", 1) for one in name.split()):
        monkeypatch.setenv(variable, value)
    with connect_proxy() as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        asks: list[tuple[str, Callable[[], object]]] = [
            (s3, lambda: open_lake("s3://logs-b/x").get("lake.json")),
            (s3, lambda: open_lake("s3://logs-b/x").put("lake.json", b"")),
            (glue, lambda: open_catalog("glue://d", "s3://logs-b/x").check()),
            # Whoever loads settings gives children that know boto3 alone the region, too.
            (s3, lambda: Settings.load() and boto3.Session().client("s3").list_objects_v2(Bucket="logs-b")),
        ]
        for host, ask in asks:
            proxy.hosts.clear()
            with suppress(Exception):
                ask()
            assert set(proxy.hosts) == {f"{host}:443"}


def test_a_bucket_whose_name_is_no_host_stands_in_the_path(nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_REGION", "eu-west-3")
    assert settings_of_aws.session().address("a.b") == ("https://s3.eu-west-3.amazonaws.com", False)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9/base/")
    assert settings_of_aws.session().address("logs-b") == ("http://127.0.0.1:9/base", False)
    # A bucket that is called like a part of the host.
    assert settings_of_aws.session().address("base") == ("http://127.0.0.1:9/base", False)


CERTIFICATES = ("AWS_CA_BUNDLE", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")


def unset_certificates(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in CERTIFICATES:
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("name", ["AWS_CA_BUNDLE", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "a profile's ca_bundle"])
def test_a_private_ca_is_trusted_by_every_client(
    aws: str, aws_endpoint: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    unset_certificates(monkeypatch)
    ca, both = authority(tmp_path)
    with in_tls(aws_endpoint, both) as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
        for ask in (
            lambda: open_lake(f"s3://{aws}/x").get("a"),
            lambda: open_catalog("glue://private", f"s3://{aws}/x").ensure(),
        ):
            with pytest.raises(LogAssetsError, match=r"of a CA that is not known here: AWS_CA_BUNDLE"):
                ask()
        if name.isupper():
            monkeypatch.setenv(name, str(ca))
        else:
            (tmp_path / "no-aws-config").write_text(f"[default]\nca_bundle = {ca}\n")
        lake = open_lake(f"s3://{aws}/x")
        assert lake.put("raw/a", b"one")
        assert lake.get("raw/a") == b"one"
        open_catalog(f"glue://private_{tmp_path.name.lower()[-20:]}", lake.url).ensure()


@pytest.mark.parametrize("name", CERTIFICATES)
def test_certificates_that_are_not_there_are_one_line(account: Account, name: str) -> None:
    unset_certificates(account.monkeypatch)
    account.set(**{name: "/nowhere/ca.pem"})
    shown = account.failed("status")
    assert f"{name}" in shown
    assert "names no file of certificates" in shown
    assert shown.count("\n") == 1


def test_a_put_has_a_checksum_as_object_lock_wants_it(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    def of_the_put() -> dict[str, str]:
        account.between.heads.clear()
        open_lake(account.lake.url).put(f"raw/{len(account.between.calls)}", b"one")
        (head,) = [head for name, head in account.between.heads if name == "s3 PutObject"]
        return head

    assert of_the_put()["x-amz-checksum-sha256"]
    monkeypatch.setenv("AWS_REQUEST_CHECKSUM_CALCULATION", "when_required")
    assert "x-amz-checksum-sha256" not in of_the_put()


def test_a_requester_that_pays_says_so_at_every_call(account: Account) -> None:
    account.set(LAKE_URL=f"{account.lake.url}?request_payer=requester")
    account.done("init")
    account.between.heads.clear()
    shown = account.run("doctor").stdout
    assert "FAIL  lake" not in shown
    assert "FAIL  rights" not in shown
    asked = [(name, head) for name, head in account.between.heads if name.startswith("s3 ")]
    assert len(asked) > 10
    assert [name for name, head in asked if head.get("x-amz-request-payer") != "requester"] == []


def test_doctor_refuses_a_store_that_overwrites(account: Account) -> None:
    account.done("init")
    assert "ok    lake" in account.run("doctor").stdout
    account.between.without = frozenset({"if-none-match"})
    (line,) = [one for one in account.run("doctor").stdout.splitlines() if "lake:" in one and one.startswith("FAIL")]
    assert "does not keep to S3's conditional writes (If-None-Match)" in line
    account.between.without = frozenset()
    assert [entry.key for entry in account.lake.entries("probe")] == []


def test_doctor_refuses_a_store_that_refuses_to_create_only(account: Account) -> None:
    account.done("init")

    def refuse(call: Call) -> Refusal | None:
        return Refusal(501, "NotImplemented", "A header is not implemented") if call.operation == "PutObject" else None

    account.between.fault = refuse
    (line,) = [one for one in account.run("doctor").stdout.splitlines() if one.startswith("FAIL  lake:")]
    assert "refuses S3's conditional writes (If-None-Match)" in line


START = "https://example.awsapps.com/start"
SSO = f"""
[profile before]
sso_start_url = {START}
sso_region = eu-central-1
sso_account_id = 123456789012
sso_role_name = role
region = eu-central-1
[profile session]
sso_session = one
sso_account_id = 123456789012
sso_role_name = role
region = eu-central-1
[sso-session one]
sso_start_url = {START}
sso_region = eu-central-1
"""


@pytest.mark.parametrize("cached", [True, False], ids=["expired", "never signed in"])
@pytest.mark.parametrize("profile", ["before", "session"])
def test_an_sso_session_that_has_expired_is_one_line(nowhere: Path, tmp_path: Path, profile: str, cached: bool) -> None:
    """In a process of its own: botocore looks for the home when it is loaded."""
    nowhere.write_text(SSO)
    cache = tmp_path / ".aws/sso/cache"
    cache.mkdir(parents=True)
    for key in (START, "one") if cached else ():
        token = {"startUrl": START, "region": "eu-central-1", "accessToken": "-", "expiresAt": "2020-01-01T00:00:00Z"}
        file = hashlib.sha1(key.encode(), usedforsecurity=False).hexdigest()
        (cache / f"{file}.json").write_text(json.dumps(token))
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "AWS_CONFIG_FILE": str(nowhere),
        "AWS_PROFILE": profile,
        "LAKE_URL": "s3://logs-b/x",
        "CATALOG_URL": "glue://d",
    }
    done = subprocess.run(
        [sys.executable, "-m", "log_assets", "status"], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "aws sso login" in done.stderr
    assert done.stderr.count("\n") == 1
    assert len(done.stderr) < 500


def test_credentials_that_expire_meanwhile_are_one_line(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    def expire(_: object) -> None:
        raise UnauthorizedSSOTokenError

    lake = open_lake(account.lake.url)
    monkeypatch.setattr("botocore.credentials.Credentials.get_frozen_credentials", expire)
    with pytest.raises(LakeError, match=r"^[^\n]*aws sso login[^\n]*$"):
        lake.get("lake.json")


def test_a_profile_that_is_not_there_is_one_line(nowhere: Path, shell: Shell) -> None:
    shell.use_folder()
    shell.set(AWS_PROFILE="nobody", LAKE_URL="s3://logs-b/x", CATALOG_URL="glue://d", AWS_REGION="eu-central-1")
    shown = shell.failed("status")
    assert "set AWS_PROFILE to one of" in shown
    assert shown.count("\n") == 1


def test_without_a_region_one_line_says_what_to_set(nowhere: Path, shell: Shell) -> None:
    shell.use_folder()
    shell.set(LAKE_URL="s3://logs-b/x", CATALOG_URL="glue://d")
    assert "set AWS_REGION" in shell.failed("status")
