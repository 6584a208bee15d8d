"""Fetches files from Maven Central, each checked against its published checksum."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from pathlib import Path

CACHE = Path(__file__).parent.parent / ".cache"


class NoJava(Exception):
    """What has to be installed before a program in Java can run here, in one line."""


def fetched(repository: Path, artefact: str, ending: str = "jar") -> Path:
    """The file of an artefact, such as ``io.trino:trino-hive:476``, under a local repository.

    Raises:
        NoJava: Maven is missing, or the file is not what was published.
    """
    maven = shutil.which("mvn")
    if maven is None:
        raise NoJava(f"{artefact} comes from Maven Central: install Maven (apt-get install maven)")
    command = [
        maven,
        "-q",
        "-B",
        "-C",
        "-Dstyle.color=never",
        f"-Dmaven.repo.local={repository}",
        "dependency:get",
        "-Dtransitive=false",
    ]
    subprocess.run([*command, f"-Dartifact={artefact}:{ending}"], check=True)
    group, name, version = artefact.split(":")
    file = repository / group.replace(".", "/") / name / version / f"{name}-{version}.{ending}"
    published = file.with_name(file.name + ".sha1").read_text().split()[0]
    with file.open("rb") as content:
        if hashlib.file_digest(content, "sha1").hexdigest() != published:
            raise NoJava(f"{file} does not have its published checksum: remove {CACHE} and try again")
    return file
