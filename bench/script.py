"""What people write today: the original script, step for step, but for the source and the upload.

For each record `Fernet.decrypt`, the dict's repr evaluated (here by `ast.literal_eval`, the safe form), b64uuid for the
user id, the method as a number and the date shortened; then one gzip JSON array an hour.
"""

import ast
import gzip
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

from b64uuid import B64UUID
from cryptography.fernet import Fernet

METHODS = {"GET": 1, "POST": 2}


def shorten(record: dict[str, Any]) -> dict[str, Any]:
    user_id = record["user_id"]
    record["user_id"] = B64UUID(user_id[:32]).string + B64UUID(user_id[32:]).string
    record["method"] = METHODS.get(record["method"], record["method"])
    in_date = record["inDate"]
    record["inDate"] = "".join(c for c in in_date[2:-1] if c.isdigit())
    return record


def run(data: Path, out: Path, cores: int) -> None:
    fernet = Fernet((data / "f_key").read_text())
    hours = defaultdict(list)
    for file in sorted(data.glob("*.json")):
        for item in json.loads(file.read_bytes()):
            record = ast.literal_eval(fernet.decrypt(item["data"]).decode())
            hours[record["inDate"][:13]].append(shorten(record))
    for hour, records in hours.items():
        with gzip.open(out / f"{hour}.json.gz", "wt") as packed:
            json.dump(records, packed)
