"""dlt as its users write it: a resource that decrypts and shortens, the filesystem destination, jsonl in gzip."""

import ast
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dlt
from cryptography.fernet import Fernet

from bench.script import shorten


def run(data: Path, out: Path, cores: int) -> None:
    os.environ |= {"RUNTIME__DLTHUB_TELEMETRY": "false", "DATA_WRITER__DISABLE_COMPRESSION": "false"}
    fernet = Fernet((data / "f_key").read_text())

    @dlt.resource(name="logs", max_table_nesting=0)
    def logs() -> Iterator[list[dict[str, Any]]]:
        for file in sorted(data.glob("*.json")):
            yield [
                shorten(ast.literal_eval(fernet.decrypt(item["data"]).decode()))
                for item in json.loads(file.read_bytes())
            ]

    pipeline = dlt.pipeline(
        "bench",
        destination=dlt.destinations.filesystem(bucket_url=(out / "lake").as_uri()),
        dataset_name="web",
        pipelines_dir=str(out / "state"),
    )
    pipeline.run(logs(), loader_file_format="jsonl")
