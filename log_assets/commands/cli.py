"""The command line: `log-assets`. Exit codes: 0 done, 1 failed, 2 wrong usage; an error is one clear line.

What is typed stands here; what is done, in the module of the command's name, which is imported when it runs.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from log_assets.commands.printable import printable, printable_json
from log_assets.errors import HourError, LogAssetsError
from log_assets.hour import Hour

if TYPE_CHECKING:
    from log_assets.commands.printing import Format
    from log_assets.ports import Ports

_FORMATS = click.Choice(["table", "csv", "json"])
_PORT = 3000
_PORTS = click.IntRange(1, 65535)
_UI_PORT = click.option(
    "--port", type=_PORTS, default=_PORT, show_default=True, envvar="PORT", help="Port of Dagster's UI on 127.0.0.1."
)
_READ_ONLY = click.option(
    "--read-only", is_flag=True, help="The UI shows everything, and launches, stops and changes nothing."
)


def _now() -> datetime:
    return datetime.now(UTC)


def _ports() -> Ports:
    from log_assets.ports import Ports
    from log_assets.settings import Settings

    return Ports(Settings.load())


class HourType(click.ParamType[Hour]):
    name = "hour"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Hour:
        try:
            return Hour(value)
        except HourError as error:
            self.fail(str(error), param, ctx)


HOUR = HourType()


class Group(click.Group):
    """Here every error leaves, as one line and exit code 1; the traceback of one that nobody foresaw goes to a file."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except LogAssetsError as error:
            raise click.ClickException(printable(str(error))) from None
        except (click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError):
            # click's own, and who reads our output has enough: click ends both.
            raise
        except Exception as error:
            from log_assets.commands.unforeseen import report

            line, whole = report(error, ctx.invoked_subcommand or "")
            if ctx.params.get("debug"):
                click.echo(printable(whole), err=True)
            raise click.ClickException(printable(line)) from None


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="log_assets")
@click.option("--debug", is_flag=True, help="Show the traceback of an error that nobody foresaw.")
@click.pass_context
def main(ctx: click.Context, debug: bool) -> None:
    """Capture encrypted web logs, compact each hour losslessly, and query them in SQL."""
    # What visitors of the logged site did is nobody else's to read.
    os.umask(0o077)
    # Only this program's own voice: libraries tell every request with its whole URL.
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.WARNING, stream=sys.stderr)
    logging.getLogger("log_assets").setLevel(logging.INFO)
    # A traceback a try, of an error that comes as one line anyway.
    logging.getLogger("botocore").setLevel(logging.ERROR)
    # SIGTERM raises KeyboardInterrupt as Ctrl+C does, so that a query is cancelled where it runs. `poll` and `up` set
    # handlers of their own: they finish what they have in hand.
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    ctx.call_on_close(lambda: signal.signal(signal.SIGTERM, before))


@main.command()
def init() -> None:
    """Make what is missing: .env, key of the demo source, lake, catalog, Dagster's folder. Safe to run again."""
    from pathlib import Path

    from log_assets.commands.init import initialise

    for line in initialise(Path.cwd(), _now()):
        click.echo(line)


@main.command()
def doctor() -> None:
    """Check settings, source, lake, catalog, query engine and Dagster for real, and say what to repair."""
    from log_assets.commands.doctor import examine

    bad = 0
    for finding in examine(_now):
        click.echo(f"{'ok  ' if finding.ok else 'FAIL'}  {finding.what}: {finding.said}")
        bad += not finding.ok
    if bad:
        raise click.ClickException(f"{bad} of these must be repaired")


@main.command()
@click.option("--once", is_flag=True, help="Fetch what the source shows now (a folder: all of it), read it, and end.")
def poll(once: bool) -> None:
    """Capture windows until Ctrl+C or SIGTERM; the window in hand is written first."""
    from log_assets.commands import poll as run

    (run.poll_once if once else run.poll)(_ports(), _now)


@main.command()
@_UI_PORT
@_READ_ONLY
@click.option("--check", is_flag=True, help="Only say whether it could run: settings, port, folder.")
def up(port: int, read_only: bool, check: bool) -> None:
    """Run the capturer, Dagster's UI and its daemon under one supervisor, until Ctrl+C."""
    from log_assets.commands import up as run

    run.up(_ports().settings, port, read_only=read_only, check=check)


@main.command()
@_UI_PORT
@_READ_ONLY
def web(port: int, read_only: bool) -> None:
    """Serve Dagster's UI alone, without the key, behind a guard that lets no other web page use it."""
    from log_assets.commands import web as run

    run.web(port, read_only=read_only)


