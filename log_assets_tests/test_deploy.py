"""`deploy/`: the template says what athena_sql/ and the adapters say, and what lies beside it is sound."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import pytest
import sqlglot
import yaml
from sqlglot import exp

from log_assets.catalog.glue import open_glue
from log_assets.catalog.table import DIALECT, TABLE, columns, table_ddl
from log_assets.query.sql import Parameter, saved_queries, view_ddl
from log_assets.records import row
from log_assets_tests.cloudformation import Template
from log_assets_tests.kit import H0, Kit, real_records

DEPLOY = Path(__file__).parent.parent / "deploy"
TEMPLATE = DEPLOY / "template.yaml"


@pytest.fixture
def template() -> Template:
    return Template(TEMPLATE, "bucket")


def generator() -> Any:
    spec = importlib.util.spec_from_file_location("generate", DEPLOY / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_template_is_what_athena_sql_says() -> None:
    text = TEMPLATE.read_text()
    assert generator().generated(text) == text, "run make template"


def test_ddl_glue_table_template_and_row_are_one_schema(aws: str) -> None:
    """The DDL is read here by hand, so that no two of the four come from one reading of it."""
    body, rest = table_ddl().split("compact_logs (\n")[1].split("\n)\n", 1)
    read = re.findall(r"^  `(\w+)` (\S+) COMMENT '(.*?)',?$", body, re.MULTILINE)
    assert len(read) == len(body.splitlines())
    assert [(name, kind) for name, kind, _ in read] == [(name.lower(), kind) for name, kind in row.SCHEMA]
    assert [(one.name, one.hive_type, one.comment) for one in columns()] == read

    database = f"logs_{uuid.uuid4().hex}"
    template = Template(TEMPLATE, aws, Database=database)
    open_glue(template.outputs()["CatalogUrl"], template.outputs()["LakeUrl"]).ensure()
    made = boto3.client("glue").get_table(DatabaseName=database, Name=TABLE)["Table"]
    declared = template.resource("Table")["TableInput"]
    assert {name: made[name] for name in declared} == declared

    table = declared["StorageDescriptor"]
    assert [(one["Name"], one["Type"], one["Comment"]) for one in table["Columns"]] == read
    (partition,) = declared["PartitionKeys"]
    assert f"PARTITIONED BY (`{partition['Name']}` {partition['Type']} COMMENT '{partition['Comment']}')" in rest
    assert f"ROW FORMAT SERDE '{table['SerdeInfo']['SerializationLibrary']}'\nSTORED AS TEXTFILE\n" in rest
    assert f"COMMENT '{declared['Description']}'\n" in rest
    assert table["InputFormat"] == "org.apache.hadoop.mapred.TextInputFormat"
    assert table["Location"] == f"s3://{aws}/lake/compact/"


def test_the_saved_queries_are_the_files_with_their_defaults(kit: Kit, template: Template) -> None:
    kit.land(real_records())
    kit.publish(H0)
    named = template.named_queries()
    assert named.pop("create_view_logs") == view_ddl()
    assert set(named) == set(saved_queries())
    for name, query in saved_queries().items():
        text = (DEPLOY.parent / f"athena_sql/queries/{name}.sql").read_text()
        assert named[name].startswith(text.split("\nSELECT")[0].split("\nWITH")[0] + "\n")
        sql, parameters = query.bind({})
        found, wanted = kit.engine.run(named[name]), kit.engine.run(sql, parameters)
        assert found.table.sort_by(_all(found.table)).equals(wanted.table.sort_by(_all(wanted.table))), name


def _all(table: Any) -> Any:
    return [(name, "ascending") for name in table.column_names]


def test_a_default_stays_a_value_whatever_it_holds() -> None:
    hostile = "x' OR 1 = 1; DROP TABLE logs -- \\g<0> :from_hour"
    query = saved_queries()["user_history"]
    query = replace(query, parameters=(Parameter("user_id", hostile, ""), *query.parameters[1:]))
    (tree,) = sqlglot.parse(query.with_defaults(), read=DIALECT)
    assert tree is not None
    assert hostile in [one.this for one in tree.find_all(exp.Literal)]


def test_the_bucket_is_private_encrypted_and_forgets_raw_and_results_only(template: Template) -> None:
    bucket = template.resource("Bucket")
    assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
    assert len(bucket["PublicAccessBlockConfiguration"]) == 4
    assert bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    rules = bucket["LifecycleConfiguration"]["Rules"]
    assert {one["Prefix"] for one in rules} == {"lake/raw/", "athena-results/"}
    for name in ("Bucket", "Key"):
        assert template.document["Resources"][name]["DeletionPolicy"] == "Retain"


def test_the_workgroups_settings_are_enforced(template: Template) -> None:
    settings = template.resource("WorkGroup")["WorkGroupConfiguration"]
    assert settings["EnforceWorkGroupConfiguration"] is True
    assert settings["EngineVersion"] == {"SelectedEngineVersion": "Athena engine version 3"}
    assert int(settings["BytesScannedCutoffPerQuery"]) == 10 << 30
    assert settings["ResultConfiguration"] == {
        "OutputLocation": "s3://bucket/athena-results/",
        "EncryptionConfiguration": {"EncryptionOption": "SSE_S3"},
    }


def test_no_secret_stands_in_the_template(template: Template) -> None:
    assert set(template.resource("Key")) == {"Name", "Description"}


def test_cloudformation_can_read_the_template() -> None:
    """It takes no YAML aliases, and a megabyte at most, by way of S3; 51,200 bytes directly."""
    text = TEMPLATE.read_text()
    assert not [event for event in yaml.parse(text) if isinstance(event, yaml.AliasEvent)]
    assert len(text.encode()) < 51_200
    lint = shutil.which("cfn-lint", path=str(Path(sys.executable).parent))
    assert lint is not None
    found = subprocess.run([lint, str(TEMPLATE)], capture_output=True, text=True, check=False)
    assert (found.stdout, found.returncode) == ("", 0)
