"""Listings of the lake's own objects: whatever else lies there is left alone, and named by `foreign` for `doctor`."""

from __future__ import annotations

from collections.abc import Iterator

from log_assets.hour import Hour
from log_assets.lake import Entry, Lake, layout


def objects(lake: Lake, prefix: str, after: str = "", until: str = "") -> Iterator[Entry]:
    """The objects under a prefix whose keys are of the lake's form; arguments and order are those of `Lake.entries`."""
    return (entry for entry in lake.entries(prefix, after, until) if layout.is_ours(entry.key))


def hours(lake: Lake, folder: str) -> list[Hour]:
    """The hours that have a folder directly under `folder`, in order of time."""
    return [Hour(name) for name in lake.folders(folder) if layout.is_hour_folder(name)]


def foreign(lake: Lake) -> list[str]:
    """The keys under the lake's folders that are none of its own, sorted. Lists everything."""
    entries = (entry for folder in sorted(layout.FOLDERS) for entry in lake.entries(folder))
    return [entry.key for entry in entries if not layout.is_ours(entry.key)]
