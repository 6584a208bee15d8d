"""The catalog in Glue: `glue://database`. A partition of its table is what Athena and Trino read.

Glue has no compare and set, so a move reads, compares, updates and reads again. Of two that update between each
other's readings both see the later one's value: the earlier one takes that for a conflict and compacts again on top.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from botocore.exceptions import BotoCoreError, ClientError

from log_assets import aws
from log_assets.catalog import Move, Moved, Partition
from log_assets.catalog.table import PARTITION_KEY, TABLE, columns, partition_column, table_comment
from log_assets.errors import CatalogError, SettingError
from log_assets.hour import Hour
from log_assets.records.summary import Summary

if TYPE_CHECKING:
    from mypy_boto3_glue import GlueClient
    from mypy_boto3_glue.type_defs import PartitionInputTypeDef, StorageDescriptorTypeDef, TableInputTypeDef

# As many as one call takes.
_WRITE_AT_ONCE = 100
_READ_AT_ONCE = 1000
# A parameter's value is bounded; a manifest has the ranges beyond.
_RANGES_KEPT = 1000
# Partitions that Glue refused for the moment are asked for again, after a second, two, four.
_ROUNDS = 4
_PASSING = frozenset(
    {
        "InternalServiceException",
        "InternalFailure",
        "OperationTimeoutException",
        "ConcurrentModificationException",
        "ThrottlingException",
        "ResourceNotReadyException",
    }
)
_MISSING = "EntityNotFoundException"
_TAKEN = "AlreadyExistsException"


def open_glue(url: str, lake_url: str) -> GlueCatalog:
    """The catalog in a Glue database; its table lies at the lake's `compact/`.

    Raises:
        SettingError: no database is named.
        CatalogError: there is no region.
    """
    database = urlsplit(url).netloc
    if not database:
        raise SettingError(f"CATALOG_URL={url!r} names no database: write glue://database")
    try:
        session = aws.session()
        client = session.client("glue", config=aws.config(session))
    except (BotoCoreError, ValueError) as error:
        raise CatalogError(f"{url} cannot be opened ({error}): check the AWS credentials and region") from None
    # LAKE_URL may go on with ?kms_key=…
    return GlueCatalog(client, database, f"{lake_url.partition('?')[0].rstrip('/')}/compact/")


class GlueCatalog:
    """The partitions of one table; what is known of an hour stands in its partition's parameters."""

    def __init__(self, client: GlueClient, database: str, location: str) -> None:
        self._client, self._database, self._location = client, database, location
        self.url = f"glue://{database}"

    def ensure(self) -> None:
        with self._errors("table"):
            try:
                found = self._client.get_table(DatabaseName=self._database, Name=TABLE)["Table"]
            except ClientError as error:
                if _code(error) != _MISSING:
                    raise
                self._make()
                return
        location = found["StorageDescriptor"].get("Location", "")
        if location.rstrip("/") != self._location.rstrip("/"):
            raise CatalogError(
                f"the table {self._database}.{TABLE} lies at {location}, and LAKE_URL at {self._location}: a lake has "
                "a database of its own, so set CATALOG_URL to another, or LAKE_URL to the table's; when the lake was "
                "moved with all its objects, remove the table and publish its hours again"
            )
        if different := self._difference(found):
            raise CatalogError(
                f"the table {self._database}.{TABLE} was changed by hand: its {different} is not as "
                "athena_sql/tables says; run log-assets init, which mends it"
            )

    def mend(self) -> str:
        with self._errors("table"):
            try:
                found = self._client.get_table(DatabaseName=self._database, Name=TABLE)["Table"]
            except ClientError as error:
                if _code(error) != _MISSING:
                    raise
                made = self._make()
                return f"made {' and '.join(made)}" if made else "as it should be"
            different = self._difference(found)
            if different:
                self._client.update_table(DatabaseName=self._database, TableInput=table_input(self._location))
        self.ensure()
        return f"mended the table {TABLE}: its {different} was changed by hand" if different else "as it should be"

    def _difference(self, found: Any) -> str | None:
        """What of a table is not as its DDL says, in a few words."""
        wanted = table_input(self._location)
        present, storage = found["StorageDescriptor"], wanted["StorageDescriptor"]
        columns_now = [(c["Name"], c.get("Type", "")) for c in present["Columns"]]
        columns_then = [(c["Name"], c.get("Type", "")) for c in storage["Columns"]]
        for pair in [*columns_now, *columns_then]:
            if pair not in columns_then or pair not in columns_now:
                return f"column {pair[0]} {pair[1]}"
        if columns_now != columns_then:
            return "order of columns"
        keys = [(key["Name"], key.get("Type", "")) for key in found.get("PartitionKeys", [])]
        if keys != [(PARTITION_KEY, "string")]:
            return "partition key"
        if present.get("SerdeInfo", {}).get("SerializationLibrary") != storage["SerdeInfo"]["SerializationLibrary"]:
            return "SerDe"
        if present.get("InputFormat") != storage["InputFormat"]:
            return "input format"
        projected = found.get("Parameters", {}).get("projection.enabled", "false")
        return "partition projection" if projected.lower() == "true" else None

    def get(self, hours: Iterable[Hour]) -> dict[Hour, Partition]:
        found: dict[Hour, Partition] = {}
        rest = iter(hours)
        while some := list(islice(rest, _READ_AT_ONCE)):
            with self._errors("partitions"):
                for number in range(_ROUNDS):
                    _wait(number)
                    answer = self._client.batch_get_partition(
                        DatabaseName=self._database,
                        TableName=TABLE,
                        PartitionsToGet=[{"Values": [hour]} for hour in some],
                    )
                    for data in answer.get("Partitions", []):
                        partition = self._partition(data)
                        found[partition.hour] = partition
                    some = [Hour(key["Values"][0]) for key in answer.get("UnprocessedKeys", [])]
                    if not some:
                        break
                else:
                    raise CatalogError(f"{self.url}: {len(some)} partitions were not given: try again later")
        return found

    def partitions(self, first: Hour | None = None, last: Hour | None = None) -> Iterator[Partition]:
        expression = (
            f"{PARTITION_KEY} >= '{first or '0000-00-00-00'}' AND {PARTITION_KEY} <= '{last or '9999-12-31-23'}'"
        )
        with self._errors("partitions"):
            pages = self._client.get_paginator("get_partitions").paginate(
                DatabaseName=self._database, TableName=TABLE, Expression=expression, ExcludeColumnSchema=True
            )
            found = [self._partition(data) for page in pages for data in page["Partitions"]]
        return iter(sorted(found, key=lambda partition: partition.hour))

    def move(self, moves: Sequence[Move]) -> dict[Hour, Moved | CatalogError]:
        outcome: dict[Hour, Moved | CatalogError] = {}
        created = [move.new for move in moves if move.expected is None]
        outcome |= self._write(created, self._create)
        expected = {move.new.hour: move for move in moves if move.expected is not None}
        present = self.get(expected) if expected else {}
        todo = []
        for hour, move in expected.items():
            if hour in present and present[hour].digest == move.expected:
                todo.append(move.new)
            else:
                outcome[hour] = Moved.CONFLICT
        outcome |= self._write(todo, self._update)
        # Another may have written between the reading and the update: what stands there now decides.
        updated = [partition for partition in todo if outcome[partition.hour] is Moved.DONE]
        after = self.get(partition.hour for partition in updated) if updated else {}
        for partition in updated:
            if partition.hour not in after or after[partition.hour].digest != partition.digest:
                outcome[partition.hour] = Moved.CONFLICT
        return outcome

    def _write(
        self,
        partitions: Sequence[Partition],
        write: Callable[[Sequence[Partition]], dict[Hour, Moved | CatalogError]],
    ) -> dict[Hour, Moved | CatalogError]:
        """Write partitions a batch a call; those that Glue refuses for the moment are tried again."""
        outcome: dict[Hour, Moved | CatalogError] = {}
        left = list(partitions)
        for number in range(_ROUNDS):
            _wait(number)
            for some in _batches(left):
                outcome |= write(some)
            left = [partition for partition in left if isinstance(outcome[partition.hour], _Passing)]
            if not left:
                break
        return outcome

    def _create(self, some: Sequence[Partition]) -> dict[Hour, Moved | CatalogError]:
        with self._errors("partitions"):
            answer = self._client.batch_create_partition(
                DatabaseName=self._database,
                TableName=TABLE,
                PartitionInputList=[self._input(partition) for partition in some],
            )
        return self._outcome(some, [(e["PartitionValues"], e["ErrorDetail"]) for e in answer.get("Errors", [])])

    def _update(self, some: Sequence[Partition]) -> dict[Hour, Moved | CatalogError]:
        with self._errors("partitions"):
            answer = self._client.batch_update_partition(
                DatabaseName=self._database,
                TableName=TABLE,
                Entries=[
                    {"PartitionValueList": [partition.hour], "PartitionInput": self._input(partition)}
                    for partition in some
                ],
            )
        return self._outcome(some, [(e["PartitionValueList"], e["ErrorDetail"]) for e in answer.get("Errors", [])])

    def _outcome(
        self, some: Sequence[Partition], errors: Sequence[tuple[Sequence[str], Any]]
    ) -> dict[Hour, Moved | CatalogError]:
        """Failures come back a partition each, not as an error of the call."""
        outcome: dict[Hour, Moved | CatalogError] = {partition.hour: Moved.DONE for partition in some}
        for values, detail in errors:
            code = detail.get("ErrorCode", "")
            kind = _Passing if code in _PASSING else CatalogError
            outcome[Hour(values[0])] = (
                Moved.CONFLICT
                if code in (_TAKEN, _MISSING)
                else kind(
                    f"{self.url}: partition {values[0]} was refused ({code}: {detail.get('ErrorMessage', '')}): "
                    + (aws.mend(code) or "publish the hour again")
                )
            )
        return outcome

    def _make(self) -> list[str]:
        """Make what is missing; says what was."""
        made = []
        try:
            self._client.create_database(DatabaseInput={"Name": self._database})
            made.append(f"the database {self._database}")
        except ClientError as error:
            if _code(error) != _TAKEN:
                raise
        try:
            self._client.create_table(DatabaseName=self._database, TableInput=table_input(self._location))
            made.append(f"the table {TABLE}")
        except ClientError as error:
            if _code(error) != _TAKEN:
                raise
        return made

    def _input(self, partition: Partition) -> PartitionInputTypeDef:
        summary = partition.summary
        return {
            "Values": [partition.hour],
            "StorageDescriptor": _storage(partition.location),
            "Parameters": {
                "digest": partition.digest,
                "published": partition.published.isoformat(),
                "summary": json.dumps(summary.capped(_RANGES_KEPT).to_json(), separators=(",", ":")),
            },
        }

    def _partition(self, data: Any) -> Partition:
        name, parameters = data["Values"][0], data.get("Parameters", {})
        location = data["StorageDescriptor"]["Location"]
        try:
            partition = Partition(
                Hour(name),
                parameters["digest"],
                location,
                Summary.from_json(json.loads(parameters["summary"])),
                datetime.fromisoformat(parameters["published"]),
            )
        except (ValueError, KeyError, TypeError):
            raise CatalogError(
                f"{self.url}: partition {name} of {TABLE} was not made by this program (a crawler, a hand): "
                f"{self._remove(name)}"
            ) from None
        if not location.rstrip("/").endswith(f"/{name}/{partition.digest}"):
            raise CatalogError(
                f"{self.url}: partition {name} of {TABLE} was made to point at {location}: {self._remove(name)}"
            )
        return partition

    def _remove(self, name: str) -> str:
        return (
            f"remove it (aws glue delete-partition --database-name {self._database} --table-name {TABLE} "
            f"--partition-values {name}) and publish the hour again (log-assets backfill)"
        )

    @contextmanager
    def _errors(self, what: str) -> Iterator[None]:
        try:
            yield
        except ClientError as error:
            said = f"{_code(error)}: {error.response.get('Error', {}).get('Message', '')}"
            hint = aws.mend(said, {_MISSING: "run log-assets init"}) or "try again later"
            raise CatalogError(f"{self.url}: its {what} could not be used ({said}): {hint}") from None
        except BotoCoreError as error:
            hint = aws.mend(str(error)) or "check region and endpoint"
            raise CatalogError(f"{self.url} could not be reached ({error}): {hint}") from None


