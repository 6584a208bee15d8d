"""`make acceptance-aws`, on a stand-in: it asks, says what it did and what it could not, and leaves nothing behind."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber
from click.testing import CliRunner, Result

from log_assets import aws as clients
from log_assets_tests import acceptance
from log_assets_tests.acceptance import PREFIX, ROOT, Account, Failed, Stack, Terminal, tell_cost
from log_assets_tests.athena_server import AthenaServer
from log_assets_tests.aws_proxy import Call, Proxy, Refusal, proxy

# moto says of each resource that its CloudFormation makes none; acceptance says so itself.
pytestmark = pytest.mark.filterwarnings("ignore:Tried to parse")

STACK = re.compile(PREFIX + "[0-9a-f]{8}")


@pytest.fixture
def between(aws: str, aws_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    with proxy(aws_endpoint) as found:
        monkeypatch.setenv("AWS_ENDPOINT_URL", found.url)
        yield found


def start(*arguments: str, stdin: Any = subprocess.DEVNULL) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "log_assets_tests.acceptance", *arguments]
    return subprocess.Popen(command, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT)


def run(*arguments: str) -> tuple[int, str]:
    with start(*arguments) as process:
        said, _ = process.communicate()
    return process.returncode, said


def here(*arguments: str) -> Result:
    return CliRunner().invoke(acceptance.main, arguments)


def left() -> list[str]:
    """What of any run is still in the account."""
    stacks = boto3.client("cloudformation").describe_stacks()["Stacks"]
    found = [one["StackName"] for one in stacks]
    found += [one["Name"] for one in boto3.client("s3").list_buckets()["Buckets"]]
    found += [one["Name"].replace("_", "-") for one in boto3.client("glue").get_databases()["DatabaseList"]]
    found += [one["RoleName"] for one in boto3.client("iam").list_roles()["Roles"]]
    found += [one["InstanceProfileName"] for one in boto3.client("iam").list_instance_profiles()["InstanceProfiles"]]
    return [name for name in found if name.startswith(PREFIX)]


def lines(said: str, outcome: str) -> list[str]:
    """What was said of the steps that ended so, without their seconds."""
    found = re.findall(rf"^{outcome} +(?:[\d.]+ s  )?(.*)$", said, re.MULTILINE)
    return [re.sub(rf"{STACK.pattern}|\d{{4}}-\d\d-\d\d-\d\d", "…", one) for one in found]


DONE = [
    "make the stack …",
    "take on the pipeline's role",
    "log-assets init",
    "log-assets doctor",
    "log-assets backfill, … to …",
    "all its checks pass",
    "log-assets status: every record of the source, none missing",
    "log-assets poll --once: a late record of …",
    "log-assets restore of …: the late record among all others",
    "log-assets backfill of … again, from what was captured",
    "all its checks pass",
    "log-assets status: one record more, none missing",
]
QUERIES = ["log-assets query through Athena: as many rows", "log-assets query through Athena: exactly one row more"]


@pytest.mark.slow
def test_it_runs_to_its_end_and_names_what_it_skipped(between: Proxy) -> None:
    code, said = run("--yes")
    assert code == 0, said
    assert [one.removesuffix(", but for that") for one in lines(said, "ok")] == DONE
    skipped = lines(said, "skipped")
    assert re.match("of the template, since the stand-in makes none: .*GlueDatabase, Key, .*WorkGroup", skipped[0])
    assert skipped[1].startswith("the key through the secret: ")
    assert skipped[2] == f"the count by Athena in {', '.join(3 * ['hour_is_sound of …'])}"
    assert skipped[3:5] == [f"{name}; the stand-in's Athena only pretends" for name in QUERIES]
    assert skipped[5:] == ["the count by Athena in hour_is_sound of …"]
    assert "nothing is left\n" in said
    assert left() == []
    # What it says of requests is about what was asked.
    counted, told = (
        between.counted(),
        [int(one.replace(",", "")) for one in re.findall(r"([\d,]+) (?:PUT|LIST|GET)", said)],
    )
    asked = [counted["s3 PutObject"] + counted["s3 ListObjectsV2"], counted["s3 GetObject"] + counted["s3 HeadObject"]]
    for real, estimate in zip(asked, [told[0] + told[1], told[-1]], strict=True):
        assert real <= estimate <= 2 * real
    # What it worked with was the role's, and is in no output.
    assert "AWS_" not in said


@pytest.mark.trino
def test_beside_an_athena_nothing_of_the_queries_is_skipped(
    aws: str, athena_server: AthenaServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QUERY_URL", "athena://logs")
    code, said = run("--yes")
    assert code == 0, said
    assert sorted(lines(said, "ok")) == sorted(DONE + QUERIES)
    assert len(lines(said, "skipped")) == 2
    assert left() == []


def test_it_does_nothing_unasked(between: Proxy) -> None:
    code, said = run()
    assert code == 1
    assert "account 123456789012" not in said
    assert re.match("A stand-in for AWS on this machine, region eu-central-1, as arn:aws:sts::123456789012:", said)
    assert "a US cent" in said
    assert said.splitlines()[-1] == "Error: nobody can be asked here: --yes goes on without asking (make …, YES=1)"
    assert between.counted() == {"sts GetCallerIdentity": 1}


def test_it_does_nothing_when_the_answer_is_no(between: Proxy) -> None:
    ours, its = os.openpty()
    with open(ours, "wb", buffering=0) as answer, open(its, "rb") as terminal, start(stdin=terminal) as process:
        answer.write(b"n\n")
        said, _ = process.communicate()
    assert process.returncode == 1
    assert "Go on? [y/N]:" in said
    assert between.counted() == {"sts GetCallerIdentity": 1}


def test_a_step_that_fails_ends_it_and_nothing_is_left(between: Proxy) -> None:
    between.fault = lambda call: Refusal(400, "AccessDeniedException") if call.name == "glue CreateDatabase" else None
    code, said = run("--yes")
    assert code == 1
    assert lines(said, "FAILED") == ["log-assets init"]
    assert "\n          Error: " in said
    assert "stopped at: log-assets init; the steps after it were not tried\n" in said
    assert "nothing is left\n" in said
    assert left() == []


def test_ctrl_c_takes_it_down(between: Proxy) -> None:
    with start("--yes") as process:
        assert process.stdout is not None
        said = ""
        while "take on the pipeline's role" not in said:
            said += process.stdout.readline()
        assert left() != []
        process.send_signal(signal.SIGINT)
        said += process.stdout.read()
    assert process.returncode == 1
    assert "interrupted\n" in said
    assert said.endswith("nothing is left\n")
    assert left() == []


def test_what_is_kept_is_taken_down_by_the_command_that_it_prints(aws: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> str:
        raise Failed("as a test wants it")

    monkeypatch.setattr(Terminal, "run", fail)
    kept = here("--yes", "--keep")
    assert kept.exit_code == 1
    command = re.search(
        r"^kept; to take it down: \S+ -m log_assets_tests.acceptance (--remove (\S+))$", kept.stdout, re.M
    )
    assert command is not None
    (bucket,) = [name for name in left() if "-bucket-" in name]
    client = boto3.client("s3")
    for content in (b"1", b"2"):
        client.put_object(Bucket=bucket, Key="lake/compact/x", Body=content)
    client.delete_object(Bucket=bucket, Key="lake/compact/x")
    gone = here(*command[1].split(), "--yes")
    assert gone.exit_code == 0, gone.output
    assert left() == []
    # Asked for again, there is nothing to do, and nothing to complain of.
    assert here("--remove", command[2], "--yes").exit_code == 0


def test_the_key_goes_through_the_secret_and_into_no_output(aws: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on AWS; moto's CloudFormation makes no secret, so this makes it."""
    settings: list[str] = []
    client, make, missing = boto3.client("secretsmanager"), Stack.make, Stack.missing

    def make_with_secret(stack: Stack) -> dict[str, str]:
        client.create_secret(Name=stack.secret)
        return make(stack)

    def fail(terminal: Terminal, *_: str, **__: str) -> str:
        held = client.list_secrets()["SecretList"][0]["Name"]
        settings.extend([terminal.settings["f_key"], client.get_secret_value(SecretId=held)["SecretString"]])
        raise Failed("as a test wants it")

    monkeypatch.setattr(Stack, "make", make_with_secret)
    monkeypatch.setattr(Stack, "missing", lambda stack: [name for name in missing(stack) if name != "Key"])
    monkeypatch.setattr(Terminal, "run", fail)
    done = here("--yes")
    assert "put the key into the secret, and read it as that role" in lines(done.stdout, "ok")
    key, held = settings
    assert key == held
    assert key not in done.output
    assert client.list_secrets()["SecretList"] == []


