"""The template's roles: each passes where it must, and is refused the rest.

S3 is enforced by moto's IAM on the running pipeline. moto knows neither conditions nor the ARNs of Glue and Secrets
Manager, so every call that the pipeline really makes is also judged by an evaluator of policies (`iam_policy`).
"""

from __future__ import annotations

import ast
import json
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto.core.authorization import enable_iam_authentication

from log_assets.catalog.table import TABLE
from log_assets.errors import LakeError, QueryError
from log_assets.hour import Hour
from log_assets.lake import layout
from log_assets.ports import open_catalog, open_engine, open_lake
from log_assets.steps import audit
from log_assets.steps.capture import Capturer
from log_assets.steps.publish import Published, publish
from log_assets.steps.receipts import Receipt, pending
from log_assets.steps.restore import restore
from log_assets.steps.tidy import tidy
from log_assets.steps.transform import transform
from log_assets_tests.athena_server import AthenaServer, WorkGroup
from log_assets_tests.aws_calls import athena_call, calls, listening
from log_assets_tests.cloudformation import Template
from log_assets_tests.iam_policy import Call, allowed, denied
from log_assets_tests.kit import Kit, body, record
from log_assets_tests.scripted import Scripted

# moto's CloudFormation says what it doesn't make.
pytestmark = pytest.mark.filterwarnings("ignore:Tried to parse")

TEMPLATE = Path(__file__).parent.parent / "deploy/template.yaml"
CAPTURE, PIPELINE, READER, WEB = "CaptureRole", "PipelineRole", "ReaderRole", "WebRole"

# What moto asks another right for than AWS does: no ARN in Glue, and the bucket where a call names the keys to delete.
_MOTO_ASKS = {"Action": ["glue:*"], "Resource": "*"}
_NOTHING = {"Effect": "Deny", "Action": "secretsmanager:*", "Resource": "*"}


@dataclass
class Account:
    """What the template makes in moto's account: bucket, roles and policies by CloudFormation, the table by hand."""

    template: Template
    bucket: str
    roles: dict[str, str]
    kit: Kit

    def __post_init__(self) -> None:
        self.lake_url = self.template.outputs()["LakeUrl"]
        self.catalog_url = self.template.outputs()["CatalogUrl"]
        self.urls: dict[str, Any] = {"lake_url": self.lake_url, "catalog_url": self.catalog_url}

    @contextmanager
    def role(self, name: str) -> Iterator[None]:
        """Whatever is opened and called meanwhile is so as this role, and moto enforces its policies."""
        if name == PIPELINE:
            delete = {"Action": "s3:DeleteObject", "Resource": f"arn:aws:s3:::{self.bucket}"}
            statements = [{"Effect": "Allow", **one} for one in (_MOTO_ASKS, delete)]
            put_policy(self.roles[name], "moto", {"Version": "2012-10-17", "Statement": statements})
        for title, document in policies_of(self.roles[name]).items():
            # As text, which moto's enforcement wants, and without the secret, which its CloudFormation doesn't make.
            known = [one for one in document["Statement"] if one.get("Resource")]
            put_policy(self.roles[name], title, {**document, "Statement": known or [_NOTHING]})
        found = client("sts").assume_role(RoleArn=self.roles[name], RoleSessionName="test")["Credentials"]
        with pytest.MonkeyPatch.context() as patch, enable_iam_authentication():
            patch.setenv("AWS_ACCESS_KEY_ID", found["AccessKeyId"])
            patch.setenv("AWS_SECRET_ACCESS_KEY", found["SecretAccessKey"])
            patch.setenv("AWS_SESSION_TOKEN", found["SessionToken"])
            yield


