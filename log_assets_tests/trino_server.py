"""A real Trino from Maven Central, over the Glue catalog and the S3 that moto serves; on 127.0.0.1 only."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import tarfile
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError
from urllib.parse import urlsplit
from urllib.request import urlopen

from filelock import FileLock
from trino.dbapi import connect
from trino.exceptions import Error

from log_assets_tests.maven import CACHE, NoJava, fetched

VERSION = "476"
JAVA_AT_LEAST = 24
CATALOG = "lake"
_ARTEFACTS = (("trino-server-core", "tar.gz"), ("trino-hive", "zip"))
_START_SECONDS = 180


def java() -> Path:
    """A Java home that Trino can run on: JAVA_HOME, or the newest of /usr/lib/jvm."""
    homes = [Path(os.environ["JAVA_HOME"])] if os.environ.get("JAVA_HOME") else []
    homes += sorted(Path("/usr/lib/jvm").glob("*"))
    versions = {home: _java_version(home) for home in homes if (home / "bin/java").exists()}
    best = max(versions, key=lambda home: versions[home], default=None)
    if best is None or versions[best] < JAVA_AT_LEAST:
        raise NoJava(
            f"Trino {VERSION} needs Java {JAVA_AT_LEAST} or newer: install one (openjdk-25-jre-headless, or Temurin's "
            "temurin-25-jre), under /usr/lib/jvm or where JAVA_HOME says"
        )
    return best


def _java_version(home: Path) -> int:
    release = home / "release"
    found = re.search(r'JAVA_VERSION="(\d+)', release.read_text()) if release.exists() else None
    return int(found[1]) if found else 0


def installed() -> Path:
    """Trino's folder under the cache; fetched, checked and unpacked the first time."""
    home = CACHE / f"trino-server-core-{VERSION}"
    CACHE.mkdir(exist_ok=True)
    with FileLock(CACHE / "trino.lock"):
        if not (home / "plugin/hive").exists():
            repository = CACHE / "maven"
            for name, ending in _ARTEFACTS:
                _unpack(fetched(repository, f"io.trino:{name}:{VERSION}", ending), home)
            shutil.rmtree(repository)
    return home


def _unpack(file: Path, home: Path) -> None:
    """The server's archive holds one folder, which becomes `home`; the plugin's becomes `home`/plugin/hive."""
    beside = home.with_suffix(".part")
    shutil.rmtree(beside, ignore_errors=True)
    if file.name.endswith(".tar.gz"):
        with tarfile.open(file) as archive:
            archive.extractall(beside, filter="tar")
    else:
        with zipfile.ZipFile(file) as archive:
            archive.extractall(beside)
    target = home if file.name.endswith(".tar.gz") else home / "plugin/hive"
    (only,) = beside.iterdir()
    only.replace(target)
    beside.rmdir()


@contextmanager
def trino(folder: Path, aws_endpoint: str) -> Iterator[str]:
    """Trino while the block lasts: its URL, as QUERY_URL wants it.

    Args:
        folder: an empty one, for its configuration, data and log.
        aws_endpoint: where S3 and Glue are served.

    Raises:
        NoJava: Java or Maven is missing.
    """
    home, jdk = installed(), java()
    port = _free_port()
    _configure(folder, home, port, aws_endpoint)
    environment = {**os.environ, "JAVA_HOME": str(jdk), "PATH": f"{jdk / 'bin'}{os.pathsep}{os.environ['PATH']}"}
    command = [str(home / "bin/launcher"), "run", "--etc-dir", str(folder / "etc"), "--data-dir", str(folder / "data")]
    with (folder / "trino.log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
    try:
        _wait(process, f"http://127.0.0.1:{port}", folder / "trino.log")
        yield f"trino://test@127.0.0.1:{port}/{CATALOG}"
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _configure(folder: Path, home: Path, port: int, aws_endpoint: str) -> None:
    etc = folder / "etc"
    (etc / "catalog").mkdir(parents=True)
    (etc / "node.properties").write_text("node.environment=test\n")
    (etc / "jvm.config").write_text(
        "-Xmx3G\n-XX:+ExitOnOutOfMemoryError\n-XX:-OmitStackTraceInFastThrow\n--add-modules=jdk.incubator.vector\n"
        "-Djdk.attach.allowAttachSelf=true\n"
        # Many small queries on two cores: compiling them well costs more than it brings, a third of all the time.
        "-XX:TieredStopAtLevel=1\n-XX:+UseSerialGC\n"
    )
    (etc / "log.properties").write_text("io.trino=WARN\n")
    (etc / "config.properties").write_text(
        "coordinator=true\nnode-scheduler.include-coordinator=true\n"
        f"http-server.http.port={port}\ndiscovery.uri=http://127.0.0.1:{port}\n"
        "node.bind-ip=127.0.0.1\nnode.internal-address=127.0.0.1\ncatalog.management=static\n"
    )
    (etc / "catalog" / f"{CATALOG}.properties").write_text(
        "connector.name=hive\nhive.metastore=glue\n"
        f"hive.metastore.glue.region=eu-central-1\nhive.metastore.glue.endpoint-url={aws_endpoint}\n"
        "hive.metastore.glue.aws-access-key=test\nhive.metastore.glue.aws-secret-key=test\n"
        f"fs.native-s3.enabled=true\ns3.endpoint={aws_endpoint}\ns3.region=eu-central-1\n"
        # moto knows no statistics of columns.
        "hive.table-statistics-enabled=false\n"
        "s3.path-style-access=true\ns3.aws-access-key=test\ns3.aws-secret-key=test\n"
    )


def _wait(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    end = time.monotonic() + _START_SECONDS
    while time.monotonic() < end and process.poll() is None:
        with contextlib.suppress(URLError, OSError), urlopen(f"{url}/v1/info", timeout=5) as answer:
            if b'"starting":false' in answer.read() and _has_a_node(url):
                return
        time.sleep(0.5)
    raise NoJava(f"Trino did not start: {log.read_text()[-3000:]}")


def _has_a_node(url: str) -> bool:
    """Whether a query would find a worker: the server is up some seconds before it has found itself."""
    parts = urlsplit(url)
    with connect(host=parts.hostname, port=parts.port, user="test") as connection:
        try:
            rows = connection.cursor().execute("SELECT count(*) FROM system.runtime.nodes WHERE state = 'active'")
            return bool(rows.fetchone()[0])
        except Error:
            return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
