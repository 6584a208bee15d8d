"""The command line on an AWS account that moto plays, with a proxy in between."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import pytest

from log_assets.hour import Hour
from log_assets.ports import open_catalog, open_lake
from log_assets.steps.generations import read_lines
from log_assets_tests.aws_proxy import Proxy, Refusal
from log_assets_tests.kit import Kit, body, record
from log_assets_tests.shell import Shell

FIRST = [record(number) for number in range(5)]
HANG_SECONDS = 1.5
MOVED = Refusal(301, "PermanentRedirect", headers=(("x-amz-bucket-region", "us-west-2"),))


class Account(Shell):
    """The command line on S3 and Glue, with a proxy in between; a lake and a database of its own."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, bucket: str, between: Proxy) -> None:
        super().__init__(folder, monkeypatch)
        self.bucket, self.between = bucket, between
        between.hang_seconds = HANG_SECONDS
        self.use_folder()
        self.anew()

    def anew(self) -> None:
        """Go on with an empty lake and an empty database."""
        mark = uuid.uuid4().hex
        self.database = f"logs_{mark}"
        self.set(LAKE_URL=f"s3://{self.bucket}/{mark}", CATALOG_URL=f"glue://{self.database}")
        self.lake = open_lake(f"s3://{self.bucket}/{mark}")
        for file in self.source.iterdir():
            file.unlink()

    def begin(self, records: list[dict[str, Any]]) -> None:
        """An empty lake again, in which these records are published, and no call noted yet."""
        self.anew()
        kit = Kit(self.folder, self.keyring, lake_url=self.lake.url, catalog_url=f"glue://{self.database}")
        kit.publish(*kit.land(records).hours)
        self.between.calls.clear()

    def show(self, name: str, records: list[dict[str, Any]]) -> None:
        (self.source / f"{name}.json").write_bytes(body(self.keyring, records))

    def published(self) -> dict[Hour, tuple[str, Any, list[bytes]]]:
        """Every partition: its digest, what is known of it, and the lines it points at."""
        found = list(open_catalog(f"glue://{self.database}", self.lake.url).partitions())
        return {p.hour: (p.digest, p.summary, read_lines(self.lake, p.hour, p.digest)) for p in found}
