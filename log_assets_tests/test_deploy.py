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
import click
import pytest
import sqlglot
import yaml
from dagster_aws.ecs import EcsRunLauncher
from dagster_aws.s3.compute_log_manager import S3ComputeLogManager
from dagster_postgres import DagsterPostgresStorage
from dagster_webserver.cli import create_dagster_webserver_cli
from sqlglot import exp

from log_assets.catalog.glue import open_glue
from log_assets.catalog.table import DIALECT, TABLE, columns, table_ddl
from log_assets.commands.cli import main
from log_assets.query.sql import Parameter, saved_queries, view_ddl
from log_assets.records import row
from log_assets_tests.aws_calls import calls, listening
from log_assets_tests.cloudformation import Template
from log_assets_tests.dagster_private import (
    ComputeIOType,
    InstanceRef,
    create_dagster_daemon_cli,
    process_config,
)
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
    made: Any = boto3.client("glue").get_table(DatabaseName=database, Name=TABLE)["Table"]
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


UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
BIN = Path(sys.executable).parent
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text())


def local(text: str) -> str:
    """A unit or a command line as it is when the program is installed here."""
    return text.replace("/opt/log-assets/.venv/bin", str(BIN)).replace("/opt/log-assets", str(DEPLOY.parent))


PROGRAMS = {
    "log-assets": main,
    "dagster-daemon": create_dagster_daemon_cli(),
    "dagster-webserver": create_dagster_webserver_cli(),
}


def unit_commands() -> list[list[str]]:
    found = [re.findall(r"^ExecStart=(.*)$", unit.read_text(), re.MULTILINE) for unit in UNITS]
    lines = [line.replace("/bin/sh /opt/log-assets/deploy/with-key.sh ", "") for (line,) in found]
    return [line.removeprefix("/opt/log-assets/.venv/bin/").split() for line in lines]


@pytest.mark.parametrize("command", unit_commands(), ids=" ".join)
def test_units_and_containers_start_programs_that_are_there(command: list[str]) -> None:
    """As the program itself reads its command line."""
    program, *rest = command
    assert (BIN / program).exists()
    read = PROGRAMS[program]
    if isinstance(read, click.Group):
        _, found, rest = read.resolve_command(click.Context(read), rest)
        assert found is not None
        read = found
    options = read.make_context(program, rest).params
    if program == "dagster-webserver":
        assert options["host"] == "127.0.0.1"
    assert command in [one["command"] for one in COMPOSE["services"].values()]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
def test_systemd_takes_the_units_and_finds_them_hardened(tmp_path: Path) -> None:
    for unit in UNITS:
        # Of the users only those of this machine are known here.
        (tmp_path / unit.name).write_text(local(unit.read_text()).replace("User=log-assets\n", "User=bin\n"))
    (hardening,) = {unit.read_text().split("# Nothing but the network")[1] for unit in UNITS}
    assert {"NoNewPrivileges=yes", "CapabilityBoundingSet=", "ProtectSystem=strict"} <= set(hardening.splitlines())
    files = [str(tmp_path / unit.name) for unit in UNITS]
    assert len(files) == 3
    found = subprocess.run(["systemd-analyze", "verify", *files], capture_output=True, text=True, check=False)
    assert (found.stdout + found.stderr, found.returncode) == ("", 0)
    for file in files:
        command = ["systemd-analyze", "security", "--no-pager", "--offline=true", "--threshold=19", file]
        found = subprocess.run(command, capture_output=True, text=True, check=False)
        assert found.returncode == 0, found.stdout.splitlines()[-1]


def test_the_capturer_has_no_key_and_the_webserver_neither() -> None:
    keyed = {unit.stem.removeprefix("log-assets-") for unit in UNITS if "f_key" in unit.read_text()}
    assert keyed == {name for name, one in COMPOSE["services"].items() if "secrets" in one} == {"daemon"}


