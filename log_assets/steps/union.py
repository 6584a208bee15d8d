"""The union of an hour's sorted sets of lines, in bounded memory and on all cores: in memory when it is small, in
buckets (`buckets`) when it is not. The bytes depend on the lines alone."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from log_assets.errors import LakeError
from log_assets.lake import Lake
from log_assets.records import lines, lineset
from log_assets.steps.buckets import SHOWN, Limits, United, unite_in_buckets
from log_assets.steps.pool import Pool
from log_assets.steps.sorted_set import SortedSet, content


def unite(lake: Lake, sets: Sequence[SortedSet], pool: Pool, limits: Limits | None = None) -> United:
    """The union of `sets`, as an hour's file.

    Raises:
        Damaged, NotFound: an object is not what its name promises, or gone.
        LakeError: it could not be read, was written by a newer version, or there is no room for temporary files.
        WorkerDied: a process of the pool died.
    """
    limits = limits or Limits()
    if sum(one.size for one in sets) <= limits.small:
        try:
            united = lineset.union((content(lake, one) for one in sets), limits.in_memory)
            packed = lineset.pack(united, limits.member_rows)
            return United(packed, len(united), united.record_ids(), united.first(SHOWN))
        except lines.TooLarge:
            pass
    try:
        with tempfile.TemporaryDirectory(prefix="log_assets-") as folder:
            return unite_in_buckets(lake, sets, pool, limits, Path(folder))
    except OSError as error:
        raise LakeError(
            f"temporary files could not be written ({error.strerror}): make room, or set TMPDIR to where there is some"
        ) from None
