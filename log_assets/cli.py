"""The command line: `log-assets`. Exit codes: 0 done, 1 failed, 2 wrong usage; an error is one clear line."""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import click
import orjson
from rich.console import Console

from log_assets import output
from log_assets.errors import HourError, LogAssetsError, SettingError
from log_assets.hour import Hour
from log_assets.lake.open import open_lake
from log_assets.query.sql import saved_queries
from log_assets.records import row
from log_assets.records.token import Keyring
from log_assets.resources import Resources, resources
from log_assets.settings import Settings
from log_assets.source import Source
from log_assets.steps import audit, due
from log_assets.steps.capture import Capturer, watch
from log_assets.steps.fetch import fetch_now, transform_all
from log_assets.steps.publish import Published, publish
from log_assets.steps.restore import restore as run_restore
from log_assets.steps.tidy import tidy as run_tidy
from log_assets.steps.transform import pending, with_rejects

Format = Literal["table", "csv", "json"]
_FORMATS = click.Choice(["table", "csv", "json"])
_PORT = 3000


def _now() -> datetime:
    return datetime.now(UTC)


class HourType(click.ParamType[Hour]):
    name = "hour"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Hour:
        try:
            return Hour(value)
        except HourError as error:
            self.fail(str(error), param, ctx)


HOUR = HourType()


class Group(click.Group):
    """Turns errors that are meant for the user into one line and exit code 1."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except LogAssetsError as error:
            raise click.ClickException(str(error)) from None


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="log_assets")
@click.pass_context
def main(ctx: click.Context) -> None:
    """Capture encrypted web logs, compact each hour losslessly, and query them in SQL."""
    # Only this program's own voice: libraries tell every request with its whole URL.
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.WARNING, stream=sys.stderr)
    logging.getLogger("log_assets").setLevel(logging.INFO)
    # Whoever ends a command means what Ctrl+C means: a query is cancelled where it runs. Some commands know better.
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    ctx.call_on_close(lambda: signal.signal(signal.SIGTERM, before))


@main.command()
def init() -> None:
    """Make what is missing: .env, key of the demo source, lake, catalog, Dagster's folder. Safe to run again."""
    from log_assets.init import initialise

    for line in initialise(Path.cwd(), _now()):
        click.echo(line)


@main.command()
def doctor() -> None:
    """Check settings, source, lake, catalog, query engine and Dagster for real, and say what to mend."""
    from log_assets.doctor import examine

    bad = 0
    for finding in examine(_now):
        click.echo(f"{'ok  ' if finding.ok else 'FAIL'}  {finding.what}: {finding.said}")
        bad += not finding.ok
    if bad:
        raise click.ClickException(f"{bad} of these must be mended")


@main.command()
@click.option("--once", is_flag=True, help="Fetch what the source shows now (a folder: all of it), read it, and end.")
def poll(once: bool) -> None:
    """Capture windows until Ctrl+C or SIGTERM; the window in hand is written first."""
    settings = Settings.load()
    ports = resources(settings)
    source = ports.source.open()
    if once:
        _poll_once(settings, ports, source)
        return
    stop = threading.Event()
    with _stopped_by_signals(stop, on_stop=source.close):
        lake = ports.lake.open_for_capture()
        click.echo(f"capturing {source.url} into {settings.lake_url}; Ctrl+C ends it", err=True)
        if source.rolling:
            Capturer(source, lake, open_lake((settings.home / "spool").as_uri()), _now).run(stop)
        else:
            watch(source, lake, _now, stop)
    click.echo("stopped; every window fetched is written", err=True)


def _poll_once(settings: Settings, ports: Resources, source: Source) -> None:
    lake = ports.lake.open()
    try:
        captured = fetch_now(lake, source, _now)
    finally:
        source.close()
    click.echo(f"captured {len(captured.windows)} new windows")
    problems = [str(captured.problem)] if captured.problem else []
    if settings.has_key:
        with ports.workers.open() as pool:
            done = transform_all(lake, settings.keyring(), pending(lake), pool=pool)
        kept = sum(receipt.kept for receipt in done.receipts)
        rejected = sum(receipt.rejected for receipt in done.receipts)
        click.echo(f"read {len(done.receipts)} windows: {kept} records, {rejected} rejected")
        # Hours of an earlier run that broke off are published with those of this one.
        stale, _ = due.look(lake, ports.catalog.open(), due.Cursor(), _now())
        _publish(settings, ports, [one.hour for one in stale])
        problems += done.problems()
    if problems:
        raise click.ClickException("; ".join(problems))


