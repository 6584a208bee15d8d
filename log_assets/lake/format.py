"""The lake's format number: written once, and refused when it is another than this program's."""

from __future__ import annotations

import json

from log_assets.errors import LakeError, NoLake, NotFound
from log_assets.lake import Lake
from log_assets.lake.layout import FORMAT, FORMAT_KEY


def check_format(lake: Lake, *, create: bool = False) -> None:
    """Make sure that the lake is of the format this program writes.

    Args:
        lake: the lake.
        create: write the format object when there is none (a new lake).

    Raises:
        NoLake: it has no format object, and none is to be written.
        LakeError: the lake is of another format, or its format object cannot be read.
    """
    try:
        content = lake.get(FORMAT_KEY)
    except NotFound:
        if not create:
            raise NoLake(lake.url) from None
        lake.put(FORMAT_KEY, json.dumps({"format": FORMAT}).encode())
        return check_format(lake)
    try:
        found = json.loads(content)["format"]
    except (ValueError, KeyError, TypeError):
        raise LakeError(f'{lake.url}/{FORMAT_KEY} is not readable: it should hold {{"format": {FORMAT}}}') from None
    if found != FORMAT:
        raise LakeError(
            f"the lake {lake.url} is of format {found!r}, this program writes format {FORMAT}: "
            "use the program's version that made it, or another LAKE_URL"
        )
