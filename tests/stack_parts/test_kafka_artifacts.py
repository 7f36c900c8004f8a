"""What is said when Java, Maven or the jars cannot be had."""

import os
from pathlib import Path

import pytest

from scripts.stack.cache import cache_directory
from scripts.stack.kafka_artifacts import (
    KAFKA_VERSION,
    LIBRARY_DIGEST,
    ArtifactsUnreachable,
    JavaMissing,
    KafkaArtifacts,
    MavenMissing,
    digest_of,
    kafka_artifacts,
)


def program(folder: Path, name: str, script: str) -> None:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


@pytest.fixture
def surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """A machine with a Java 17 and nothing else."""
    program(tmp_path / "bin", "java", """echo 'openjdk version "17.0.1" 2021' >&2""")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}")
    return {"PATH": str(tmp_path / "bin"), "QUARTERHOUR_CACHE": str(tmp_path / "cache")}


def test_missing_java_is_named(surroundings: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "bin" / "java").unlink()
    with pytest.raises(JavaMissing, match="install a Java runtime of version 17 or later"):
        kafka_artifacts(print, surroundings)


@pytest.mark.parametrize("version", ["1.8.0_392", "11.0.2"])
def test_java_that_is_too_old_is_named(surroundings: dict[str, str], tmp_path: Path, version: str) -> None:
    program(tmp_path / "bin", "java", f"""echo 'openjdk version "{version}"' >&2""")
    with pytest.raises(JavaMissing, match=f'too old .*"{version}"'):
        kafka_artifacts(print, surroundings)


def test_missing_maven_is_named(surroundings: dict[str, str]) -> None:
    with pytest.raises(MavenMissing, match="install Maven"):
        kafka_artifacts(lambda _: None, surroundings)


def test_failing_maven_is_quoted_and_leaves_nothing_half_made(surroundings: dict[str, str], tmp_path: Path) -> None:
    program(tmp_path / "bin", "mvn", "echo '[ERROR] no route'; exit 1")
    with pytest.raises(ArtifactsUnreachable, match="no route"):
        kafka_artifacts(lambda _: None, surroundings)
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["kafka.lock"]


def test_other_jars_than_the_pinned_ones_are_refused(surroundings: dict[str, str], tmp_path: Path) -> None:
    script = (
        'for a in "$@"; do case $a in -DoutputDirectory=*) d=${a#*=};; esac; done; /bin/mkdir $d; echo x > $d/a.jar'
    )
    program(tmp_path / "bin", "mvn", script)
    with pytest.raises(ArtifactsUnreachable, match="not the expected ones"):
        kafka_artifacts(lambda _: None, surroundings)
    assert not (tmp_path / "cache" / f"kafka-{KAFKA_VERSION}").exists()


def test_jars_in_the_cache_need_no_maven(surroundings: dict[str, str], tmp_path: Path) -> None:
    library = tmp_path / "cache" / f"kafka-{KAFKA_VERSION}"
    library.mkdir(parents=True)
    for name in ("b.jar", "a.jar"):
        (library / name).touch()
    found = kafka_artifacts(print, surroundings)
    assert found.classpath == os.pathsep.join([f"{library}/a.jar", f"{library}/b.jar"])


@pytest.mark.stack
def test_cached_jars_are_the_pinned_ones(artifacts: KafkaArtifacts) -> None:
    assert digest_of(artifacts.library) == LIBRARY_DIGEST


def test_cache_lies_where_the_environment_says(tmp_path: Path) -> None:
    assert cache_directory({"QUARTERHOUR_CACHE": str(tmp_path)}) == tmp_path
    assert cache_directory({"XDG_CACHE_HOME": str(tmp_path)}) == tmp_path / "quarterhour"
    assert cache_directory({}) == Path.home() / ".cache" / "quarterhour"