def policies_of(role: str) -> dict[str, Any]:
    """The policies that a role has in moto's account; its CloudFormation leaves them as the repr of a dict."""
    iam, name = client("iam"), role.rsplit("/", maxsplit=1)[-1]
    titles = iam.list_role_policies(RoleName=name)["PolicyNames"]
    found = {title: iam.get_role_policy(RoleName=name, PolicyName=title)["PolicyDocument"] for title in titles}
    return {title: ast.literal_eval(one) if isinstance(one, str) else one for title, one in found.items()}


def put_policy(role: str, title: str, document: Any) -> None:
    client("iam").put_role_policy(
        RoleName=role.rsplit("/", maxsplit=1)[-1], PolicyName=title, PolicyDocument=json.dumps(document)
    )


def client(service: str) -> Any:
    """A client with the credentials of the moment: boto3's own session keeps the first ones."""
    session: Any = boto3.Session()
    return session.client(service)


@pytest.fixture
def account(aws: str, tmp_path: Path) -> Account:
    database, stack, cloudformation = f"logs_{uuid.uuid4().hex}", f"logs-{uuid.uuid4().hex}", client("cloudformation")
    cloudformation.create_stack(
        StackName=stack,
        TemplateBody=TEMPLATE.read_text(),
        Parameters=[{"ParameterKey": "Database", "ParameterValue": database}],
        Capabilities=["CAPABILITY_IAM"],
    )
    made = cloudformation.describe_stack_resource(StackName=stack, LogicalResourceId="Bucket")["StackResourceDetail"]
    outputs = {
        one["OutputKey"]: one["OutputValue"]
        for one in cloudformation.describe_stacks(StackName=stack)["Stacks"][0]["Outputs"]
    }
    template = Template(TEMPLATE, made["PhysicalResourceId"], Database=database)
    glue = client("glue")
    glue.create_database(DatabaseInput=template.resource("GlueDatabase")["DatabaseInput"])
    table = template.resource("Table")
    glue.create_table(DatabaseName=table["DatabaseName"], TableInput=table["TableInput"])
    roles = {role: outputs[f"{role}Arn"] for role in (CAPTURE, PIPELINE, READER, WEB)}
    # The kit's own lake is apart: it lends key, clock and windows.
    return Account(template, made["PhysicalResourceId"], roles, Kit(tmp_path / "kit"))


def capture(account: Account, spool: Path) -> list[str]:
    """Two windows, captured by the running capturer, and its log."""
    shown = [body(account.kit.keyring, [record(n) for n in some]) for some in (range(5), range(3, 3606, 900))]
    spooled = open_lake(spool.as_uri())
    capturer = Capturer(Scripted(*shown), open_lake(account.lake_url), spooled, account.kit.now)
    windows = [*capturer.poll(), *capturer.poll()]
    capturer.write_log()
    assert list(spooled.entries("")) == []
    return windows


def pipeline(account: Account, patch: pytest.MonkeyPatch) -> Kit:
    """Everything that runs where Dagster runs: transform, compact, publish, checks, tidy."""
    patch.setattr("log_assets.steps.tidy.GRACE", timedelta(0))
    kit = Kit(
        account.kit.folder / "pipeline",
        account.kit.keyring,
        account.kit.clock,
        **account.urls,
    )
    windows = pending(kit.lake)
    assert len(windows) == 2
    for window in windows[:1]:
        receipt = kit.transform(window)
        assert isinstance(receipt, Receipt)
        kit.publish(*receipt.hours)
    # Rejects, a second generation, hours moved.
    kit.transform(kit.capture([record(9), record(10, inDate="never")]))
    transform(kit.lake, kit.keyring, windows[1])
    outcome = publish(kit.lake, kit.catalog, [Hour("2023-03-10-01"), Hour("2023-03-10-02")], kit.now)
    assert all(isinstance(one, Published) for one in outcome.values()), outcome
    assert audit.status(kit.lake, kit.catalog).rejected == 1
    assert audit.soundness(kit.lake, kit.partition()).problems == []
    assert len(restore(kit.lake, kit.catalog, Hour("2023-03-10-01"))) > 5
    kit.clock += timedelta(days=1)
    # S3's clock ticks in seconds.
    time.sleep(1.1)
    done = tidy(kit.lake, kit.catalog, kit.now(), raw_days=0)
    assert (done.rows, done.generations, done.windows) == (4, 1, 2)
    return kit


