"""One run on an AWS account: `make acceptance-aws`.

Makes the stack, works with it as its pipeline's role, says what that cost, and takes it down again, come what may.
docs/aws.md tells what it needs. On a stand-in for AWS on this machine (AWS_ENDPOINT_URL) the same is done, and what
that cannot do is named as skipped.
"""

from __future__ import annotations

import json
import math
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click
import dagster as dg
from botocore.exceptions import BotoCoreError, ClientError

from log_assets import aws
from log_assets.defs.checks import KEYS
from log_assets.errors import LogAssetsError
from log_assets.hour import Hour, hours_between
from log_assets.records.token import Keyring
from log_assets.settings import DEMO_SOURCE, WITHOUT_KEY, Settings
from log_assets.source.demo import DemoRecords
from log_assets_tests.cloudformation import Template
from log_assets_tests.kit import body

ROOT = Path(__file__).parent.parent
TEMPLATE = ROOT / "deploy/template.yaml"
PREFIX = "log-assets-acceptance-"
HOURS = 3
# Of a command, besides what it asks for each window; about as many as they were seen to make.
LISTS_A_COMMAND, GETS_A_COMMAND = 10, 5
_ATHENA_LEAST = 10_000_000
_HOURS_A_MONTH = 730
_POLL_SECONDS = 5.0
_STACK_SECONDS = 20 * 60.0
# A new role is known everywhere a little later.
_ROLE_SECONDS = 60.0
_LOCAL = {"127.0.0.1", "localhost", "::1"}
_GONE = re.compile("not ?found|does not exist|NoSuchBucket|can't find", re.IGNORECASE)


def _say(text: str) -> None:
    # Who reads this may have gone; what was made is taken down all the same.
    with suppress(OSError):
        click.echo(text)


class Failed(Exception):
    """A step did not do what it should; the text may have several lines."""


@contextmanager
def _unless_gone() -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        if not _GONE.search(str(error)):
            raise


@dataclass(frozen=True)
class Account:
    """Whose account it is, where, and whether it is only a stand-in on this machine."""

    session: aws.Session
    arn: str
    number: str
    region: str
    local: bool

    @classmethod
    def here(cls) -> Account:
        """The account that the environment names.

        Raises:
            click.ClickException: it names no region, or nobody who may ask.
        """
        try:
            session = aws.session()
            if not session.region:
                raise click.ClickException("no AWS region is set: set AWS_REGION, or region in the profile")
            client = session.boto3.client("sts", config=session.config)
            who = client.get_caller_identity()
        except (ClientError, BotoCoreError, LogAssetsError, ValueError) as error:
            help_ = aws.hint(str(error)) or "check region, endpoint and credentials"
            raise click.ClickException(f"AWS does not say whose account this is ({error}): {help_}") from None
        local = urlsplit(client.meta.endpoint_url).hostname in _LOCAL
        return cls(session, who["Arn"], who["Account"], session.region, local)

    def client(self, service: Any) -> Any:
        return self.session.boto3.client(service, config=self.session.config)


@dataclass
class Steps:
    """What was done, a line each with its seconds; what the stand-in cannot do is skipped by name."""

    account: Account

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        began = time.monotonic()
        try:
            yield
        except (Failed, ClientError, BotoCoreError, LogAssetsError) as error:
            self._told("FAILED", name, began)
            _say("\n".join(f"          {line}" for line in str(error).splitlines()))
            raise Failed(name) from error
        self._told("ok", name, began)

    def skipped(self, what: str) -> None:
        _say(f"skipped           {what}")

    def _told(self, outcome: str, name: str, began: float) -> None:
        _say(f"{outcome:<7} {time.monotonic() - began:6.1f} s  {name}")


