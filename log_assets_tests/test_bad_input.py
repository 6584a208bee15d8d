"""Bad input, each by its name: what is kept, what is rejected, and that the rest of the window goes through."""

from __future__ import annotations

import resource
import subprocess
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from log_assets.records.reject import Reason
from log_assets.records.token import Keyring
from log_assets.steps import audit
from log_assets.steps.capture import put_window
from log_assets.steps.receipts import Receipt
from log_assets_tests.bad_payloads import BAD as BAD_PAYLOADS
from log_assets_tests.kit import H0, Kit, envelope, record

GOOD = [record(number) for number in range(1, 6)]
# Fixed, so that test names are the same in every worker.
OTHER = Keyring.parse("A" * 43 + "=")

BAD_RECORDS: dict[str, tuple[dict[str, Any], Reason]] = {
    "missing inDate": ({"record_id": 9}, Reason.NO_IN_DATE),
    "inDate of another format": (record(9, inDate="10/Mar/2023:01:48:11"), Reason.NO_IN_DATE),
    "inDate a number of no such year": (record(9, inDate=946684799), Reason.NO_IN_DATE),
    "inDate true": (record(9, inDate=True), Reason.NO_IN_DATE),
    "inDate the digits of no such year": (record(9, inDate="4102444800"), Reason.NO_IN_DATE),
    "inDate with two fractions": (record(9, inDate="2023-03-10T01:48:11.5,5Z"), Reason.NO_IN_DATE),
    "inDate with half an offset": (record(9, inDate="2023-03-10T01:48:11+1"), Reason.NO_IN_DATE),
    "inDate in year 9999": (record(9, inDate="9999-03-10T01:48:11Z"), Reason.FUTURE),
    "inDate on no day of the calendar": (record(9, inDate="2023-02-29T01:48:11Z"), Reason.NO_IN_DATE),
}
KEPT_RECORDS = {
    "inDate in the year 1": record(9, inDate="0001-01-01T01:48:11Z"),
    "keys that differ only in case": record(9) | {"Activity": "x", "ACTIVITY": "y"},
    "inDate in seconds": record(9, inDate=1678412891),
    "inDate in milliseconds, as digits": record(9, inDate="1678412891818"),
    "inDate with a space and a comma": record(9, inDate="2023-03-10 01:48:11,818+00"),
    "huge integers": record(9, record_id=10**40, big=-(10**4299)),
    "duplicate fields of our own": record(9) | {"extra": {"extra": 1}, "hour": "x"},
}


def captured(kit: Kit, *bad: tuple[int, Any]) -> str:
    """A window of five good records around the bad ones."""
    tokens: list[tuple[int | None, Any]] = [(one["record_id"], token(kit, one)) for one in GOOD]
    return put_window(kit.lake, envelope([*tokens[:3], *bad, *tokens[3:]]), kit.now())


def window(kit: Kit, *bad: tuple[int, Any]) -> Receipt:
    receipt = kit.transform(captured(kit, *bad))
    assert isinstance(receipt, Receipt)
    return receipt


def token(kit: Kit, one: dict[str, Any] | bytes) -> str:
    return kit.keyring.encrypt(one if isinstance(one, bytes) else repr(one).encode()).decode()


def check(kit: Kit, receipt: Receipt, reason: Reason | None, bad: int = 1) -> None:
    """The good ones are in their hour, the bad one is kept with its reason, and the counts add up."""
    assert receipt.records == len(GOOD) + bad
    assert receipt.kept + receipt.rejected == receipt.records
    assert receipt.rejects == ({str(reason): bad} if reason else {})
    kit.publish(*receipt.hours)
    assert {one["record_id"] for one in GOOD} <= {one["record_id"] for one in kit.records()}
    assert audit.status(kit.lake, kit.catalog).rejected == receipt.rejected
    assert audit.soundness(kit.lake, kit.partition()).problems == []


@pytest.mark.parametrize("name", BAD_PAYLOADS)
def test_a_payload(kit: Kit, name: str) -> None:
    text, reason = BAD_PAYLOADS[name]
    put = captured(kit, (9, token(kit, text)))
    tracemalloc.start()
    try:
        receipt = kit.transform(put)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert isinstance(receipt, Receipt)
    assert peak < 128 << 20
    check(kit, receipt, reason)


@pytest.mark.parametrize("name", BAD_RECORDS)
def test_a_record(kit: Kit, name: str) -> None:
    one, reason = BAD_RECORDS[name]
    check(kit, window(kit, (9, token(kit, one))), reason)


@pytest.mark.parametrize("name", KEPT_RECORDS)
def test_a_record_that_is_odd_and_kept(kit: Kit, name: str) -> None:
    one = KEPT_RECORDS[name]
    receipt = window(kit, (9, token(kit, one)))
    check(kit, receipt, None)
    assert any(found == one for hour in receipt.hours for found in kit.records(hour))


@pytest.mark.parametrize(
    ("name", "item", "reason"),
    [
        ("a wrong key", OTHER.seal(b"{}", 0, bytes(16)).decode(), Reason.KEY),
        ("a token that is not base64", "!!!", Reason.NO_TOKEN),
        ("no token", None, Reason.NO_TOKEN),
        ("a token that is an object", {"data": 1}, Reason.NO_TOKEN),
    ],
)
def test_a_token(kit: Kit, name: str, item: Any, reason: Reason) -> None:
    check(kit, window(kit, (9, item)), reason)


def test_a_tampered_token(kit: Kit) -> None:
    sealed = token(kit, record(9))
    check(kit, window(kit, (9, sealed[:60] + ("A" if sealed[60] != "A" else "B") + sealed[61:])), Reason.KEY)


def test_everything_bad_in_one_window(kit: Kit) -> None:
    bad: list[tuple[int, Any]] = [(9, token(kit, text)) for text, _ in BAD_PAYLOADS.values() if len(text) < 2000]
    bad += [(9, token(kit, one)) for one, _ in BAD_RECORDS.values()]
    bad += [(9, OTHER.encrypt(b"{}").decode()), (9, "!!!"), (9, None)]
    receipt = window(kit, *bad)
    assert (receipt.records, receipt.kept, receipt.rejected) == (len(GOOD) + len(bad), len(GOOD), len(bad))
    kit.publish(H0)
    assert kit.ids() == [1, 2, 3, 4, 5]


SCRIPT = """
import sys
from pathlib import Path
from log_assets.errors import LakeError
from log_assets.ports import open_lake
lake = open_lake(Path(sys.argv[1]).as_uri())
try:
    for number in range(100):
        lake.put(f"raw/x/{number}.json.gz", bytes(9999))
except LakeError as error:
    print(error)
"""


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [("a full disk", "size=64k", "No space left"), ("a folder without permission", "ro", "")],
)
def test_a_disk(tmp_path: Path, name: str, options: str, said: str) -> None:
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = f"mount -t tmpfs -o {options} tmpfs {folder} && exec {sys.executable} -c '{SCRIPT}' {folder}/."
    done = subprocess.run(["unshare", "-rm", "sh", "-c", mount], capture_output=True, text=True, check=False)
    if "unshare" in done.stderr or "mount" in done.stderr:
        pytest.skip(f"no file system of one's own here: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    assert "check LAKE_URL" in done.stdout, done.stdout + done.stderr
    assert said in done.stdout
    assert done.stdout.count("\n") == 1


def test_the_process_has_stayed_small() -> None:
    """Over everything that this file threw at it; kibibytes on Linux."""
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < 1_500_000
