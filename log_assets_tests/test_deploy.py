"""`deploy/`: the template says what athena_sql/ and the adapters say, and what lies beside it is sound."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
import tomllib
import uuid
from dataclasses import replace
from importlib.metadata import distribution
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
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
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


def test_the_bucket_is_private_and_encrypted(template: Template) -> None:
    bucket = template.resource("Bucket")
    assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
    assert len(bucket["PublicAccessBlockConfiguration"]) == 4
    assert bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    for name in ("Bucket", "Key"):
        assert template.document["Resources"][name]["DeletionPolicy"] == "Retain"


def test_the_bucket_forgets_raw_results_and_what_was_printed_and_keeps_versions_a_while(template: Template) -> None:
    bucket = template.resource("Bucket")
    assert bucket["VersioningConfiguration"] == {"Status": "Enabled"}
    rules = {one.get("Prefix", ""): one for one in bucket["LifecycleConfiguration"]["Rules"]}
    assert {one["Status"] for one in rules.values()} == {"Enabled"}
    expired = {prefix: int(one["ExpirationInDays"]) for prefix, one in rules.items() if "ExpirationInDays" in one}
    assert expired == {"lake/raw/": 365, "athena-results/": 7, "dagster-logs/": 30, "lake/compute-logs/": 30}
    everything = rules[""]
    assert int(everything["NoncurrentVersionExpiration"]["NoncurrentDays"]) == 30
    assert everything["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 1}
    assert everything["ExpiredObjectDeleteMarker"] is True


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


PROGRAMS: dict[str, click.Command] = {
    "log-assets": main,
    "dagster-daemon": create_dagster_daemon_cli(),
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
    read, parent = PROGRAMS[program], None
    if isinstance(read, click.Group):
        # With the group's own settings: a command keeps the help option that it was first asked for.
        parent = click.Context(read, **read.context_settings)
        _, found, rest = read.resolve_command(parent, rest)
        assert found is not None
        read = found
    read.make_context(program, rest, parent)
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


def test_no_file_starts_the_webserver_without_its_guard() -> None:
    for file in (path for path in DEPLOY.rglob("*") if path.is_file() and path.name != "requirements.txt"):
        assert "dagster-webserver" not in file.read_text(), file
    assert ["log-assets", "web", "--port", "3000"] in unit_commands()


def test_each_program_has_a_role_of_its_own() -> None:
    roles = {"capturer": "capture.env", "daemon": "pipeline.env", "webserver": "web.env"}
    for name, role in roles.items():
        assert COMPOSE["services"][name]["env_file"] == ["settings.env", {"path": role, "required": False}]
    for unit in UNITS:
        name = unit.stem.removeprefix("log-assets-").replace("capture", "capturer")
        found = re.findall(r"^EnvironmentFile=-/etc/log-assets/(.*)$", unit.read_text(), re.MULTILINE)
        assert found == [roles[name]]


def test_the_login_stands_in_front_of_the_ui_and_passes_its_name_on() -> None:
    login = yaml.safe_load((DEPLOY / "compose-login.yaml").read_text())
    assert set(login["services"]) - set(COMPOSE["services"]) == {"login"}
    named = login["services"]["webserver"]["environment"]["ALLOWED_HOSTS"]
    assert named.startswith("${LOGIN_HOST:?")
    proxy = login["services"]["login"]
    assert "@sha256:" in proxy["image"]
    port = COMPOSE["services"]["webserver"]["command"][-1]
    asked = proxy["environment"]
    assert asked["OAUTH2_PROXY_UPSTREAMS"] == f"http://127.0.0.1:{port}/"
    assert asked["OAUTH2_PROXY_PASS_HOST_HEADER"] == "true"
    assert asked["OAUTH2_PROXY_REDIRECT_URL"].startswith("https://${LOGIN_HOST}" + asked["OAUTH2_PROXY_HTTPS_ADDRESS"])
    # No secret stands in it, or in the environment: each is a file, and each file is handed in.
    files = {name for name in asked.values() if name.startswith("/run/secrets/")}
    assert files == {f"/run/secrets/{name}" for name in proxy["secrets"]}
    assert set(proxy["secrets"]) == set(login["secrets"])


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
    # By digest alone.
    assert re.findall(r"^FROM (.*)$", text, re.MULTILINE) == [
        "docker.io/library/python:3.11-slim-bookworm@${PYTHON_DIGEST}"
    ]
    (digest,) = re.findall(r"^ARG PYTHON_DIGEST(.*)$", text, re.MULTILINE)
    assert re.fullmatch(r"=sha256:[0-9a-f]{64}", digest)


def pinned(file: str) -> dict[str, str]:
    found = re.findall(r"^([\w.-]+)(?:\[[\w,]+\])?==([\w.]+)", (DEPLOY.parent / file).read_text(), re.MULTILINE)
    return {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in found}


def test_the_image_installs_what_constraints_pin_each_file_by_its_hash() -> None:
    text = (DEPLOY / "requirements.txt").read_text()
    entries = [one for one in re.split(r"^(?=\S)", text, flags=re.MULTILINE) if one and not one.startswith("#")]
    for entry in entries:
        assert re.fullmatch(r"[\w.-]+(\[[\w,]+\])?==[\w.]+( \\\n    --hash=sha256:[0-9a-f]{64})+\n", entry), entry
    image, constraints = pinned("deploy/requirements.txt"), pinned("constraints.txt")
    assert len(image) == len(entries)
    assert image.items() <= constraints.items(), "run make requirements"


def test_the_image_is_neither_short_of_anything_nor_has_more() -> None:
    """As pyproject.toml and the installed packages say it themselves, with the extras that are asked for."""
    project = tomllib.loads((DEPLOY.parent / "pyproject.toml").read_text())["project"]
    named = [*project["dependencies"], *project["optional-dependencies"]["postgres"], "setuptools"]
    wanted, seen = [Requirement(one) for one in named], set[tuple[str, str]]()
    while wanted:
        one = wanted.pop()
        name = canonicalize_name(one.name)
        for extra in {"", *one.extras} - {extra for found, extra in seen if found == name}:
            seen.add((name, extra))
            needed = [Requirement(text) for text in distribution(name).requires or ()]
            wanted += [it for it in needed if it.marker is None or it.marker.evaluate({"extra": extra})]
    assert {name for name, _ in seen} == set(pinned("deploy/requirements.txt"))


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


@pytest.mark.parametrize("prefix", ["dagster-logs", "lake/compute-logs"])
def test_what_runs_print_goes_where_the_pipeline_may_write_and_the_ui_may_read(
    ecs: InstanceRef, aws: str, prefix: str, tmp_path: Path
) -> None:
    """As deploy/dagster-aws.yaml has it, and as `log-assets init` writes it."""
    logs = ecs.compute_log_manager
    assert isinstance(logs, S3ComputeLogManager)
    assert logs._s3_prefix == "dagster-logs"
    logs = S3ComputeLogManager(aws, str(tmp_path / "run"), prefix=prefix, skip_empty_files=True)
    ui = S3ComputeLogManager(aws, str(tmp_path / "ui"), prefix=prefix)
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

    with listening() as requests:
        assert ui.cloud_storage_has_logs(["run", "compute_logs", "step"], ComputeIOType.STDOUT)
        ui.download_from_cloud_storage(["run", "compute_logs", "step"], ComputeIOType.STDOUT)
        assert len(ui.get_log_keys_for_log_key_prefix(["run", "compute_logs"], ComputeIOType.STDOUT)) == 1
    asked = calls(requests)
    assert {one.action for one in asked} == {"s3:GetObject", "s3:ListBucket"}
    assert [str(one) for one in asked if one not in template.allowed_to("WebRole", asked)] == []
    assert template.allowed_to("WebRole", [one for one in made if one.action == "s3:PutObject"]) == []