@main.command()
@click.option("--from", "first", type=HOUR, required=True, help="The first hour, like 2023-03-10-01 (UTC).")
@click.option("--to", "last", type=HOUR, required=True, help="The last hour, included.")
def backfill(first: Hour, last: Hour) -> None:
    """Ask a history source for hours, read what waits, then compact, publish and check it, as one Dagster run."""
    from rich.console import Console

    from log_assets.commands.backfill import backfill as run

    result = run(_ports(), first, last, console=Console(stderr=True))
    for problem in result.unread:
        click.echo(problem, err=True)
    click.echo(f"{len(result.done)} hours done (Dagster run {result.run_id})")
    for hour, why in sorted(result.failed.items()):
        click.echo(f"{hour} failed: {why}", err=True)
    said = [result.broken] if result.broken else []
    if result.failed:
        said.append(f"{len(result.failed)} hours failed" + ("" if said else "; the others are done and recorded"))
    if result.left:
        said.append(f"{len(result.left)} hours are left, from {result.left[0]} on")
    if result.unchecked:
        said.append(f"{len(result.unchecked)} hours are done and not checked, from {result.unchecked[0]} on")
    if said:
        raise click.ClickException("; ".join(said))


@main.command()
@click.argument("sql", required=False)
@click.option("--format", "form", type=_FORMATS, default="table", show_default=True)
@click.option(
    "--spreadsheet", is_flag=True, help="CSV in which no text is a formula: one that begins like it gets a '."
)
@click.option("--param", "-p", "given", multiple=True, metavar="NAME=VALUE", help="A parameter of a saved query.")
@click.option("--list", "listing", is_flag=True, help="Show the saved queries and their parameters.")
def query(sql: str | None, form: Format, spreadsheet: bool, given: tuple[str, ...], listing: bool) -> None:
    """Run SQL (one SELECT, over the view logs or the table compact_logs), or a saved query by its name."""
    from log_assets.commands import query as run

    if spreadsheet and form != "csv":
        raise click.UsageError("--spreadsheet goes with --format csv")
    if listing:
        run.list_queries()
    elif sql:
        run.query(_ports(), sql, given, form, spreadsheet=spreadsheet)
    else:
        raise click.UsageError("give a SELECT, or the name of a saved query (--list shows them)")


@main.command()
@click.option("--format", "form", type=_FORMATS, default="table", show_default=True)
def status(form: Format) -> None:
    """Show every published hour: records, sizes, ids, what is missing; and how capture is doing."""
    from log_assets.commands.printing import show_status
    from log_assets.steps import audit
    from log_assets.steps.health import capture_health

    ports, now = _ports(), _now()
    lake = ports.lake()
    health = capture_health(lake, now, wanted=ports.settings.must_be_captured)
    show_status(audit.status(lake, ports.catalog(), keeps=ports.settings.keeps_history), health, now, form)


@main.command()
@click.option("--hour", type=HOUR, required=True, help="A published hour, like 2023-03-10-01 (UTC).")
def restore(hour: Hour) -> None:
    """Print the original records of an hour, one a line as JSON, in order of record_id."""
    from log_assets.records import row
    from log_assets.steps.restore import restore as run

    ports = _ports()
    for record in run(ports.lake(), ports.catalog(), hour):
        sys.stdout.buffer.write(printable_json(row.to_json(record)) + b"\n")


@main.command()
def requeue() -> None:
    """Read windows with rejected records again, once the cause is removed (a key added, an update)."""
    from log_assets.commands import poll as run

    run.requeue(_ports(), _now)


@main.command()
@click.option("--raw-days", type=click.IntRange(min=0), help="Remove windows that were read and are older, too.")
def tidy(raw_days: int | None) -> None:
    """Remove what published generations have made superfluous (the sensor does it once a day)."""
    from log_assets.steps.tidy import tidy as run

    ports = _ports()
    done = run(ports.lake(), ports.catalog(), _now(), raw_days)
    click.echo(
        f"removed {done.rows} rows files, {done.generations} generations, {done.windows} windows, "
        f"{done.staged} half-written files"
    )
    if done.problems:
        raise click.ClickException("; ".join(done.problems))


@main.command()
def keygen() -> None:
    """Print a new Fernet key."""
    from cryptography.fernet import Fernet

    click.echo(Fernet.generate_key().decode())


@main.command("demo-source")
@click.option("--port", type=_PORTS, default=8000, show_default=True, help="Port on 127.0.0.1.")
@click.option("--seed", default=0, show_default=True, help="Another seed makes other records.")
def demo_source(port: int, seed: int) -> None:
    """Serve a rolling window of demo records, and their history, as the real source would."""
    from log_assets.commands.up import check_port
    from log_assets.source.demo import DemoRecords
    from log_assets.source.demo_server import DemoServer

    keyring = _ports().keyring()
    check_port(port)
    click.echo(f"window: http://127.0.0.1:{port}/logs", err=True)
    click.echo(f"history: http://127.0.0.1:{port}/logs?from={{start}}&to={{end}}", err=True)
    DemoServer(keyring, DemoRecords(seed)).serve("127.0.0.1", port)