@pytest.mark.parametrize("name", ["F_KEY_FILE", "CREDENTIALS_DIRECTORY", ""])
def test_the_key_comes_from_a_file_or_stays_what_it_was(tmp_path: Path, name: str) -> None:
    (tmp_path / "f_key").write_text("the key's\n")
    given = {name: str(tmp_path / "f_key" if name == "F_KEY_FILE" else tmp_path)} if name else {}
    environment = {"PATH": "/usr/bin:/bin", **(given or {"f_key": "before"})}
    command = ["/bin/sh", str(DEPLOY / "with-key.sh"), "sh", "-c", 'printf "%s %s" "$f_key" "$*"', "sh", "a b", "c"]
    found = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert found.stdout == ("the key's a b c" if name else "before a b c")


def test_the_image_is_made_of_what_is_there() -> None:
    """No engine for containers is at hand in these tests: the image itself is not built."""
    text = (DEPLOY / "Containerfile").read_text()
    copied = [name for line in re.findall(r"^COPY (.*) \S+$", text, re.MULTILINE) for name in line.split()]
    assert copied
    kept = {line[1:] for line in (DEPLOY.parent / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert set(copied) == kept
    assert [name for name in copied if not (DEPLOY.parent / name).exists()] == []
    assert "USER log-assets" in text


@pytest.fixture
def ecs(aws: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> InstanceRef:
    """An instance as deploy/dagster-aws.yaml describes it, over moto."""
    for name, value in {
        "PIPELINE_ROLE_ARN": "arn:aws:iam::123456789012:role/pipeline",
        "EXECUTION_ROLE_ARN": "arn:aws:iam::123456789012:role/execution",
        "KEY_ARN": "arn:aws:secretsmanager:eu-central-1:123456789012:secret:log-assets/f_key-AbCdEf",
        "LOG_ASSETS_BUCKET": aws,
        "LOG_ASSETS_HOME": str(tmp_path / "home"),
        "DAGSTER_POSTGRES_URL": "postgresql://dagster@127.0.0.1/dagster",
    }.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "dagster.yaml").write_text((DEPLOY / "dagster-aws.yaml").read_text())
    return InstanceRef.from_dir(str(tmp_path))


def test_dagster_takes_the_example_for_ecs(ecs: InstanceRef) -> None:
    launcher = ecs.run_launcher
    assert isinstance(launcher, EcsRunLauncher)
    assert [one["name"] for one in launcher.secrets] == ["f_key"]
    assert launcher.secrets_tags == []
    assert launcher.task_role_arn == "arn:aws:iam::123456789012:role/pipeline"
    # Postgres itself is not here: its configuration is held against its schema.
    (storage,) = [data for data in (ecs.storage_data,) if data is not None]
    assert storage.class_name == "DagsterPostgresStorage"
    assert process_config(DagsterPostgresStorage.config_type(), storage.config_dict).success
    embedded = yaml.safe_load((DEPLOY.parent / "log_assets/commands/dagster.yaml").read_text())
    example = yaml.safe_load((DEPLOY / "dagster-aws.yaml").read_text())
    assert embedded.items() <= example.items()


def test_what_runs_print_goes_where_the_pipeline_may_write(ecs: InstanceRef, aws: str) -> None:
    logs = ecs.compute_log_manager
    assert isinstance(logs, S3ComputeLogManager)
    with listening() as requests:
        local = logs.local_manager.get_captured_local_path(["run", "compute_logs", "step"], "out")
        Path(local).parent.mkdir(parents=True)
        Path(local).write_text("hello")
        logs.upload_to_cloud_storage(["run", "compute_logs", "step"], ComputeIOType.STDOUT)
        assert logs.cloud_storage_has_logs(["run", "compute_logs", "step"], ComputeIOType.STDOUT)
    made = calls(requests)
    assert any(one.action == "s3:PutObject" for one in made)
    template = Template(TEMPLATE, aws)
    assert [str(one) for one in made if one not in template.allowed_to("PipelineRole", made)] == []
