"""The image: a clean Dockerfile, locked packages of the same versions as in the tests, and nobody is root."""

from __future__ import annotations

import re
import subprocess

from tests.deploy.composed import ROOT, tool

DOCKERFILE = ROOT / "scripts" / "deploy" / "Dockerfile"
RUNTIME_LOCK = ROOT / "scripts" / "deploy" / "runtime.lock"


def test_the_linter_finds_nothing() -> None:
    arguments = [tool("hadolint"), "--failure-threshold", "info", str(DOCKERFILE)]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout


def test_what_is_copied_is_there() -> None:
    lines = re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE.read_text(encoding="utf-8"), re.MULTILINE)
    sources = [source for line in lines for source in line.split()]
    assert len(sources) >= 6
    assert [source for source in sources if not (ROOT / source).exists()] == []


def test_all_our_packages_are_copied() -> None:
    text = DOCKERFILE.read_text(encoding="utf-8")
    for package in ("schemas", "streams", "projections", "scripts"):
        assert f"COPY {package} {package}\n" in text


def test_the_last_stage_runs_as_a_numbered_user() -> None:
    last = DOCKERFILE.read_text(encoding="utf-8").split("\nFROM ")[-1]
    assert re.search(r"^USER [1-9]\d*:[1-9]\d*$", last, re.MULTILINE)


def test_the_image_has_the_tested_versions_and_no_test_tools() -> None:
    tested, shipped = _versions("requirements.lock"), _versions("scripts/deploy/runtime.lock")
    assert shipped <= tested
    names = {line.split("==")[0] for line in shipped}
    assert {"faust-streaming", "aiokafka", "clickhouse-connect", "setuptools"} <= names
    assert not names & {"pytest", "mypy", "ruff", "playwright", "hypothesis"}


def _versions(path: str) -> set[str]:
    text = (ROOT / path).read_text(encoding="utf-8")
    return {f"{name}=={version}" for name, version in re.findall(r"^([A-Za-z0-9._-]+)==([^\s;]+)", text, re.MULTILINE)}
