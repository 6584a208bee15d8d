"""Hive's own parser, from Maven Central: what Athena's DDL is made of."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from filelock import FileLock

from log_assets_tests.maven import CACHE, fetched
from log_assets_tests.trino_server import java

# Of Hadoop and the rest only what the parser touches.
_ARTEFACTS = (
    "org.apache.hive:hive-exec:2.3.9",
    "org.apache.hadoop:hadoop-client-api:3.3.6",
    "org.apache.hadoop:hadoop-client-runtime:3.3.6",
    "org.antlr:antlr-runtime:3.5.2",
    "org.slf4j:slf4j-api:1.7.36",
    "commons-lang:commons-lang:2.6",
    "commons-logging:commons-logging:1.2",
)
_PROGRAM = Path(__file__).parent / "java/ParseDdl.java"
_REFUSED = 3


class Refused(Exception):
    """What Hive's parser says of a statement that it doesn't take."""


def installed() -> list[Path]:
    """The jars under the cache; fetched and checked the first time."""
    folder = CACHE / "hive-2.3.9"
    CACHE.mkdir(exist_ok=True)
    with FileLock(CACHE / "hive.lock"):
        if not folder.exists():
            repository, beside = CACHE / "maven-hive", folder.with_suffix(".part")
            shutil.rmtree(beside, ignore_errors=True)
            beside.mkdir()
            for artefact in _ARTEFACTS:
                shutil.copy(fetched(repository, artefact), beside)
            beside.replace(folder)
            shutil.rmtree(repository)
    return sorted(folder.glob("*.jar"))


def tree(sql: str) -> str:
    """The tree that the parser makes of one statement, as nested lists in brackets.

    Raises:
        Refused: the statement is not in Hive's grammar.
        NoJava: Java or Maven is missing.
    """
    command = [str(java() / "bin/java"), "-cp", os.pathsep.join(map(str, installed())), str(_PROGRAM)]
    done = subprocess.run(command, input=sql, capture_output=True, text=True, check=False, timeout=120)
    if done.returncode == _REFUSED:
        raise Refused(done.stderr.strip().splitlines()[-1])
    if done.returncode:
        raise RuntimeError(done.stderr)
    return done.stdout
