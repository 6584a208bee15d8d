"""`log-assets poll` and `requeue`: windows are captured, or read once more, and their hours published, by hand."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from log_assets.commands.signals import stopped_by_signals
from log_assets.hour import Clock, Hour
from log_assets.ports import Ports
from log_assets.steps.capture import Capturer, capture_all, watch

if TYPE_CHECKING:
    from log_assets.source import Source


def poll(ports: Ports, now: Clock) -> None:
    """Capture until Ctrl+C or SIGTERM; the window in hand is written first."""
    source = ports.source()
    stop = threading.Event()
    with stopped_by_signals(stop, on_stop=source.close):
        lake = ports.lake_for_capture()
        click.echo(f"capturing {source.url} into {lake.url}; Ctrl+C ends it", err=True)
        if source.rolling:
            Capturer(source, lake, ports.spool(), now).run(stop)
        else:
            watch(source, lake, now, stop)
    click.echo("stopped; every window fetched is written", err=True)


def poll_once(ports: Ports, now: Clock) -> None:
    """Capture what the source shows now, read it, and publish its hours."""
    problems = _capture_once(ports, ports.source(), now)
    if ports.settings.has_key:
        problems += _read_and_publish(ports, now)
    else:
        from log_assets.steps.receipts import pending

        waiting = len(pending(ports.lake()))
        click.echo(f"{waiting} windows wait to be read until f_key is set", err=True)
    if problems:
        raise click.ClickException("; ".join(problems))


def _capture_once(ports: Ports, source: Source, now: Clock) -> list[str]:
    lake = ports.lake(create=True)
    try:
        captured = capture_all(lake, source.windows(), now)
    finally:
        source.close()
    click.echo(f"captured {len(captured.windows)} new windows")
    return [str(captured.problem)] if captured.problem else []


def _read_and_publish(ports: Ports, now: Clock) -> list[str]:
    from log_assets.steps import due
    from log_assets.steps.receipts import pending
    from log_assets.steps.transform import transform_all

    lake = ports.lake()
    with ports.pool() as pool:
        done = transform_all(lake, ports.keyring(), pending(lake), pool=pool)
    kept = sum(receipt.kept for receipt in done.receipts)
    rejected = sum(receipt.rejected for receipt in done.receipts)
    click.echo(f"read {len(done.receipts)} windows: {kept} records, {rejected} rejected")
    # Hours of an earlier run that broke off are published with those of this one.
    search = due.find_stale(lake, ports.catalog(create=True), due.Cursor(), now())
    _publish(ports, [one.hour for one in search.stale], now)
    return done.problems() + search.problems


def requeue(ports: Ports, now: Clock) -> None:
    """Transform windows with rejects again, and publish what could be read now."""
    from log_assets.steps.receipts import with_rejects
    from log_assets.steps.transform import transform_all

    lake = ports.lake()
    rejected = with_rejects(lake)
    before = rejected.found
    with ports.pool() as pool:
        done = transform_all(lake, ports.keyring(), [receipt.window for receipt in before], pool=pool)
    left = sum(receipt.rejected for receipt in with_rejects(lake).found)
    _publish(ports, done.hours, now)
    came = sum(receipt.rejected for receipt in before)
    click.echo(f"{came - left} of {came} rejected records could be read now; {left} are left")
    if problems := [*map(str, rejected.failed.values()), *done.problems()]:
        raise click.ClickException("; ".join(problems))


def _publish(ports: Ports, hours: Sequence[Hour], now: Clock) -> None:
    """Publish the hours of the records that just came, from START_HOUR on; those that fail are named in the error."""
    from log_assets.steps.publish import Published, publish

    first = ports.settings.first_hour(now())
    if early := [hour for hour in hours if hour < first]:
        click.echo(
            f"{len(early)} hours from {early[0]} on lie before START_HOUR {first} and wait: set START_HOUR, then run "
            "log-assets backfill over them"
        )
    with ports.pool() as pool:
        todo = [hour for hour in hours if hour >= first]
        outcome = publish(ports.lake(), ports.catalog(), todo, now, pool=pool)
    failed = [f"{hour}: {done}" for hour, done in outcome.items() if not isinstance(done, Published)]
    if failed:
        raise click.ClickException("; ".join(failed))
    if moved := [hour for hour, done in outcome.items() if isinstance(done, Published) and done.moved]:
        click.echo(f"published {', '.join(moved)}")