class _Passing(CatalogError):
    """A refusal that may be over at the next try."""


def _wait(number: int) -> None:
    """Before the tries after the first."""
    if number:
        time.sleep(2 ** (number - 1))


def table_input(location: str) -> TableInputTypeDef:
    """The table as Glue has it: what the DDL in `athena_sql/tables` says, over the folder at `location`."""
    key = partition_column()
    return {
        "Name": TABLE,
        "Description": table_comment(),
        "TableType": "EXTERNAL_TABLE",
        "Parameters": {"EXTERNAL": "TRUE", "classification": "json"},
        "PartitionKeys": [{"Name": key.name, "Type": key.hive_type, "Comment": key.comment}],
        "StorageDescriptor": _storage(location),
    }


def _storage(location: str) -> StorageDescriptorTypeDef:
    return {
        "Columns": [{"Name": c.name, "Type": c.hive_type, "Comment": c.comment} for c in columns()],
        "Location": location,
        "InputFormat": "org.apache.hadoop.mapred.TextInputFormat",
        "OutputFormat": "org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat",
        "Compressed": True,
        "SerdeInfo": {"SerializationLibrary": "org.apache.hive.hcatalog.data.JsonSerDe"},
    }


def _batches(partitions: Sequence[Partition]) -> Iterator[Sequence[Partition]]:
    return (partitions[start : start + _WRITE_AT_ONCE] for start in range(0, len(partitions), _WRITE_AT_ONCE))


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))
