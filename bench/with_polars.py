"""Polars for everything after decrypting: quotes swapped to make JSON, columns shortened as expressions, gzip NDJSON.

As most would write it: a record that holds a quote or a constant of its own breaks it, so the mix with odd records is
beyond it.
"""

import gzip
import json
from pathlib import Path

import polars as pl
from cryptography.fernet import Fernet

TYPE = pl.Struct(
    {
        "user_id": pl.String,
        "record_id": pl.Int64,
        "activity": pl.String,
        "url": pl.String,
        "method": pl.String,
        "name": pl.String,
        "inDate": pl.String,
        "detail": pl.Struct({"message": pl.String, "levelname": pl.String}),
    }
)


def half(start: int) -> pl.Expr:
    letters = pl.col("user_id").str.slice(start, 32).str.decode("hex").bin.encode("base64").str.slice(0, 22)
    return letters.str.replace_all("+", "-", literal=True).str.replace_all("/", "_", literal=True)


def run(data: Path, out: Path, cores: int) -> None:
    fernet = Fernet((data / "f_key").read_text())
    texts = [
        fernet.decrypt(item["data"]).decode()
        for file in sorted(data.glob("*.json"))
        for item in json.loads(file.read_bytes())
    ]
    frame = (
        pl.DataFrame({"text": texts})
        .select(pl.col("text").str.replace_all("'", '"', literal=True).str.json_decode(TYPE))
        .unnest("text")
        .with_columns(hour=pl.col("inDate").str.slice(0, 13))
        .with_columns(
            user_id=half(0) + half(32),
            method=pl.col("method").replace_strict({"GET": 1, "POST": 2}, return_dtype=pl.Int8),
            inDate=pl.col("inDate").str.slice(2, 21).str.replace_all("[^0-9]", ""),
        )
        .unique()
        .sort("user_id", "record_id")
    )
    for (hour,), records in frame.group_by("hour"):
        with gzip.open(out / f"{hour}.json.gz", "wb") as file:
            file.write(records.drop("hour").write_ndjson().encode())
