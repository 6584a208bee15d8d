"""The catalog in Glue: `glue://database`. A partition of its table is what Athena and Trino read.

Glue has no compare and set, so a move reads, compares, updates and reads again. Of two that update between each
other's readings both see the later one's value: the earlier one takes that for a conflict and compacts again on top.

One file, because every call shares the client, its errors and its retries; how Glue writes things is `glue_table`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from botocore.exceptions import BotoCoreError, ClientError

from log_assets import aws
from log_assets.catalog import Move, Moved, Partition, glue_table
from log_assets.catalog.table import PARTITION_KEY, TABLE
from log_assets.errors import CatalogError, SettingError, shown
from log_assets.hour import Hour
from log_assets.lake import layout
from log_assets.retries import Transient, retrying

if TYPE_CHECKING:
    from mypy_boto3_glue import GlueClient

# As many as one call takes.
_WRITE_AT_ONCE = 100
_READ_AT_ONCE = 1000
# Partitions that Glue refused for the moment are asked for again, after a second, two, four.
_ATTEMPTS = 4
_FIRST_WAIT = 1.0
_TRANSIENT = frozenset(
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
        raise SettingError(f"CATALOG_URL={shown(url)} names no database: write glue://database")
    try:
        session = aws.session()
        client = session.boto3.client("glue", config=session.config)
    except (BotoCoreError, ValueError) as error:
        raise CatalogError(f"{shown(url)} cannot be opened ({error}): check the AWS credentials and region") from None
    # LAKE_URL may go on with ?kms_key=…
    return GlueCatalog(client, database, f"{lake_url.partition('?')[0].rstrip('/')}/{layout.COMPACT}/")


class GlueCatalog:
    """The partitions of one table; what is known of an hour stands in its partition's parameters."""

    def __init__(self, client: GlueClient, database: str, location: str) -> None:
        self._client, self._database, self._location = client, database, location
        self.url = f"glue://{database}"

    def check(self) -> None:
        with self._errors("table"):
            found = self._table()
        if found is None:
            raise CatalogError(
                f"no catalog here: run log-assets init ({self.url} has no table {TABLE}; CATALOG_URL names it)"
            )
        self._check(found)

    def ensure(self) -> None:
        with self._errors("table"):
            found = self._table()
            if found is None:
                self._make()
                return
        self._check(found)

    def _table(self) -> Mapping[str, Any] | None:
        try:
            return self._client.get_table(DatabaseName=self._database, Name=TABLE)["Table"]
        except ClientError as error:
            if _code(error) != _MISSING:
                raise
            return None

    def _check(self, found: Mapping[str, Any]) -> None:
        self._check_location(found)
        different = glue_table.difference(found, self._location)
        if different and different.is_older:
            raise CatalogError(
                f"the table {self._database}.{TABLE} is of an older version of this program: it lacks "
                f"{different.what}; run log-assets init, which brings it and its partitions up to date"
            )
        if different:
            raise CatalogError(
                f"the table {self._database}.{TABLE} was changed by hand: its {different.what} is not as "
                "athena_sql/tables says; run log-assets init, which repairs it"
            )

    def repair(self) -> str:
        with self._errors("table"):
            found = self._table()
            if found is None:
                made = self._make()
                return f"made {' and '.join(made)}" if made else "as it should be"
            self._check_location(found)
            different = glue_table.difference(found, self._location)
            # Partitions first: while the table differs, a repair that broke off begins again. And even when it does
            # not: CloudFormation changes the table alone.
            described = self._describe_partitions()
            if different:
                table = glue_table.table_input(self._location)
                self._client.update_table(DatabaseName=self._database, TableInput=table)
        self.ensure()
        if different and different.is_older:
            return f"brought the table {TABLE} and its partitions up to date: they lacked {different.what}"
        if different:
            return f"repaired the table {TABLE}: its {different.what} was changed by hand"
        return f"gave {described} partitions of {TABLE} the columns that it has" if described else "as it should be"

    def _check_location(self, found: Mapping[str, Any]) -> None:
        location = found["StorageDescriptor"].get("Location", "")
        if location.rstrip("/") != self._location.rstrip("/"):
            raise CatalogError(
                f"the table {self._database}.{TABLE} lies at {location}, and LAKE_URL at {self._location}: a lake has "
                "a database of its own, so set CATALOG_URL to another, or LAKE_URL to the table's; when the lake was "
                "moved with all its objects, remove the table and publish its hours again"
            )

    def _describe_partitions(self) -> int:
        """Give each partition the columns that the table has now: Hive reads a partition by its own description, Trino
        by the table's.

        Gives how many had others. Where a publisher moved an hour meanwhile, its newer generation stays: moves write
        today's columns. A move between the last reading and the update is set back, for Glue has no compare and set;
        the hour is stale then, and is published again.
        """
        with self._errors("partitions"):
            pages = self._client.get_paginator("get_partitions").paginate(DatabaseName=self._database, TableName=TABLE)
            old = [
                self._partition(data)
                for page in pages
                for data in page["Partitions"]
                if not glue_table.same_columns(data["StorageDescriptor"])
            ]
        for some in _batches(old):
            present = self.get(partition.hour for partition in some)
            same = [partition for partition in some if present.get(partition.hour) == partition]
            for outcome in self._write(same, self._update).values():
                if isinstance(outcome, CatalogError):
                    raise outcome
        return len(old)

    def get(self, hours: Iterable[Hour]) -> dict[Hour, Partition]:
        found: dict[Hour, Partition] = {}
        rest = iter(hours)
        while some := list(islice(rest, _READ_AT_ONCE)):
            left = some
            for attempt in retrying(attempts=_ATTEMPTS, first_wait=_FIRST_WAIT, jitter=0):
                with attempt:
                    left = self._get(left, found)
                    if left:
                        raise Refused(f"{self.url}: {len(left)} partitions were not given: try again later")
        return found

    def _get(self, some: Sequence[Hour], found: dict[Hour, Partition]) -> list[Hour]:
        """Add to `found` what one call gives; the hours that it left out for the moment."""
        with self._errors("partitions"):
            answer = self._client.batch_get_partition(
                DatabaseName=self._database, TableName=TABLE, PartitionsToGet=[{"Values": [hour]} for hour in some]
            )
        for data in answer.get("Partitions", []):
            partition = self._partition(data)
            found[partition.hour] = partition
        return [Hour(key["Values"][0]) for key in answer.get("UnprocessedKeys", [])]

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
        try:
            for attempt in retrying(attempts=_ATTEMPTS, first_wait=_FIRST_WAIT, jitter=0):
                with attempt:
                    for some in _batches(left):
                        outcome |= write(some)
                    refused = [one for one in left if isinstance(outcome[one.hour], Refused)]
                    if refused:
                        left = refused
                        raise Refused(f"{self.url}: {len(refused)} partitions were refused for the moment")
        except Refused:
            # Each partition's own error stands in the outcome.
            pass
        return outcome

    def _create(self, some: Sequence[Partition]) -> dict[Hour, Moved | CatalogError]:
        with self._errors("partitions"):
            answer = self._client.batch_create_partition(
                DatabaseName=self._database,
                TableName=TABLE,
                PartitionInputList=[glue_table.partition_input(partition) for partition in some],
            )
        return self._outcome(some, [(e["PartitionValues"], e["ErrorDetail"]) for e in answer.get("Errors", [])])

    def _update(self, some: Sequence[Partition]) -> dict[Hour, Moved | CatalogError]:
        with self._errors("partitions"):
            answer = self._client.batch_update_partition(
                DatabaseName=self._database,
                TableName=TABLE,
                Entries=[
                    {"PartitionValueList": [partition.hour], "PartitionInput": glue_table.partition_input(partition)}
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
            kind = Refused if code in _TRANSIENT else CatalogError
            outcome[Hour(values[0])] = (
                Moved.CONFLICT
                if code in (_TAKEN, _MISSING)
                else kind(
                    f"{self.url}: partition {values[0]} was refused ({code}: {detail.get('ErrorMessage', '')}): "
                    + (aws.hint(code) or "publish the hour again")
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
            self._client.create_table(DatabaseName=self._database, TableInput=glue_table.table_input(self._location))
            made.append(f"the table {TABLE}")
        except ClientError as error:
            if _code(error) != _TAKEN:
                raise
        return made

    def _partition(self, data: Any) -> Partition:
        try:
            return glue_table.partition_of(data)
        except glue_table.Foreign as error:
            name = data["Values"][0]
            raise CatalogError(
                f"{self.url}: partition {name} of {TABLE} {error}: remove it (aws glue delete-partition "
                f"--database-name {self._database} --table-name {TABLE} --partition-values {name}) and publish the "
                "hour again (log-assets backfill)"
            ) from None

    @contextmanager
    def _errors(self, what: str) -> Iterator[None]:
        try:
            yield
        except ClientError as error:
            said = f"{_code(error)}: {error.response.get('Error', {}).get('Message', '')}"
            hint = aws.hint(said, {_MISSING: "run log-assets init"}) or "try again later"
            raise CatalogError(f"{self.url}: its {what} could not be used ({said}): {hint}") from None
        except BotoCoreError as error:
            hint = aws.hint(str(error)) or "check region and endpoint"
            raise CatalogError(f"{self.url} could not be reached ({error}): {hint}") from None


class Refused(Transient, CatalogError):
    """A refusal that may be over at the next try."""


def _batches(partitions: Sequence[Partition]) -> Iterator[Sequence[Partition]]:
    return (partitions[start : start + _WRITE_AT_ONCE] for start in range(0, len(partitions), _WRITE_AT_ONCE))


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))