def _publish(settings: Settings, ports: Resources, hours: list[Hour]) -> None:
    """Publish the hours of the records that just came, from START_HOUR on; those that fail are named in the error."""
    first = settings.first_hour(_now())
    if early := [hour for hour in hours if hour < first]:
        click.echo(
            f"{len(early)} hours from {early[0]} on lie before START_HOUR {first} and wait: set START_HOUR, then run "
            "log-assets backfill over them"
        )
    with ports.workers.open() as pool:
        todo = [hour for hour in hours if hour >= first]
        outcome = publish(ports.lake.open(), ports.catalog.open(), todo, _now, pool=pool)
    failed = [f"{hour}: {done}" for hour, done in outcome.items() if not isinstance(done, Published)]
    if failed:
        raise click.ClickException("; ".join(failed))
    if moved := [hour for hour, done in outcome.items() if isinstance(done, Published) and done.moved]:
        click.echo(f"published {', '.join(moved)}")


@main.command()
@click.option("--port", default=_PORT, show_default=True, envvar="PORT", help="Port of Dagster's UI on 127.0.0.1.")
@click.option("--check", is_flag=True, help="Only say whether it could run: settings, port, folder.")
def up(port: int, check: bool) -> None:
    """Run the capturer, Dagster's UI and its daemon under one supervisor, until Ctrl+C."""
    from log_assets.init import make_dagster_storage
    from log_assets.supervisor import Program, supervise

    settings = Settings.load()
    settings.keyring()
    _check_port(port)
    os.environ["DAGSTER_HOME"] = str(settings.dagster_home)
    if not (settings.dagster_home / "dagster.yaml").exists():
        raise SettingError(f"{settings.dagster_home} has no dagster.yaml: run log-assets init")
    if check:
        return
    make_dagster_storage(settings.dagster_home)
    module = ["-m", "log_assets.definitions"]
    programs = [
        Program("capturer", [sys.executable, "-m", "log_assets", "poll"]),
        Program("daemon", [sys.executable, "-m", "dagster._daemon", "run", *module]),
        Program(
            "webserver",
            [sys.executable, "-m", "dagster_webserver", "-h", "127.0.0.1", "-p", str(port), *module],
        ),
    ]
    stop = threading.Event()
    click.echo(f"Dagster's UI: http://127.0.0.1:{port}/assets (Ctrl+C ends everything)", err=True)
    with _stopped_by_signals(stop):
        supervise(programs, stop)
    click.echo("stopped", err=True)


@main.command()
@click.option("--from", "first", type=HOUR, required=True, help="The first hour, like 2023-03-10-01 (UTC).")
@click.option("--to", "last", type=HOUR, required=True, help="The last hour, included.")
def backfill(first: Hour, last: Hour) -> None:
    """Ask a history source for hours, read what waits, then compact, publish and check it, as one Dagster run."""
    from log_assets.backfill import backfill as run_backfill

    settings = Settings.load()
    source = resources(settings).source.open()
    has_history = source.has_history
    source.close()
    result = run_backfill(settings, first, last, fetch=has_history, console=Console(stderr=True))
    for problem in result.unread:
        click.echo(problem, err=True)
    click.echo(f"{len(result.done)} hours done (Dagster run {result.run_id})")
    if result.failed:
        for hour, why in sorted(result.failed.items()):
            click.echo(f"{hour} failed: {why}", err=True)
        raise click.ClickException(f"{len(result.failed)} hours failed; the others are done and recorded")


@main.command()
@click.argument("sql", required=False)
@click.option("--format", "form", type=_FORMATS, default="table", show_default=True)
@click.option("--param", "-p", "given", multiple=True, metavar="NAME=VALUE", help="A parameter of a saved query.")
@click.option("--list", "listing", is_flag=True, help="Show the saved queries and their parameters.")
def query(sql: str | None, form: Format, given: tuple[str, ...], listing: bool) -> None:
    """Run SQL (one SELECT, over the view logs or the table compact_logs), or a saved query by its name."""
    saved = saved_queries()
    if listing:
        for one in saved.values():
            click.echo(f"{one.name}: {one.title}")
            for parameter in one.parameters:
                click.echo(f"    -p {parameter.name}={parameter.default}  {parameter.description}")
        return
    if not sql:
        raise click.UsageError("give a SELECT, or the name of a saved query (--list shows them)")
    pairs = [pair.partition("=") for pair in given]
    if malformed := [name for name, mark, _ in pairs if not mark]:
        raise click.UsageError(f"-p {malformed[0]}: write a parameter as NAME=VALUE")
    values = {name: value for name, _, value in pairs}
    if sql in saved:
        text, parameters = saved[sql].bind(values)
    elif values:
        raise click.UsageError("parameters go with a saved query; in your own SQL write the value itself")
    elif " " not in sql.strip():
        raise click.UsageError(f"there is no saved query {sql!r} (--list shows them)")
    else:
        text, parameters = sql, []
    result = resources(Settings.load()).query.open().run(text, parameters)
    output.show(result.table, form)
    click.echo(f"{result.table.num_rows} rows, {result.bytes_scanned:,} bytes scanned", err=True)