@dataclass
class Stack:
    """A stack of deploy/template.yaml under a name of its own, with all that stays when it is deleted."""

    account: Account
    name: str = field(default_factory=lambda: PREFIX + uuid.uuid4().hex[:8])

    @property
    def database(self) -> str:
        return self.name.replace("-", "_")

    @property
    def secret(self) -> str:
        return f"{self.name}/f_key"

    def make(self) -> dict[str, str]:
        """Make it; gives its outputs. Raises `Failed` with each resource that could not be made, and why."""
        client = self.account.client("cloudformation")
        given = {"Database": self.database, "WorkGroupName": self.name}
        client.create_stack(
            StackName=self.name,
            TemplateBody=TEMPLATE.read_text(),
            Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in given.items()],
            Capabilities=["CAPABILITY_IAM"],
            # So that what failed can be told; all of it is removed at the end anyway.
            OnFailure="DO_NOTHING",
        )
        if self._wait("CREATE") != "CREATE_COMPLETE":
            raise Failed(_told(self._failures()) or "it was not made")
        (found,) = client.describe_stacks(StackName=self.name)["Stacks"]
        return {one["OutputKey"]: one["OutputValue"] for one in found["Outputs"]}

    def missing(self) -> list[str]:
        """The resources of the template that are not among the stack's."""
        wanted = Template(TEMPLATE, "bucket").document["Resources"]
        return sorted(set(wanted) - {one["LogicalResourceId"] for one in self._resources()})

    def remove(self) -> list[str]:
        """Remove it, and what it would leave behind; gives what is left, with the reason."""
        left = []
        # The stack first: it removes what is in the bucket's way, and its roles, so that nobody writes any more.
        removals: dict[str, Callable[[], object]] = {
            f"the stack {self.name}": self._remove_stack,
            f"the bucket {self.name}-bucket-…": self._remove_buckets,
            f"the secret {self.secret}": self._remove_secret,
            f"the Glue database {self.database}": self._remove_database,
            f"the workgroup {self.name}": self._remove_workgroup,
        }
        for what, remove in removals.items():
            try:
                remove()
            except (Failed, ClientError, BotoCoreError) as error:
                left.append(f"{what}: {error}")
        return left

    def buckets(self) -> list[str]:
        """The buckets that CloudFormation made for this stack: it begins their names with the stack's."""
        found = self.account.client("s3").list_buckets()["Buckets"]
        return [one["Name"] for one in found if one["Name"].startswith(f"{self.name}-bucket-")]

    def _remove_stack(self) -> None:
        client = self.account.client("cloudformation")
        client.delete_stack(StackName=self.name)
        if self._wait("DELETE") != "DELETE_FAILED":
            return
        failed = self._failures()
        # No stack removes a workgroup in which queries ran. What is removed below need not go with the stack.
        self._remove_workgroup()
        client.delete_stack(StackName=self.name, RetainResources=list(failed))
        if self._wait("DELETE") == "DELETE_FAILED":
            raise Failed(_told(self._failures()))
        if others := {name: why for name, why in failed.items() if name not in ("WorkGroup", "GlueDatabase")}:
            raise Failed(_told(others))

    def _remove_secret(self) -> None:
        with _unless_gone():
            client = self.account.client("secretsmanager")
            client.delete_secret(SecretId=self.secret, ForceDeleteWithoutRecovery=True)

    def _remove_database(self) -> None:
        with _unless_gone():
            self.account.client("glue").delete_database(Name=self.database)

    def _remove_workgroup(self) -> None:
        with _unless_gone():
            self.account.client("athena").delete_work_group(WorkGroup=self.name, RecursiveDeleteOption=True)

    def _remove_buckets(self) -> None:
        client = self.account.client("s3")
        for bucket in self.buckets():
            for page in client.get_paginator("list_object_versions").paginate(Bucket=bucket):
                keys = [
                    {"Key": one["Key"], "VersionId": one["VersionId"]}
                    for one in [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
                ]
                if keys:
                    done = client.delete_objects(Bucket=bucket, Delete={"Objects": keys, "Quiet": True})
                    if errors := done.get("Errors"):
                        raise Failed(f"{len(errors)} objects stay, {errors[0]['Key']} first: {errors[0]['Message']}")
            client.delete_bucket(Bucket=bucket)

    def _wait(self, what: str) -> str:
        """Until CREATE or DELETE has ended: the stack's status, empty when there is none any more."""
        client, told, end = self.account.client("cloudformation"), "", time.monotonic() + _STACK_SECONDS
        while True:
            try:
                (stack,) = client.describe_stacks(StackName=self.name)["Stacks"]
                resources = self._resources()
            except ClientError as error:
                if _GONE.search(str(error)):
                    return ""
                raise
            status: str = stack["StackStatus"]
            if status.startswith(what) and not status.endswith("_IN_PROGRESS"):
                return status
            if time.monotonic() > end:
                raise Failed(f"still {status} after {_STACK_SECONDS / 60:.0f} minutes")
            ready = sum(not one["ResourceStatus"].endswith("_IN_PROGRESS") for one in resources)
            if (now := f"{status}, {ready} resources ready") != told:
                _say(f"                  {now}")
                told = now
            time.sleep(_POLL_SECONDS)

    def _resources(self) -> list[dict[str, Any]]:
        pages = (
            self.account.client("cloudformation").get_paginator("list_stack_resources").paginate(StackName=self.name)
        )
        return [one for page in pages for one in page["StackResourceSummaries"]]

    def _failures(self) -> dict[str, str]:
        """What could not be made or deleted, and why."""
        bad = [one for one in self._resources() if one["ResourceStatus"].endswith("_FAILED")]
        return {one["LogicalResourceId"]: one.get("ResourceStatusReason", "no reason given") for one in bad}


def _told(failures: dict[str, str]) -> str:
    return "\n".join(f"{name}: {why}" for name, why in failures.items())


@dataclass
class Terminal:
    """The command line in a folder and an environment of its own."""

    folder: Path
    settings: dict[str, str] = field(default_factory=dict)
    runs: int = 0

    def run(self, *arguments: str, **settings: str) -> str:
        """What a command printed. Raises `Failed` with its last lines."""
        ours = {*Settings.variables(), "f_key", "DAGSTER_HOME", "PORT", WITHOUT_KEY}
        environment = {name: value for name, value in os.environ.items() if name not in ours}
        self.runs += 1
        done = subprocess.run(
            [sys.executable, "-m", "log_assets", *arguments],
            env=environment | self.settings | settings,
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            said = (done.stdout + done.stderr).strip().splitlines()
            raise Failed("\n".join([f"log-assets {arguments[0]} ended with {done.returncode}:", *said[-15:]]))
        return done.stdout

    def status(self) -> dict[str, int]:
        """How many records each published hour has. Raises `Failed` when some are missing or could not be read."""
        found = json.loads(self.run("status", "--format", "json"))
        bad = {name: found[name] for name in ("missing_total", "rejected", "waiting", "problems") if found[name]}
        _same("amiss", bad, {})
        return {one["hour"]: one["records"] for one in found["hours"]}

    def backfill(self, first: Hour, last: Hour, **settings: str) -> dict[str, str]:
        """Backfill; gives what the run's checks found amiss. Raises `Failed` when not every check was evaluated."""
        said = self.run("backfill", "--from", first, "--to", last, **settings)
        run = re.search(r"\(Dagster run ([0-9a-f-]+)\)", said)
        assert run is not None
        with dg.DagsterInstance.from_config(str(self.folder / ".log_assets/dagster")) as instance:
            of_type = dg.DagsterEventType.ASSET_CHECK_EVALUATION
            events = [
                one.event_log_entry.dagster_event
                for one in instance.get_records_for_run(run[1], of_type=of_type).records
            ]
        found: list[Any] = [event.event_specific_data for event in events if event]
        hours = list(hours_between(first, last))
        wanted = {(key.name, hour) for key in KEYS for hour in hours}
        if missing := wanted - {(one.check_name, one.partition) for one in found}:
            raise Failed(f"checks that were not evaluated: {sorted(missing)}")
        return {f"{one.check_name} of {one.partition}": str(one.description) for one in found if not one.passed}

    def count(self, hours: list[Hour]) -> dict[str, int]:
        """How many rows each hour has, as the query engine counts them."""
        sql = f"SELECT hour, count(*) AS n FROM logs WHERE hour BETWEEN '{hours[0]}' AND '{hours[-1]}' GROUP BY hour"
        return {one["hour"]: one["n"] for one in json.loads(self.run("query", sql, "--format", "json"))}


def walk(steps: Steps, stack: Stack, terminal: Terminal) -> None:
    """All steps from the stack to the last check. Raises `Failed` with the name of the first that did."""
    account = steps.account
    with steps.step(f"make the stack {stack.name}"):
        outputs = stack.make()
        missing = stack.missing()
        if missing and not account.local:
            raise Failed(f"CloudFormation made no {', '.join(missing)}")
    if missing:
        steps.skipped(f"of the template, since the stand-in makes none: {', '.join(missing)}")
    with steps.step("take on the pipeline's role"):
        role = _credentials(account, outputs["PipelineRoleArn"], urlsplit(outputs["LakeUrl"]).netloc)
    key = Keyring.generate()
    if "Key" not in missing:
        with steps.step("put the key into the secret, and read it as that role"):
            account.client("secretsmanager").put_secret_value(SecretId=stack.secret, SecretString=key)
            reader = _client_of(account, role, "secretsmanager")
            key = reader.get_secret_value(SecretId=stack.secret)["SecretString"]
    else:
        steps.skipped("the key through the secret: there is none; it goes through the environment alone")

    engine = _athena(account, outputs["QueryUrl"])
    hours = _hours()
    terminal.settings = {
        **role,
        "AWS_REGION": account.region,
        "LAKE_URL": outputs["LakeUrl"],
        # A stand-in without Glue in its CloudFormation cannot tell its name; init makes the database then.
        "CATALOG_URL": f"glue://{stack.database}" if "GlueDatabase" in missing else outputs["CatalogUrl"],
        "QUERY_URL": engine or "duckdb://",
        "SOURCE_URL": DEMO_SOURCE,
        "START_HOUR": hours[0],
        "f_key": key,
    }
    _publish_and_query(steps, terminal, hours, Keyring.parse(key), asks=engine is not None)


def _publish_and_query(steps: Steps, terminal: Terminal, hours: list[Hour], keyring: Keyring, *, asks: bool) -> None:
    first, last = hours[0], hours[-1]
    with steps.step("log-assets init"):
        terminal.run("init")
    with steps.step("log-assets doctor"):
        terminal.run("doctor")
    with steps.step(f"log-assets backfill, {first} to {last}"):
        amiss = terminal.backfill(first, last)
    _checks(steps, amiss, asks=asks)
    with steps.step("log-assets status: every record of the source, none missing"):
        records = DemoRecords()
        shown = {hour: len(records.numbers(hour.start, hour.end)) for hour in hours}
        _same("records", terminal.status(), shown)
    _query(steps, "as many rows", terminal, shown, asks=asks)
    with steps.step(f"log-assets poll --once: a late record of {last}"):
        source = terminal.folder / "late"
        source.mkdir()
        (source / "late.json").write_bytes(body(keyring, [late_record(last)]))
        said = terminal.run("poll", "--once", SOURCE_URL=source.as_uri())
        if f"published {last}\n" not in said:
            raise Failed(f"it did not publish {last}:\n{said}")
    shown[last] += 1
    _query(steps, "exactly one row more", terminal, shown, asks=asks)
    with steps.step(f"log-assets restore of {last}: the late record among all others"):
        restored = [json.loads(line) for line in terminal.run("restore", "--hour", last).splitlines()]
        _same("records", {last: len(restored)}, {last: shown[last]})
        if late_record(last) not in restored:
            raise Failed("the late record is not among them, or is not what it was")
    with steps.step(f"log-assets backfill of {last} again, from what was captured"):
        amiss = terminal.backfill(last, last, SOURCE_URL=source.as_uri())
    _checks(steps, amiss, asks=asks)
    with steps.step("log-assets status: one record more, none missing"):
        _same("records", terminal.status(), shown)


def _query(steps: Steps, name: str, terminal: Terminal, shown: dict[Hour, int], *, asks: bool) -> None:
    name = f"log-assets query through Athena: {name}"
    if not asks:
        steps.skipped(f"{name}; the stand-in's Athena only pretends")
        return
    with steps.step(name):
        _same("rows", terminal.count(list(shown)), shown)


def _checks(steps: Steps, amiss: dict[str, str], *, asks: bool) -> None:
    uncounted = [name for name, said in amiss.items() if not asks and said.startswith("QUERY_URL=duckdb:// reads")]
    if uncounted:
        steps.skipped(f"the count by Athena in {', '.join(sorted(uncounted))}")
    with steps.step("all its checks pass" + (", but for that" if uncounted else "")):
        _same("amiss", {name: said for name, said in amiss.items() if name not in uncounted}, {})


def _athena(account: Account, query_url: str) -> str | None:
    """The workgroup to ask: the stack's; beside a stand-in that of `make aws-local`, or none."""
    if not account.local:
        return query_url
    return os.environ.get("QUERY_URL") if "AWS_ENDPOINT_URL_ATHENA" in os.environ else None


def late_record(hour: Hour) -> dict[str, Any]:
    """The record that follows the hour's last one in the source, as if it had been logged at the hour's end: so that no
    id is missing with it, or without it."""
    records = DemoRecords()
    moment = hour.end - timedelta(milliseconds=1)
    return records.record(records.first_number(hour.end)) | {"inDate": f"{moment:%Y-%m-%dT%H:%M:%S}.999Z"}


def _hours() -> list[Hour]:
    """The last that are closed."""
    now = Hour.of(datetime.now(UTC))
    return list(hours_between(now.plus(-HOURS), now.plus(-1)))


def _same(what: str, found: Mapping[Any, object], expected: Mapping[Any, object]) -> None:
    if found != expected:
        raise Failed(f"{what} found: {dict(found)}\n{what} expected: {dict(expected)}")


def _credentials(account: Account, role: str, bucket: str) -> dict[str, str]:
    """The role's, as environment variables, once its rights have come into force. Raises `Failed` when they do not."""
    end = time.monotonic() + _ROLE_SECONDS
    while True:
        try:
            found = account.client("sts").assume_role(RoleArn=role, RoleSessionName="acceptance")["Credentials"]
            given = {
                "AWS_ACCESS_KEY_ID": found["AccessKeyId"],
                "AWS_SECRET_ACCESS_KEY": found["SecretAccessKey"],
                "AWS_SESSION_TOKEN": found["SessionToken"],
            }
            _client_of(account, given, "s3").list_objects_v2(Bucket=bucket, MaxKeys=1)
        except ClientError as error:
            if time.monotonic() > end:
                raise Failed(f"{error}\nyour own rights must include sts:AssumeRole") from error
            time.sleep(_POLL_SECONDS)
        else:
            return given


def _client_of(account: Account, given: dict[str, str], service: Any) -> Any:
    credentials: Any = {name.lower(): value for name, value in given.items()}
    return account.session.boto3.client(service, config=account.session.config, **credentials)


def prices() -> dict[str, float]:
    """The list prices of docs/aws.md, in dollars."""
    text = (ROOT / "docs/aws.md").read_text()
    return {name: float(value) for name, value in re.findall(r"^\| ([a-zA-Z ]+) \| \$([\d.]+) ", text, re.MULTILINE)}


def tell_cost(stack: Stack, commands: int, hours: float) -> None:
    """Print what the run cost: puts by the versions in the bucket, Athena by its own count, the rest estimated."""
    client = stack.account.client("s3")
    puts = windows = size = 0
    for bucket in stack.buckets():
        for page in client.get_paginator("list_object_versions").paginate(Bucket=bucket):
            found = page.get("Versions", [])
            puts += len(found)
            size += sum(one["Size"] for one in found)
            windows += sum("/raw/" in one["Key"] for one in found)
    lists, gets = LISTS_A_COMMAND * commands, GETS_A_COMMAND * commands + 2 * windows
    price = prices()
    month = size / 1e9 * price["storage"] + price["secret"]
    costs = {
        f"{puts:,} PUT that wrote (counted), some {lists:,} LIST and refused PUT (estimated)": (
            (puts + lists) / 1000 * price["PUT and LIST"]
        ),
        f"some {gets:,} GET (estimated)": gets / 1000 * price["GET"],
        f"{size:,} bytes and a secret for {math.ceil(hours * 60)} minutes": month * hours / _HOURS_A_MONTH,
    }
    if not stack.account.local:
        queries, scanned = _scanned(stack)
        costs[f"{queries} queries of Athena, {scanned:,} bytes charged (counted)"] = scanned / 1e12 * price["Athena"]
    _say("cost, an estimate at the list prices of docs/aws.md:")
    for what, dollars in costs.items():
        _say(f"  ${dollars:.4f}  {what}")
    _say(f"  ${sum(costs.values()):.4f}  in all" + (", had it been AWS, without Athena" if stack.account.local else ""))


def _scanned(stack: Stack) -> tuple[int, int]:
    """How many queries ran in the workgroup, and the bytes that are charged for them."""
    client = stack.account.client("athena")
    charged: list[int] = []
    for page in client.get_paginator("list_query_executions").paginate(WorkGroup=stack.name):
        # No list may be empty in what AWS is asked.
        ids = page["QueryExecutionIds"]
        found = client.batch_get_query_execution(QueryExecutionIds=ids)["QueryExecutions"] if ids else []
        sizes = [
            one.get("Statistics", {}).get("DataScannedInBytes", 0) for one in found if one["StatementType"] == "DML"
        ]
        charged += (max(_ATHENA_LEAST, size) for size in sizes)
    return len(charged), sum(charged)


PLAN = """\
{where}, region {region}, as {arn}:
  makes the stack {name} of deploy/template.yaml: a bucket, a Glue database, an Athena workgroup, a secret, four roles;
  backfills {hours} hours of demo records into it, queries them, lands a late record, restores, checks;
  takes all of it down again: the stack, the bucket with all versions, the secret.
It takes some ten minutes, and costs less than a US cent."""


@click.command()
@click.option("--yes", is_flag=True, help="Do not ask before it begins.")
@click.option("--keep", is_flag=True, help="Leave everything as it is at the end.")
@click.option("--remove", metavar="STACK", help="Only take down what a run with --keep, or a broken one, left.")
def main(yes: bool, keep: bool, remove: str | None) -> None:
    """Try the pipeline on an AWS account, from making the stack to taking it down."""
    if remove and not re.fullmatch(PREFIX + "[0-9a-f]{8}", remove):
        raise click.UsageError(f"--remove takes down {PREFIX}… alone")
    account = Account.here()
    stack = Stack(account, remove) if remove else Stack(account)
    where = "A stand-in for AWS on this machine" if account.local else f"AWS account {account.number}"
    if remove:
        _say(f"{where}, region {account.region}: takes down {remove} and all that is in it.")
    else:
        _say(PLAN.format(where=where, region=account.region, arn=account.arn, name=stack.name, hours=HOURS))
    if not yes:
        if not sys.stdin.isatty():
            raise click.ClickException("nobody can be asked here: --yes goes on without asking (make …, YES=1)")
        click.confirm("Go on?", abort=True)
    # As Ctrl+C: whatever ends it, what was made is taken down.
    before = {one: signal.signal(one, signal.default_int_handler) for one in (signal.SIGTERM, signal.SIGHUP)}
    try:
        done = True
        if not remove:
            done = _try(stack)
    finally:
        if keep and not remove:
            _say(f"kept; to take it down: {_command(stack)}")
        else:
            done &= _take_down(stack)
        for one, handler in before.items():
            signal.signal(one, handler)
    sys.exit(0 if done else 1)


def _try(stack: Stack) -> bool:
    began, done = time.monotonic(), False
    with tempfile.TemporaryDirectory(prefix=PREFIX, ignore_cleanup_errors=True) as folder:
        terminal = Terminal(Path(folder))
        try:
            walk(Steps(stack.account), stack, terminal)
            done = True
        except Failed as failed:
            _say(f"stopped at: {failed}; the steps after it were not tried")
        except KeyboardInterrupt:
            _say("interrupted")
    with suppress(ClientError, BotoCoreError):
        tell_cost(stack, terminal.runs, (time.monotonic() - began) / 3600)
    return done


def _take_down(stack: Stack) -> bool:
    _say("taking it down")
    try:
        left = stack.remove()
    except KeyboardInterrupt:
        left = ["interrupted"]
    for one in left:
        _say(f"LEFT    {one}")
    _say(f"not all is gone; once more: {_command(stack)}" if left else "nothing is left")
    return not left


def _command(stack: Stack) -> str:
    return f".venv/bin/python -m log_assets_tests.acceptance --remove {stack.name}"


if __name__ == "__main__":
    main()
