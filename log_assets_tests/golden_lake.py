"""Makes a golden lake: a small lake and catalog with one of everything, kept as data so that later versions read it.

`python -m log_assets_tests.golden_lake FOLDER` writes one in the format of the code that runs it. The one in
`data/lake-format-1` was made by the code of 0.1.0 and is never made again: `test_golden_lake` reads it for ever.
"""

from __future__ import annotations

import base64
import json
import sys
from datetime import timedelta
from pathlib import Path

from log_assets.lake import layout
from log_assets.records.token import Keyring
from log_assets.steps.capture import put_window
from log_assets_tests.kit import H0, Kit, body, envelope, real_records, record

KEY = base64.urlsafe_b64encode(b"golden lake, no secret: 32 bytes").decode()
"""The key of every token in it: no secret."""

OTHER = base64.urlsafe_b64encode(b"another key that was lost for us").decode()


def make(folder: Path) -> None:
    """Write the lake and its catalog under `folder`."""
    kit = Kit(folder, Keyring.parse(KEY))
    real = real_records()
    # H0 is published twice: the older generation is superseded, a duplicate and two conflicting ids among its rows.
    kit.land(real[:25])
    kit.publish(H0)
    kit.land(real[20:])
    odd = [
        record(7001, H0.start + timedelta(minutes=50), method="PUT", referrer=None, détail="naïve \u2028 \U0001f600"),
        record(7002, H0.start + timedelta(minutes=51), detail={"levelname": "INFO", "message": "turned"}, n=1e16),
        record(7003, H0.start + timedelta(minutes=52), inDate="2023-03-10T01:52:00+00:00", big=2**70, url=None),
        record(7003, H0.start + timedelta(minutes=53), user_id="no hex"),
        {"inDate": "2023-03-10T01:59:59.999Z"},
    ]
    kit.transform(put_window(kit.lake, body(kit.keyring, odd, json.dumps), kit.now()))
    good = kit.keyring.encrypt(repr(record(7010, H0.start + timedelta(hours=1))).encode()).decode()
    lost = Keyring.parse(OTHER).encrypt(repr(record(7011)).encode()).decode()
    late = kit.keyring.encrypt(repr(record(7012, kit.clock + timedelta(days=3))).encode()).decode()
    tokens = [(7010, good), (7011, lost), (7012, late), (7013, "no token")]
    kit.transform(put_window(kit.lake, envelope(tokens), kit.now()))
    kit.publish(H0)
    # An hour that is published empty, one whose rows are not yet published, and a window that nobody has read.
    kit.publish(H0.plus(3))
    kit.capture([record(7020 + number, H0.start + timedelta(hours=2, seconds=number)) for number in range(5)])
    log = {"polls": 60, "failures": 1, "windows": 4, "longest_gap_seconds": 61.5, "spooled": [], "lost_ids": [[1, 2]]}
    kit.lake.replace(
        layout.capture_key(H0, "host-1-golden"), json.dumps({"capturer": "host-1-golden", "hour": H0, **log}).encode()
    )


if __name__ == "__main__":
    make(Path(sys.argv[1]))
