"""The table's DDL is Hive's grammar, for that is what Athena reads it by."""

import re

import pytest

from log_assets.catalog.table import columns, partition_column, table_comment, table_ddl
from log_assets.records import row
from log_assets_tests.hive_parser import Refused, tree

pytestmark = pytest.mark.trino


def test_hives_parser_takes_the_ddl_and_reads_the_same_columns() -> None:
    read = tree(table_ddl())
    # (tok_tabcol `method` tok_int '1 is GET, 2 is POST')
    found = re.findall(r"\(tok_tabcol `(\w+)` (.*?) '([^']*)'\)", read)
    wanted = [*columns(), partition_column()]
    assert [(name, comment) for name, _, comment in found] == [(one.name, one.comment) for one in wanted]
    kinds = [_hive_type(kind) for _, kind, _ in found]
    assert kinds == [one.hive_type for one in wanted]
    assert list(zip([name for name, _, _ in found], kinds, strict=True))[:-1] == [
        (name.lower(), kind) for name, kind in row.SCHEMA
    ]
    assert f"(tok_tablecomment '{table_comment()}')" in read
    assert "(tok_serdename 'org.apache.hive.hcatalog.data.JsonSerDe')" in read
    assert "(tok_fileformat_generic textfile)" in read
    assert "(tok_tablepartcols (tok_tabcollist (tok_tabcol `hour` tok_string " in read


def _hive_type(kind: str) -> str:
    fields = re.findall(r"\(tok_tabcol (\w+) tok_(\w+)\)", kind)
    struct = f"struct<{','.join(f'{name}:{field}' for name, field in fields)}>"
    return struct if fields else kind.removeprefix("tok_")


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        ("`record_id` bigint", "`record_id` bignum"),
        ("STORED AS TEXTFILE", "STORE AS TEXTFILE"),
        ("struct<message:string,", "struct<message string,"),
        ("PARTITIONED BY (`hour` string", "PARTITIONED BY (`hour`"),
        ("LOCATION 's3", "LOCATION s3"),
    ],
)
def test_hives_parser_refuses_a_broken_ddl(good: str, bad: str) -> None:
    broken = table_ddl().replace(good, bad)
    assert broken != table_ddl()
    with pytest.raises(Refused, match="line"):
        tree(broken)