def test_a_role_that_is_not_known_yet_is_waited_for(between: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> str:
        raise Failed("as a test wants it")

    refused: list[str] = []

    def fault(call: Call) -> Refusal | None:
        # Once each: the role is not known, and its rights are not.
        if call.name not in ("sts AssumeRole", "s3 ListObjectsV2") or call.name in refused:
            return None
        refused.append(call.name)
        return Refusal(403, "AccessDenied")

    monkeypatch.setattr(acceptance, "_POLL_SECONDS", 0)
    monkeypatch.setattr(Terminal, "run", fail)
    between.fault = fault
    assert "take on the pipeline's role" in lines(here("--yes").stdout, "ok")
    assert refused == ["sts AssumeRole", "s3 ListObjectsV2"]

    monkeypatch.setattr(acceptance, "_ROLE_SECONDS", -1)
    refused.clear()
    said = here("--yes").stdout
    assert lines(said, "FAILED") == ["take on the pipeline's role"]
    assert "          your own rights must include sts:AssumeRole\n" in said
    assert left() == []


def test_what_cannot_be_removed_is_named(aws: str, between: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> str:
        raise Failed("as a test wants it")

    monkeypatch.setattr(Terminal, "run", fail)
    between.fault = lambda call: Refusal(403, "AccessDenied") if call.name == "s3 DeleteBucket" else None
    done = here("--yes")
    assert done.exit_code == 1
    (name,) = set(STACK.findall(done.stdout))
    assert re.search(rf"^LEFT    the bucket {name}-bucket-…: .*AccessDenied", done.stdout, re.M)
    assert (
        f"not all is gone; once more: .venv/bin/python -m log_assets_tests.acceptance --remove {name}\n" in done.stdout
    )
    between.fault = lambda call: None
    assert here("--remove", name, "--yes").exit_code == 0
    assert left() == []


def test_it_removes_nothing_but_its_own(aws: str) -> None:
    for name in ("log-assets", "log-assets-acceptance-", f"{PREFIX}*", "x" + PREFIX + "0123abcd"):
        assert here("--remove", name, "--yes").exit_code == 2
    assert [one["Name"] for one in boto3.client("s3").list_buckets()["Buckets"] if one["Name"] == aws]


def test_without_region_or_credentials_it_says_so_in_one_line(aws: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name)
    refused = here("--yes")
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert refused.stderr == "Error: no AWS region is set: set AWS_REGION, or region in the profile\n"
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    refused = here("--yes")
    assert (refused.exit_code, refused.stdout, refused.stderr.count("\n")) == (1, "", 1)
    assert "there are no AWS credentials: aws configure" in refused.stderr


class Scripted(Account):
    """An account whose services answer what a test says, each call and answer of the form that AWS gives it."""

    def client(self, service: Any) -> Any:
        return SERVICES[service][0]


SERVICES: dict[str, tuple[Any, Stubber]] = {}
NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def scripted(aws: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Account]:
    monkeypatch.setattr(acceptance, "_POLL_SECONDS", 0)
    for service in ("cloudformation", "athena", "s3"):
        client: Any = clients.session().boto3.client(service)
        SERVICES[service] = client, Stubber(client)
    for _, stub in SERVICES.values():
        stub.activate()
    yield Scripted(clients.session(), "arn:aws:iam::1:user/x", "1", "eu-central-1", local=False)
    for _, stub in SERVICES.values():
        stub.assert_no_pending_responses()


def stands(stub: Stubber, status: str, resources: dict[str, str]) -> None:
    stack = {"StackName": "x", "CreationTime": NOW, "StackStatus": status}
    stub.add_response("describe_stacks", {"Stacks": [stack]})
    lists(stub, resources)


def lists(stub: Stubber, resources: dict[str, str]) -> None:
    summaries = [
        {
            "LogicalResourceId": name,
            "ResourceType": "x",
            "LastUpdatedTimestamp": NOW,
            "ResourceStatus": status,
            "ResourceStatusReason": f"why {name} did",
        }
        for name, status in resources.items()
    ]
    stub.add_response("list_stack_resources", {"StackResourceSummaries": summaries})


def test_a_bucket_is_emptied_of_versions_and_delete_markers(scripted: Account) -> None:
    """AWS keeps a bucket that has either; moto one that has versions."""
    stack, (_, s3) = Stack(scripted), SERVICES["s3"]
    bucket = f"{stack.name}-bucket-x"
    version, marker = {"Key": "a", "VersionId": "1"}, {"Key": "b", "VersionId": "2"}
    for outcome in ({}, {"Errors": [{"Key": "b", "Message": "why"}]}):
        s3.add_response("list_buckets", {"Buckets": [{"Name": bucket}]})
        s3.add_response("list_object_versions", {"Versions": [version], "DeleteMarkers": [marker]}, {"Bucket": bucket})
        every = {"Bucket": bucket, "Delete": {"Objects": [version, marker], "Quiet": True}}
        s3.add_response("delete_objects", outcome, every)
        if outcome:
            with pytest.raises(Failed, match="1 objects stay, b first: why"):
                stack._remove_buckets()
        else:
            s3.add_response("delete_bucket", {}, {"Bucket": bucket})
            stack._remove_buckets()


def test_a_workgroup_in_which_queries_ran_keeps_no_stack(scripted: Account) -> None:
    """AWS refuses a stack to delete it; moto makes none."""
    stack, (_, stub), (_, athena) = Stack(scripted), SERVICES["cloudformation"], SERVICES["athena"]
    stub.add_response("delete_stack", {}, {"StackName": stack.name})
    # Not begun yet.
    stands(stub, "CREATE_COMPLETE", {"WorkGroup": "CREATE_COMPLETE"})
    stands(stub, "DELETE_IN_PROGRESS", {"WorkGroup": "DELETE_IN_PROGRESS", "Table": "DELETE_COMPLETE"})
    failed = {"WorkGroup": "DELETE_FAILED", "Table": "DELETE_COMPLETE"}
    stands(stub, "DELETE_FAILED", failed)
    lists(stub, failed)
    athena.add_response("delete_work_group", {}, {"WorkGroup": stack.name, "RecursiveDeleteOption": True})
    stub.add_response("delete_stack", {}, {"StackName": stack.name, "RetainResources": ["WorkGroup"]})
    stub.add_client_error("describe_stacks", "ValidationError", f"Stack with id {stack.name} does not exist")
    stack._remove_stack()


def test_what_else_a_stack_could_not_delete_is_named(scripted: Account) -> None:
    stack, (_, stub), (_, athena) = Stack(scripted), SERVICES["cloudformation"], SERVICES["athena"]
    stub.add_response("delete_stack", {})
    failed = {"GlueDatabase": "DELETE_FAILED", "WebRole": "DELETE_FAILED"}
    stands(stub, "DELETE_FAILED", failed)
    lists(stub, failed)
    athena.add_client_error("delete_work_group", "InvalidRequestException", "WorkGroup is not found.")
    stub.add_response("delete_stack", {}, {"StackName": stack.name, "RetainResources": list(failed)})
    stub.add_client_error("describe_stacks", "ValidationError", f"Stack with id {stack.name} does not exist")
    with pytest.raises(Failed, match=r"^WebRole: why WebRole did$"):
        stack._remove_stack()


def test_a_stack_that_stays_is_named(scripted: Account) -> None:
    stack, (_, stub), (_, athena) = Stack(scripted), SERVICES["cloudformation"], SERVICES["athena"]
    failed = {"WorkGroup": "DELETE_FAILED"}
    for _ in range(2):
        stub.add_response("delete_stack", {})
        stands(stub, "DELETE_FAILED", failed)
        lists(stub, failed)
    athena.add_response("delete_work_group", {})
    with pytest.raises(Failed, match=r"^WorkGroup: why WorkGroup did$"):
        stack._remove_stack()


def test_a_stack_that_cannot_be_made_says_what_was_in_the_way(scripted: Account) -> None:
    stack, (_, stub) = Stack(scripted), SERVICES["cloudformation"]
    stub.add_response("create_stack", {})
    resources = {"Bucket": "CREATE_COMPLETE", "Key": "CREATE_FAILED"}
    stands(stub, "CREATE_FAILED", resources)
    lists(stub, resources)
    with pytest.raises(Failed, match=r"^Key: why Key did$"):
        stack.make()


def test_the_cost_is_what_was_counted_at_the_list_prices(scripted: Account, capsys: pytest.CaptureFixture[str]) -> None:
    stack = Stack(scripted)
    (_, s3), (_, athena) = SERVICES["s3"], SERVICES["athena"]
    s3.add_response("list_buckets", {"Buckets": [{"Name": "another"}, {"Name": f"{stack.name}-bucket-x"}]})
    versions = [{"Key": key, "VersionId": "1", "Size": 250_000_000} for key in ("lake/raw/a", "lake/rows/b")]
    marks = [{"Key": "lake/rows/b", "VersionId": "2"}]
    s3.add_response(
        "list_object_versions", {"Versions": versions, "DeleteMarkers": marks}, {"Bucket": f"{stack.name}-bucket-x"}
    )
    ids = {"QueryExecutionIds": ["1", "2", "3"]}
    athena.add_response("list_query_executions", ids, {"WorkGroup": stack.name})
    found = [("DML", 1), ("DML", 10**12 - 10_000_000), ("DDL", 10**12)]
    queries = [{"StatementType": kind, "Statistics": {"DataScannedInBytes": size}} for kind, size in found]
    athena.add_response("batch_get_query_execution", {"QueryExecutions": queries}, ids)
    tell_cost(stack, commands=100, hours=730)
    assert capsys.readouterr().out.splitlines()[1:] == [
        "  $0.0050  2 PUT that wrote (counted), some 1,000 LIST and refused PUT (estimated)",
        "  $0.0002  some 502 GET (estimated)",
        "  $0.4115  500,000,000 bytes and a secret for 43800 minutes",
        "  $5.0000  2 queries of Athena, 1,000,000,000,000 bytes charged (counted)",
        "  $5.4167  in all",
    ]