def refused(call: Callable[[], Any]) -> None:
    with pytest.raises((LakeError, ClientError)) as caught:
        call()
    assert any(word in str(caught.value) for word in ("403", "AccessDenied", "Forbidden", "denied")), caught.value


def test_the_roles_run_the_pipeline_and_are_refused_the_rest(
    account: Account, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with account.role(CAPTURE):
        windows = capture(account, tmp_path / "spool")
        assert len(windows) == 2
        lake, raw = open_lake(account.lake_url), layout.raw_key(windows[0])
        for call in (
            lambda: lake.get(raw),
            lambda: lake.exists(raw),
            lambda: list(lake.entries("raw")),
            lambda: lake.delete([raw]),
            lambda: lake.put("rows/2023-03-10-01/x.json.gz", b""),
            lambda: lake.put("compact/2023-03-10-01/x/logs.json.gz", b""),
            lambda: lake.replace("lake.json", b""),
            lambda: open_lake(f"s3://{account.bucket}/elsewhere").put("raw/x", b""),
            lambda: client("glue").get_table(DatabaseName=account.template.parameters["Database"], Name=TABLE),
        ):
            refused(call)
    with account.role(PIPELINE):
        kit = pipeline(account, monkeypatch)
        receipt = kit.keys("receipts")[0]
        for call in (
            lambda: client("s3").delete_object(Bucket=account.bucket, Key=f"lake/{receipt}"),
            lambda: kit.lake.put("capture/2023-03-10-01/x.json", b""),
            lambda: open_lake(f"s3://{account.bucket}/elsewhere").put("raw/x", b""),
            lambda: open_lake(f"s3://{account.bucket}/elsewhere").get("raw/x"),
            lambda: client("s3").delete_bucket(Bucket=account.bucket),
        ):
            refused(call)
        published, left = layout.lines_key(kit.partition().hour, kit.partition().digest), kit.keys("raw")
    with account.role(READER):
        lake = open_lake(account.lake_url)
        assert lake.get(published)
        assert [one.key for one in lake.entries("compact") if one.key == published]
        client("s3").put_object(Bucket=account.bucket, Key="athena-results/x.csv", Body=b"")
        for call in (
            lambda: lake.get(left[0]),
            lambda: lake.exists(left[0]),
            lambda: lake.get("lake.json"),
            lambda: lake.put("raw/x", b""),
            lambda: lake.replace(published, b""),
            lambda: lake.delete([published]),
            lambda: client("s3").delete_object(Bucket=account.bucket, Key=f"lake/{published}"),
        ):
            refused(call)


def test_cloudformation_gives_the_roles_what_the_template_says(account: Account) -> None:
    """moto's CloudFormation reads the template by itself; the secret it knows nothing of."""
    for name, arn in account.roles.items():
        found, wanted = policies_of(arn), account.template.policies(name)
        assert set(found) == set(wanted)
        for title in wanted:
            for one, other in zip(found[title]["Statement"], wanted[title]["Statement"], strict=True):
                if "Key" not in one["Sid"]:
                    assert one == other


def change_by_hand(database: str) -> None:
    glue = client("glue")
    table = glue.get_table(DatabaseName=database, Name=TABLE)["Table"]
    table["StorageDescriptor"]["Columns"].pop()
    keep = ("Name", "TableType", "Parameters", "PartitionKeys", "StorageDescriptor")
    glue.update_table(DatabaseName=database, TableInput={name: table[name] for name in keep})


def recorded(account: Account, spool: Path, patch: pytest.MonkeyPatch) -> dict[str, list[Call]]:
    """Every call that capture and pipeline make of S3, Glue and Secrets Manager."""
    with listening() as captured:
        capture(account, spool)
    with listening() as rest:
        pipeline(account, patch)
        # `log-assets init` may repair the table, when someone changed it.
        change_by_hand(account.catalog_url.removeprefix("glue://"))
        open_catalog(account.catalog_url, account.lake_url).repair()
    secret = client("secretsmanager").create_secret(Name=f"{uuid.uuid4().hex}/f_key", SecretString="key")["ARN"]
    account.template.secret = secret
    with listening() as read:
        # As docs/aws.md has it done.
        client("secretsmanager").get_secret_value(SecretId=secret)
    return {CAPTURE: calls(captured), PIPELINE: calls([*rest, *read])}


def test_every_call_is_allowed_and_no_statement_is_without_use(
    account: Account, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = recorded(account, tmp_path / "spool", monkeypatch)
    assert len(made[CAPTURE]) == 3
    assert {call.action for call in made[PIPELINE]} >= {
        *("s3:GetObject", "s3:PutObject", "s3:ListBucket", "s3:DeleteObject", "secretsmanager:GetSecretValue"),
        *("glue:GetTable", "glue:UpdateTable", "glue:GetPartitions", "glue:BatchGetPartition"),
        *("glue:BatchCreatePartition", "glue:BatchUpdatePartition"),
    }
    for role, some in made.items():
        policies = account.template.policies(role)
        assert [str(call) for call in some if not allowed(policies.values(), call)] == []
        # Athena's part, and what Athena and ECS do in this role's name, is judged where they run.
        elsewhere = {"Queries", "Database", "ResultsAndComputeLogs"}
        for sid in {one["Sid"] for policy in policies.values() for one in policy["Statement"]} - elsewhere:
            without = [
                {**policy, "Statement": [one for one in policy["Statement"] if one["Sid"] != sid]}
                for policy in policies.values()
            ]
            assert not all(allowed(without, call) for call in some), f"{role} has no use for {sid}"

    # No put of theirs overwrites: the bucket itself takes none that could.
    puts = [call for some in made.values() for call in some if call.action == "s3:PutObject"]
    created = [call for call in puts if call.context == {"s3:if-none-match": "*"}]
    assert {call.resource.split("/")[2] for call in created} >= {"raw", "rows", "receipts", "rejects", "compact"}
    assert {call.resource.split("/")[2] for call in puts if call not in created} == {"capture"}
    bucket = account.template.resource("BucketPolicy")["PolicyDocument"]
    assert [str(call) for call in puts if denied([bucket], call)] == []

    # Of the pipeline's calls a reader may make those that only read, and in the lake only at what is published.
    for call in account.template.allowed_to(READER, made[PIPELINE]):
        reads = call.action.startswith(("glue:Get", "glue:BatchGet"))
        published = call.resource if call.action == "s3:GetObject" else call.context.get("s3:prefix", "")
        assert reads or "lake/compact/" in published, call
    assert account.template.allowed_to(WEB, [*made[CAPTURE], *made[PIPELINE]]) == []
    may = account.template.allowed_to(CAPTURE, made[PIPELINE])
    assert {(call.action, call.resource.split("/")[2]) for call in may} == {("s3:PutObject", "raw")}


@pytest.mark.trino
def test_queries_pass_under_both_roles(athena_server: AthenaServer, account: Account) -> None:
    """The calls that a query takes: the client's, and those that the engine makes in its name."""
    template = account.template
    athena_server.workgroups["logs"] = WorkGroup(f"s3://{account.bucket}/athena-results/")
    with listening() as requests:
        kit = Kit(account.kit.folder / "pipeline", **account.urls, query_url="athena://logs")
        kit.land([record(1), record(2)])
        kit.publish(Hour("2023-03-10-01"))
        assert kit.engine.run("SELECT count(*) AS n FROM logs").table.to_pylist() == [{"n": 2}]
    made = [*calls(requests), *(athena_call(operation, "logs") for operation in athena_server.calls)]
    assert {call.action for call in made} >= {"glue:CreateTable", "athena:StartQueryExecution", "glue:GetPartitions"}
    assert [str(call) for call in made if call not in template.allowed_to(PIPELINE, made)] == []

    athena_server.calls.clear()
    with listening() as requests:
        catalog = open_catalog(account.catalog_url, account.lake_url)
        catalog.ensure()
        engine = open_engine("athena://logs", catalog)
        assert engine.run("SELECT max(message) AS m FROM logs").table.to_pylist() == [{"m": "POST view"}]
        with pytest.raises(QueryError):
            engine.run("SELECT nope FROM logs")
    made = [*calls(requests), *(athena_call(operation, "logs") for operation in athena_server.calls)]
    assert {call.action for call in made} >= {"s3:GetObject", "s3:PutObject", "athena:StartQueryExecution"}
    assert [str(call) for call in made if call not in template.allowed_to(READER, made)] == []


GLUE = "arn:aws:glue:eu-central-1:123456789012"
REFUSED = {
    CAPTURE: [
        ("s3:GetObject", "{bucket}/lake/raw/2023-03-10-01/x.json.gz"),
        ("s3:DeleteObject", "{bucket}/lake/raw/2023-03-10-01/x.json.gz"),
        ("s3:PutObject", "{bucket}/lake/compact/2023-03-10-01/x/logs.json.gz"),
        ("s3:PutObject", "{bucket}/lake/lake.json"),
        ("s3:PutObject", "{bucket}/raw/x"),
        ("s3:PutObjectAcl", "{bucket}/lake/raw/x"),
        ("s3:ListBucket", "{bucket}"),
        ("glue:GetTable", GLUE + ":table/web_logs/compact_logs"),
        ("athena:StartQueryExecution", "{workgroup}"),
        ("secretsmanager:GetSecretValue", "{secret}"),
    ],
    PIPELINE: [
        ("s3:PutBucketPolicy", "{bucket}"),
        ("s3:DeleteBucket", "{bucket}"),
        ("s3:PutLifecycleConfiguration", "{bucket}"),
        ("s3:PutObject", "{bucket}/lake/capture/2023-03-10-01/x.json"),
        ("s3:PutObject", "{bucket}/elsewhere/x"),
        ("s3:DeleteObject", "{bucket}/lake/receipts/2023-03-10-01/x.json"),
        ("s3:DeleteObject", "{bucket}/lake/rejects/2023-03-10-01/x.json.gz"),
        ("s3:DeleteObject", "{bucket}/lake/lake.json"),
        ("s3:GetObject", "arn:aws:s3:::another-bucket/lake/raw/x"),
        ("glue:CreateDatabase", GLUE + ":database/web_logs"),
        ("glue:DeleteTable", GLUE + ":table/web_logs/compact_logs"),
        ("glue:BatchDeletePartition", GLUE + ":table/web_logs/compact_logs"),
        ("glue:UpdateTable", GLUE + ":table/web_logs/another"),
        ("glue:BatchUpdatePartition", GLUE + ":table/another/compact_logs"),
        ("athena:StartQueryExecution", "{workgroup}-another"),
        ("athena:UpdateWorkGroup", "{workgroup}"),
        ("secretsmanager:PutSecretValue", "{secret}"),
        ("secretsmanager:GetSecretValue", "{secret}-another"),
        ("iam:PassRole", "arn:aws:iam::123456789012:role/CaptureRole"),
    ],
    WEB: [
        ("s3:GetObject", "{bucket}/lake/raw/2023-03-10-01/x.json.gz"),
        ("s3:GetObject", "{bucket}/lake/compact/2023-03-10-01/x/logs.json.gz"),
        ("s3:GetObject", "{bucket}/lake/lake.json"),
        ("s3:GetObject", "{bucket}/athena-results/x.csv"),
        ("s3:ListBucket", "{bucket}"),
        ("s3:PutObject", "{bucket}/dagster-logs/x.out"),
        ("s3:DeleteObject", "{bucket}/dagster-logs/x.out"),
        ("glue:GetTable", GLUE + ":table/web_logs/compact_logs"),
        ("athena:StartQueryExecution", "{workgroup}"),
        ("secretsmanager:GetSecretValue", "{secret}"),
        ("sts:AssumeRole", "arn:aws:iam::123456789012:role/PipelineRole"),
    ],
    READER: [
        ("s3:GetObject", "{bucket}/lake/raw/2023-03-10-01/x.json.gz"),
        ("s3:GetObject", "{bucket}/lake/rejects/2023-03-10-01/x.json.gz"),
        ("s3:GetObject", "{bucket}/lake/lake.json"),
        ("s3:ListBucket", "{bucket}"),
        ("s3:PutObject", "{bucket}/lake/compact/2023-03-10-01/x/logs.json.gz"),
        ("s3:DeleteObject", "{bucket}/lake/compact/2023-03-10-01/x/logs.json.gz"),
        ("s3:DeleteObject", "{bucket}/athena-results/x.csv"),
        ("glue:CreateTable", GLUE + ":table/web_logs/another"),
        ("glue:UpdateTable", GLUE + ":table/web_logs/compact_logs"),
        ("glue:BatchUpdatePartition", GLUE + ":table/web_logs/compact_logs"),
        ("glue:GetTable", GLUE + ":table/another/compact_logs"),
        ("athena:StartQueryExecution", "{workgroup}-another"),
        ("athena:UpdateWorkGroup", "{workgroup}"),
        ("athena:CreateNamedQuery", "{workgroup}"),
        ("secretsmanager:GetSecretValue", "{secret}"),
    ],
}


@pytest.fixture
def template() -> Template:
    return Template(TEMPLATE, "bucket")


@pytest.mark.parametrize("role", REFUSED)
def test_what_a_role_must_not_do_is_refused(role: str, template: Template) -> None:
    names = {"bucket": "arn:aws:s3:::bucket", "secret": template.secret, "workgroup": athena_call("", "logs").resource}
    some = [Call(action, resource.format(**names)) for action, resource in REFUSED[role]]
    some += [Call("s3:ListBucket", names["bucket"], {"s3:prefix": "lake/raw/2023"})] if role in (READER, WEB) else []
    assert template.allowed_to(role, some) == []


def test_a_reader_never_sees_raw_records_whatever_else_it_is_given(template: Template) -> None:
    everything = {"Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
    policies = [everything, *template.policies(READER).values()]
    raw = "arn:aws:s3:::bucket/lake/raw/2023-03-10-01/x.json.gz"
    assert not allowed(policies, Call("s3:GetObject", raw))
    assert not allowed(policies, Call("s3:GetObject", raw.replace("/raw/", "/rejects/")))
    assert not allowed(policies, Call("secretsmanager:GetSecretValue", template.secret))
    assert allowed(policies, Call("s3:GetObject", raw.replace("/raw/", "/compact/")))


@pytest.mark.parametrize("resource", ["arn:aws:s3:::bucket", "arn:aws:s3:::bucket/lake/raw/x"])
def test_the_bucket_is_for_tls_only(template: Template, resource: str) -> None:
    policy = template.resource("BucketPolicy")["PolicyDocument"]
    for action in ("s3:GetObject", "s3:PutObject", "s3:ListBucket"):
        for secure in ("false", "true"):
            context = {"aws:SecureTransport": secure, "s3:if-none-match": "*"}
            assert denied([policy], Call(action, resource, context)) is (secure == "false")


@pytest.mark.parametrize(
    ("key", "only_created"),
    [
        ("lake/raw/2023-03-10-01/x.json.gz", True),
        ("lake/rows/2023-03-10-01/x.json.gz", True),
        ("lake/rejects/2023-03-10-01/x.json.gz", True),
        ("lake/receipts/2023-03-10-01/x.json", True),
        ("lake/compact/2023-03-10-01/x/logs.json.gz", True),
        ("lake/capture/2023-03-10-01/x.json", False),
        ("lake/lake.json", False),
        ("lake/compute-logs/x.out", False),
        ("athena-results/x.csv", False),
        ("dagster-logs/x.out", False),
    ],
)
def test_nobody_overwrites_what_is_in_the_lake(template: Template, key: str, only_created: bool) -> None:
    policy = template.resource("BucketPolicy")["PolicyDocument"]
    put = Call("s3:PutObject", f"arn:aws:s3:::bucket/{key}", {"aws:SecureTransport": "true"})
    created = Call(put.action, put.resource, {**put.context, "s3:if-none-match": "*"})
    assert denied([policy], put) is only_created
    assert not denied([policy], created)


def test_no_role_removes_a_version(template: Template) -> None:
    """So what a role removes or overwrites is still there, for NoncurrentDays."""
    for role in (CAPTURE, PIPELINE, READER, WEB):
        for action in ("DeleteObjectVersion", "PutBucketVersioning", "PutLifecycleConfiguration", "PutBucketPolicy"):
            for key in ("", "/lake/raw/2023-03-10-01/x.json.gz", "/athena-results/x.csv", "/lake/compute-logs/x"):
                assert template.allowed_to(role, [Call(f"s3:{action}", f"arn:aws:s3:::bucket{key}")]) == []


ALLOW = {"Effect": "Allow", "Action": ["s3:Get*", "s3:ListBucket"], "Resource": "arn:aws:s3:::b/?/*"}
GET = Call("S3:GetObject", "arn:aws:s3:::b/x/y/z", {"s3:prefix": "x/y"})


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ({}, True),
        ({"Effect": "Deny"}, False),
        ({"Action": "s3:Put*"}, False),
        ({"Action": "*"}, True),
        ({"Resource": ["arn:aws:s3:::b/xx/*", "arn:aws:s3:::b/x/y"]}, False),
        ({"Resource": "arn:aws:s3:::B/x/*"}, False),
        ({"Condition": {"StringLike": {"s3:prefix": ["a", "x/*"]}}}, True),
        ({"Condition": {"StringEquals": {"s3:prefix": "x/*"}}}, False),
        ({"Condition": {"StringLike": {"s3:prefix": "x/*"}, "Bool": {"aws:SecureTransport": "true"}}}, False),
        ({"Condition": {"Null": {"s3:if-none-match": "true"}}}, True),
        ({"Condition": {"Null": {"s3:if-none-match": "false"}}}, False),
        ({"Condition": {"Null": {"s3:prefix": "true"}}}, False),
        ({"Condition": {"Null": {"s3:prefix": "false"}}}, True),
    ],
)
def test_the_evaluator_follows_the_users_guide(statement: dict[str, Any], expected: bool) -> None:
    assert allowed([{"Statement": [ALLOW | statement]}], GET) is expected
    assert not allowed([{"Statement": [ALLOW | statement, ALLOW | {"Effect": "Deny"}]}], GET)


@pytest.mark.parametrize(
    "statement",
    [
        {"Condition": {"NumericLessThan": {"s3:max-keys": "10"}}},
        {"Condition": {"StringLike": {"s3:delimiter": "/"}}},
        {"NotResource": "x"},
        {"Principal": {"AWS": "x"}},
        {"Effect": "allow"},
        {"Resource": "arn:aws:s3:::b/?/${aws:username}"},
        {"Action": []},
    ],
)
def test_what_the_evaluator_does_not_know_is_an_error(statement: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"not understood|unknown|no text"):
        allowed([{"Statement": [ALLOW | statement]}], GET)
