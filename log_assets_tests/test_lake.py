"""The lake's contract, over every adapter."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import boto3
import pytest

from log_assets.errors import CatalogError, LakeError, NotFound, SettingError
from log_assets.hour import Hour
from log_assets.lake import Lake, layout
from log_assets.lake.format import check_format
from log_assets.ports import open_catalog, open_lake


@pytest.fixture(params=["local", "s3", "s3 without a prefix"])
def lake(request: pytest.FixtureRequest, tmp_path: Path) -> Lake:
    if request.param == "local":
        return open_lake((tmp_path / "a lake [1]*#").as_uri())
    bucket = request.getfixturevalue("aws")
    return open_lake(f"s3://{bucket}/a/prefix" if request.param == "s3" else f"s3://{bucket}")


def test_a_put_creates_and_never_overwrites(lake: Lake) -> None:
    assert lake.put("raw/2023-03-10-01/a.json.gz", b"one")
    assert not lake.put("raw/2023-03-10-01/a.json.gz", b"two")
    assert lake.get("raw/2023-03-10-01/a.json.gz") == b"one"
    lake.replace("raw/2023-03-10-01/a.json.gz", b"three")
    assert lake.get("raw/2023-03-10-01/a.json.gz") == b"three"


def test_what_is_not_there_is_said_with_its_name(lake: Lake) -> None:
    with pytest.raises(NotFound, match=r"raw/nothing\.json"):
        lake.get("raw/nothing.json")
    assert not lake.exists("raw/nothing.json")
    assert list(lake.entries("raw")) == []
    assert lake.folders("raw") == []
    lake.delete(["raw/nothing.json"])


def test_listings_are_in_key_order_and_whole(lake: Lake) -> None:
    keys = [f"rows/2023-03-10-{hour:02}/{name}" for hour in (3, 1, 2) for name in "cab"]
    for key in keys:
        lake.put(key, key.encode())
    assert [entry.key for entry in lake.entries("rows")] == sorted(keys)
    assert [entry.key for entry in lake.entries("rows", after="rows/2023-03-10-02")] == sorted(keys)[3:]
    assert [entry.size for entry in lake.entries("rows/2023-03-10-01")] == [20, 20, 20]
    assert lake.folders("rows") == ["2023-03-10-01", "2023-03-10-02", "2023-03-10-03"]
    lake.delete(keys[:8])
    assert [entry.key for entry in lake.entries("rows")] == keys[8:]


def test_the_stores_clock_is_near_ours_and_leaves_nothing(lake: Lake) -> None:
    assert abs(lake.now() - datetime.now(UTC)) < timedelta(minutes=5)
    assert list(lake.entries("")) == []


def test_half_written_files_of_a_killed_put_are_swept(tmp_path: Path) -> None:
    lake = open_lake(tmp_path.as_uri())
    digest = "0" * 32
    key = layout.raw_key(f"20230310T070000001Z-{digest}")
    lake.put(key, b"whole")
    staged = [f"{key}#1", f"probe/{digest}#12", "lake.json#1"]
    # Names that only look alike are somebody else's.
    strangers = ["raw/x#1", f"{key}#", f"{key}#x", "notes#1", f"raw/{digest}.json.gz#1", "#1"]
    for name in [*staged, *strangers]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"ha")
    assert lake.remove_staged(datetime.now(UTC) - timedelta(hours=1)) == 0
    assert lake.remove_staged(datetime.now(UTC) + timedelta(hours=1)) == len(staged)
    assert [name for name in strangers if not (tmp_path / name).exists()] == []
    assert lake.get(key) == b"whole"


def test_of_many_puts_of_one_key_at_once_one_creates(lake: Lake) -> None:
    with ThreadPoolExecutor(8) as pool:
        created = list(pool.map(lambda number: lake.put("raw/x/a.json.gz", b"%d" % number), range(8)))
    assert created.count(True) == 1
    assert lake.get("raw/x/a.json.gz") == b"%d" % created.index(True)


@pytest.mark.parametrize("content", [b"", b"\x00\xff" * 500_000])
def test_content_comes_back_to_the_byte(lake: Lake, content: bytes) -> None:
    lake.put("raw/x/a.json.gz", content)
    assert lake.get("raw/x/a.json.gz") == content
    assert [entry.size for entry in lake.entries("raw")] == [len(content)]


def test_what_is_put_is_encrypted_with_the_key_that_the_url_names(aws: str) -> None:
    arn = boto3.client("kms").create_key()["KeyMetadata"]["Arn"]
    lake = open_lake(f"s3://{aws}/x?kms_key={arn}")
    lake.put("raw/a", b"one")
    lake.replace("capture/b", b"two")
    assert lake.get("raw/a") == b"one"
    assert lake.url == f"s3://{aws}/x"
    for key in ("x/raw/a", "x/capture/b"):
        head = boto3.client("s3").head_object(Bucket=aws, Key=key)
        assert (head["ServerSideEncryption"], head["SSEKMSKeyId"]) == ("aws:kms", arn)


def test_the_endpoint_of_a_service_wins_over_that_of_all(
    aws: str, aws_endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with pytest.raises(LakeError):
        open_lake(f"s3://{aws}/x").put("raw/a", b"one")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", aws_endpoint)
    assert open_lake(f"s3://{aws}/x").put("raw/a", b"one")
    catalog = open_catalog("glue://elsewhere", f"s3://{aws}/x")
    with pytest.raises(CatalogError):
        catalog.ensure()
    monkeypatch.setenv("AWS_ENDPOINT_URL_GLUE", aws_endpoint)
    open_catalog("glue://elsewhere", f"s3://{aws}/x?kms_key=k").ensure()
    open_catalog("glue://elsewhere", f"s3://{aws}/x").ensure()


def test_many_keys_are_listed_and_deleted(lake: Lake) -> None:
    keys = [f"rows/2023-03-10-01/{number:05}" for number in range(1100)]
    for key in keys:
        lake.put(key, b"")
    assert [entry.key for entry in lake.entries("rows")] == keys
    lake.delete(iter(keys))
    assert list(lake.entries("rows")) == []


def test_the_location_of_a_folder_ends_with_a_slash(lake: Lake) -> None:
    assert lake.location("compact/2023-03-10-01/abc") == f"{lake.url}/compact/2023-03-10-01/abc/"


def test_what_is_wrong_with_a_bucket_is_one_clear_error(aws: str, monkeypatch: pytest.MonkeyPatch) -> None:
    missing = open_lake("s3://no-such-bucket-here/x")
    with pytest.raises(LakeError, match=r"s3://no-such-bucket-here/x/raw/a .*check LAKE_URL") as caught:
        missing.put("raw/a", b"")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600
    monkeypatch.delenv("AWS_REGION")
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    with pytest.raises(SettingError, match="set AWS_REGION"):
        open_lake(f"s3://{aws}/x")


def test_another_format_is_refused(lake: Lake) -> None:
    check_format(lake, create=True)
    check_format(lake)
    lake.replace("lake.json", b'{"format": 2}')
    with pytest.raises(LakeError, match="format 2, this program writes format 1"):
        check_format(lake)


@pytest.mark.parametrize("url", ["ftp://x/y", "file://host/x", "file://", "/plain/path", "s3://", "s3:///prefix"])
def test_a_url_of_no_lake_names_the_variable(url: str) -> None:
    with pytest.raises(SettingError, match="LAKE_URL"):
        open_lake(url)


def test_a_folder_that_cannot_be_made_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(LakeError, match="check LAKE_URL"):
        open_lake((tmp_path / "file" / "lake").as_uri())


def test_a_put_that_fails_is_one_clear_error(tmp_path: Path) -> None:
    lake = open_lake(tmp_path.as_uri())
    (tmp_path / "raw").write_text("in the way")
    with pytest.raises(LakeError, match=r"raw/a\.json could not be written .*check LAKE_URL") as caught:
        lake.put("raw/a.json", b"")
    assert "\n" not in str(caught.value)


def test_keys_tell_what_they_name() -> None:
    landed = datetime(2023, 3, 10, 1, 49, 0, 123456, tzinfo=UTC)
    window = layout.window_name(landed, "ab" * 16)
    assert window == "20230310T014900123Z-" + "ab" * 16
    assert layout.raw_key(window) == f"raw/2023-03-10-01/{window}.json.gz"
    assert layout.window_landed(window) == landed.replace(microsecond=123000)
    rows = layout.rows_key(Hour("2023-03-09-23"), window, 1, "cd" * 16)
    assert rows == f"rows/2023-03-09-23/{window}-v1-{'cd' * 16}.json.gz"
    for key in (
        rows,
        layout.receipt_key(window, "ef" * 16),
        layout.rejects_key(window, "0" * 32),
        layout.raw_key(window),
    ):
        assert layout.window_of(key) == window
    assert layout.row_version_of(rows) == 1
    assert layout.digest_of(rows) == "cd" * 16
    assert layout.digest_of(layout.lines_key(Hour("2023-03-09-23"), "12" * 16)) == "12" * 16
    assert layout.hour_of(rows) == "2023-03-09-23"