@main.command()
@click.option("--format", "form", type=_FORMATS, default="table", show_default=True)
def status(form: Format) -> None:
    """Show every published hour: records, sizes, ids, and what is missing."""
    ports = resources(Settings.load())
    found = audit.status(ports.lake.open(), ports.catalog.open())
    if form == "json":
        data = {
            "hours": [asdict(hour) for hour in found.hours],
            "missing_total": found.missing_total,
            "rejected": found.rejected,
        }
        sys.stdout.buffer.write(orjson.dumps(data, option=orjson.OPT_INDENT_2) + b"\n")
        return
    output.show_status(found, form)


@main.command()
@click.option("--hour", type=HOUR, required=True, help="A published hour, like 2023-03-10-01 (UTC).")
def restore(hour: Hour) -> None:
    """Print the original records of an hour, one a line as JSON, in order of record_id."""
    ports = resources(Settings.load())
    for record in run_restore(ports.lake.open(), ports.catalog.open(), hour):
        sys.stdout.buffer.write(row.to_json(record) + b"\n")


@main.command()
def requeue() -> None:
    """Read windows with rejected records again, once the cause is mended (a key added, an update)."""
    settings = Settings.load()
    ports = resources(settings)
    lake = ports.lake.open()
    before = with_rejects(lake)
    with ports.workers.open() as pool:
        done = transform_all(lake, settings.keyring(), [receipt.window for receipt in before], pool=pool)
    left = sum(receipt.rejected for receipt in with_rejects(lake))
    _publish(settings, ports, done.hours)
    came = sum(receipt.rejected for receipt in before)
    click.echo(f"{came - left} of {came} rejected records could be read now; {left} are left")
    if problems := done.problems():
        raise click.ClickException("; ".join(problems))


@main.command()
@click.option("--raw-days", type=click.IntRange(min=0), help="Remove windows that were read and are older, too.")
def tidy(raw_days: int | None) -> None:
    """Remove what published generations have made superfluous (the sensor does it once a day)."""
    ports = resources(Settings.load())
    done = run_tidy(ports.lake.open(), ports.catalog.open(), _now(), raw_days)
    click.echo(
        f"removed {done.rows} rows files, {done.generations} generations, {done.windows} windows, "
        f"{done.staged} half-written files"
    )


@main.command()
def keygen() -> None:
    """Print a new Fernet key."""
    click.echo(Keyring.generate())


@main.command("demo-source")
@click.option("--port", default=8000, show_default=True, help="Port on 127.0.0.1.")
@click.option("--seed", default=0, show_default=True, help="Another seed makes other records.")
def demo_source(port: int, seed: int) -> None:
    """Serve a rolling window of demo records, and their history, as the real source would."""
    from log_assets.source.demo import DemoRecords
    from log_assets.source.demo_server import DemoServer

    keyring = Settings.load().keyring()
    _check_port(port)
    click.echo(f"window: http://127.0.0.1:{port}/logs", err=True)
    click.echo(f"history: http://127.0.0.1:{port}/logs?from={{start}}&to={{end}}", err=True)
    DemoServer(keyring, DemoRecords(seed)).serve("127.0.0.1", port)


def _check_port(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            raise SettingError(f"port {port} is taken: choose another with --port or PORT=…") from None


@contextmanager
def _stopped_by_signals(stop: threading.Event, on_stop: Callable[[], None] | None = None) -> Iterator[None]:
    """Set `stop` at Ctrl+C or SIGTERM, instead of breaking off wherever the program is."""

    def handle(number: int, frame: object) -> None:
        stop.set()
        if on_stop:
            on_stop()

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
