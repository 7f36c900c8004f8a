"""The Helm chart: linted, rendered, valid for Kubernetes, and of the same commands and settings as everything else."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import kubernetes_validate  # type: ignore[import-untyped]
import pytest
import yaml

from schemas.settings import Settings
from schemas.topics import topic_table
from streams.workers import accounts, meter
from tests.certificates import Authority
from tests.deploy.charted import CHART, GIVEN, Manifest, helm, merged, of_kind, pods, rendered, run
from tests.deploy.composed import ROOT, ours
from tests.deploy.observed import DEPLOY, queries

STATEFUL = {"meter", "accounts"}
LONG_RUNNING = {*STATEFUL, "loader", "clock", "mailer", "ingest", "accounts-api", "page"}
NOT_KUBERNETES = {"ScaledObject", "ServiceMonitor", "TriggerAuthentication"}
"""Kinds that operators bring: Kubernetes' own schemas do not know them."""
EVERYTHING: Mapping[str, Any] = {
    "image": {"tag": "1.2.3", "pullSecrets": [{"name": "registry"}]},
    "workers": {"meter": {"autoscaling": {"kind": "keda"}}, "accounts": {"autoscaling": {"kind": "hpa"}}},
    "networkPolicy": {"enabled": True, "metricsFrom": [{"namespaceSelector": {"matchLabels": {"name": "monitoring"}}}]},
    "serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
    "podAnnotations": {"team": "billing"},
    "nodeSelector": {"disk": "ssd"},
    "tolerations": [{"key": "billing", "operator": "Exists"}],
    "affinity": {"nodeAffinity": {}},
}
SECURED: Mapping[str, Any] = {
    "kafka": {
        "security": {
            "protocol": "SASL_SSL",
            "sasl": {"mechanism": "SCRAM-SHA-512", "username": "billing", "secret": "kafka-user"},
            "tls": {"caSecret": "kafka-authority", "clientSecret": "kafka-certificate"},
        }
    },
    "workers": {"meter": {"autoscaling": {"kind": "keda"}}},
}
SET_BY_THE_CHART = {
    "KAFKA_BOOTSTRAP_SERVERS", "CLICKHOUSE_URL", "KAFKA_SECURITY_PROTOCOL", "KAFKA_SASL_MECHANISM",
    "KAFKA_SASL_USERNAME", "KAFKA_SASL_PASSWORD_FILE", "KAFKA_SSL_CA_FILE", "KAFKA_SSL_CERTIFICATE_FILE",
    "KAFKA_SSL_KEY_FILE", "KAFKA_SSL_CHECK_HOSTNAME", "QUARTERHOUR_BIND_ADDRESS", "QUARTERHOUR_METRICS_PORT",
    "QUARTERHOUR_GROUP_INSTANCE_ID", "QUARTERHOUR_SESSION_TIMEOUT_SECONDS", "QUARTERHOUR_SIGNING_KEY",
    "QUARTERHOUR_SMTP_URL", "QUARTERHOUR_ACCOUNTS_URL",
}  # fmt: skip
NOT_FOR_A_CLUSTER = {
    "KAFKA_SASL_PASSWORD",  # it comes in a file
    "QUARTERHOUR_HOME", "QUARTERHOUR_TOKEN", "QUARTERHOUR_THROWAWAY", "QUARTERHOUR_FAIL_POINT",
    "QUARTERHOUR_MAILBOX_URL",  # the local stack's catcher
    *(f"QUARTERHOUR_{part}_PORT" for part in ("KAFKA", "CLICKHOUSE", "PAGE", "ACCOUNTS", "INGEST", "MAIL")),
}  # fmt: skip

VARIABLES = {
    field.validation_alias if isinstance(field.validation_alias, str) else f"QUARTERHOUR_{name.upper()}"
    for name, field in Settings.model_fields.items()
}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    """A file for each setting of Kafka's that names one, as the Secrets would hold it."""
    folder = tmp_path_factory.mktemp("mounted")
    authority = Authority(folder, "authority")
    client = authority.sign("client", "DNS:client")
    (folder / "password").write_text("secret")
    made = {
        "KAFKA_SASL_PASSWORD_FILE": folder / "password", "KAFKA_SSL_CA_FILE": authority.certificate,
        "KAFKA_SSL_CERTIFICATE_FILE": client.certificate, "KAFKA_SSL_KEY_FILE": client.key,
    }  # fmt: skip
    return lambda variable: str(made[variable])


@pytest.fixture(scope="module")
def manifests() -> list[Manifest]:
    return rendered()


@pytest.fixture(scope="module")
def everything() -> list[Manifest]:
    return rendered(EVERYTHING)


def variables(pod: Manifest, manifests: list[Manifest]) -> dict[str, str]:
    """The environment of a pod's only container; what Kubernetes fills in is empty."""
    found: dict[str, str] = {}
    (container,) = pod["containers"]
    named = {(each["kind"], each["metadata"]["name"]): each for each in manifests if each["kind"] in _CONTENT}
    for source in container.get("envFrom", []):
        for kind, key in (("ConfigMap", "configMapRef"), ("Secret", "secretRef")):
            if key in source:
                found |= named[kind, source[key]["name"]][_CONTENT[kind]]
    return found | {each["name"]: each.get("value", "") for each in container.get("env", [])}


_CONTENT = {"ConfigMap": "data", "Secret": "stringData"}


def test_helm_finds_nothing_to_mend() -> None:
    done = run("lint", "--strict", str(CHART), values=GIVEN)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def secured() -> list[Manifest]:
    return rendered(SECURED)


@pytest.mark.parametrize("values", [{}, EVERYTHING, SECURED], ids=["as-it-comes", "everything", "secured"])
def test_each_manifest_is_one_of_kubernetes_with_no_field_too_many(values: Mapping[str, Any]) -> None:
    checked = 0
    for manifest in rendered(values):
        if manifest["kind"] not in NOT_KUBERNETES:
            kubernetes_validate.validate(manifest, "1.33", strict=True)
            checked += 1
    assert checked > 30


def test_no_two_manifests_have_a_name_in_common(everything: list[Manifest]) -> None:
    names = [(each["kind"], each["metadata"]["name"]) for each in everything]
    assert len(set(names)) == len(names)


def test_each_part_runs_the_composed_command(manifests: list[Manifest]) -> None:
    composed = {name: service["command"] for name, service in ours().items()}
    found = {**of_kind(manifests, "StatefulSet"), **of_kind(manifests, "Deployment")}
    assert set(found) == LONG_RUNNING
    assert set(of_kind(manifests, "StatefulSet")) == STATEFUL
    for part, manifest in found.items():
        (container,) = manifest["spec"]["template"]["spec"]["containers"]
        assert container["command"] == composed[part], part
    (reconcile,) = pods(list(of_kind(manifests, "CronJob").values())).values()
    without_every = [*composed["reconcile"][:2], *composed["reconcile"][4:]]
    assert reconcile["containers"][0]["command"] == without_every
    (prepare,) = pods(list(of_kind(manifests, "Job").values())).values()
    assert prepare["containers"][0]["command"] == composed["prepare"]


def test_each_variable_is_a_setting_with_a_value_that_the_code_takes(
    secured: list[Manifest], monkeypatch: pytest.MonkeyPatch, files: Callable[[str], str]
) -> None:
    seen: set[str] = set()
    for name, pod in pods(secured).items():
        if name.endswith("-test"):
            continue
        given = variables(pod, secured)
        assert set(given) <= VARIABLES, name
        mounted = [mount["mountPath"] for mount in pod["containers"][0]["volumeMounts"]]
        for variable in (each for each in given if each.startswith("KAFKA_") and each.endswith("_FILE")):
            assert given[variable].rsplit("/", 1)[0] in mounted, (name, variable)
            given[variable] = files(variable)
        seen |= set(given)
        with monkeypatch.context() as patch:
            for variable, value in given.items():
                patch.setenv(variable, value)
            settings = Settings()
        assert settings.kafka.bootstrap == "kafka:9092", name
        assert (settings.kafka.security_protocol, settings.kafka.sasl_password) == ("SASL_SSL", "secret"), name
        assert settings.clickhouse_url.startswith("http://quarterhour:secret@"), name
        assert settings.bind_address == "0.0.0.0", name
    assert seen >= SET_BY_THE_CHART


def test_each_setting_of_the_code_can_be_given_is_set_by_the_chart_or_is_none_for_a_cluster() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
    offered = set(schema["properties"]["settings"]["properties"])
    assert offered | SET_BY_THE_CHART | NOT_FOR_A_CLUSTER == VARIABLES
    assert len(offered) + len(SET_BY_THE_CHART) + len(NOT_FOR_A_CLUSTER) == len(VARIABLES)
    values = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
    assert set(values["settings"]) <= offered


def test_workers_are_the_same_members_of_their_groups_whenever_they_come_back(manifests: list[Manifest]) -> None:
    for part, manifest in of_kind(manifests, "StatefulSet").items():
        pod = manifest["spec"]["template"]["spec"]
        env = {each["name"]: each for each in pod["containers"][0]["env"]}
        assert env["QUARTERHOUR_GROUP_INSTANCE_ID"]["valueFrom"]["fieldRef"]["fieldPath"] == "metadata.name", part
        session = int(env["QUARTERHOUR_SESSION_TIMEOUT_SECONDS"]["value"])
        assert session > pod["terminationGracePeriodSeconds"], "else partitions move at each upgrade"


def test_health_restarts_and_readiness_holds_requests_back(manifests: list[Manifest]) -> None:
    for part, manifest in {**of_kind(manifests, "StatefulSet"), **of_kind(manifests, "Deployment")}.items():
        (container,) = manifest["spec"]["template"]["spec"]["containers"]
        probes = {kind: container[f"{kind}Probe"]["httpGet"] for kind in ("startup", "liveness", "readiness")}
        assert {kind: probe["path"] for kind, probe in probes.items()} == {
            "startup": "/health", "liveness": "/health", "readiness": "/ready",
        }, part  # fmt: skip
        assert {probe["port"] for probe in probes.values()} == {"http"}
        (port,) = container["ports"]
        arguments = container["command"]
        assert str(port["containerPort"]) == (arguments[-1] if "--port" in arguments else "9100"), part


def test_nobody_is_root_writes_outside_tmp_or_gets_settings_from_service_links(everything: list[Manifest]) -> None:
    found = pods(everything)
    assert len(found) == len(LONG_RUNNING) + 3
    for name, pod in found.items():
        assert pod["securityContext"]["runAsNonRoot"] is True, name
        assert pod["securityContext"]["runAsUser"] > 0, name
        assert pod["automountServiceAccountToken"] is False, name
        # The Service billing-quarterhour-page would else set ..._PAGE_PORT to tcp://..., which is no port.
        assert pod["enableServiceLinks"] is False, name
        for container in pod["containers"]:
            security = container["securityContext"]
            assert (security["readOnlyRootFilesystem"], security["allowPrivilegeEscalation"]) == (True, False), name
            assert security["capabilities"] == {"drop": ["ALL"]}, name
            assert {"requests", "limits"} <= set(container["resources"]), name
            assert container["image"] == "quarterhour:1.2.3", name
            assert [mount["mountPath"] for mount in container["volumeMounts"]] == ["/tmp"], name


def test_selectors_find_the_pods_of_their_part_and_no_others(everything: list[Manifest]) -> None:
    labels = {
        part: manifest["spec"]["template"]["metadata"]["labels"]
        for part, manifest in {**of_kind(everything, "StatefulSet"), **of_kind(everything, "Deployment")}.items()
    }
    for kind, of in (("Service", ()), ("PodDisruptionBudget", ("matchLabels",)), ("NetworkPolicy", ("matchLabels",))):
        found = of_kind(everything, kind)
        assert set(found) == LONG_RUNNING, kind
        for part, manifest in found.items():
            selector = manifest["spec"]["podSelector" if kind == "NetworkPolicy" else "selector"]
            for step in of:
                selector = selector[step]
            chosen = {name for name, own in labels.items() if selector.items() <= own.items()}
            assert chosen == {part}, (kind, part)


def test_the_page_speaks_to_the_account_api_where_it_is(manifests: list[Manifest]) -> None:
    door = of_kind(manifests, "Service")["accounts-api"]
    page = of_kind(manifests, "Deployment")["page"]["spec"]["template"]["spec"]
    url = variables(page, manifests)["QUARTERHOUR_ACCOUNTS_URL"]
    assert url == f"http://{door['metadata']['name']}:{door['spec']['ports'][0]['port']}/"


def test_autoscaling_looks_at_the_lag_of_the_group_and_leaves_the_number_of_workers_alone(
    everything: list[Manifest],
) -> None:
    topics = {topic.name for topic in topic_table()}
    assert all("replicas" not in each["spec"] for each in of_kind(everything, "StatefulSet").values())
    keda = of_kind(everything, "ScaledObject")["meter"]["spec"]
    (trigger,) = keda["triggers"]
    assert trigger["metadata"]["consumerGroup"] == meter.GROUP
    assert trigger["metadata"]["topic"] in topics
    hpa = of_kind(everything, "HorizontalPodAutoscaler")["accounts"]["spec"]
    (metric,) = hpa["metrics"]
    assert metric["external"]["metric"]["selector"]["matchLabels"] == {"group": accounts.GROUP}
    assert any(metric["external"]["metric"]["name"] in query for query in queries())
    names = {part: each["metadata"]["name"] for part, each in of_kind(everything, "StatefulSet").items()}
    assert (keda["scaleTargetRef"]["name"], hpa["scaleTargetRef"]["name"]) == (names["meter"], names["accounts"])


def _secured(**security: Any) -> dict[str, Any]:
    """`SECURED`, but for what is given of `kafka.security`."""
    return merged(SECURED, {"kafka": {"security": security}})


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"kafka": {"bootstrapServers": ""}}, "set kafka.bootstrapServers"),
        ({"kafka": {"bootstrapServers": "kafka"}}, "bootstrapServers"),
        ({"secrets": {"clickhouseUrl": ""}}, "set secrets.clickhouseUrl"),
        ({"secrets": {"signingKey": "short"}}, "signingKey"),
        ({"settings": {"QUARTERHOUR_LOG_FROMAT": "json"}}, "QUARTERHOUR_LOG_FROMAT"),
        ({"settings": {"QUARTERHOUR_BATCH_RECORDS": 20000}}, "QUARTERHOUR_BATCH_RECORDS"),
        ({"workers": {"meter": {"autoscaling": {"kind": "keda", "maxReplicas": 5}}}}, "4 partitions"),
        ({"workers": {"meter": {"autoscaling": {"kind": "hpa", "minReplicas": 5}}}}, "minReplicas is above"),
        ({"workers": {"mailer": {}}}, "mailer"),
        ({"kafka": {"security": {"protocol": "TLS"}}}, "protocol"),
        ({"kafka": {"security": {"protocol": "SASL_SSL"}}}, "set kafka.security.sasl.mechanism"),
        (_secured(sasl={"username": ""}), "set kafka.security.sasl.username"),
        (_secured(sasl={"secret": ""}), "set kafka.security.sasl.secret"),
        (_secured(protocol="SSL"), "signs nobody in"),
        (_secured(protocol="SASL_PLAINTEXT"), "not encrypted"),
        (_secured(tls={"checkHostname": False}), "KEDA always checks"),
    ],
)
def test_values_that_cannot_work_are_refused_with_their_name(values: Mapping[str, Any], words: str) -> None:
    with pytest.raises(AssertionError, match=words):
        rendered(values)


def test_secrets_of_kafka_are_mounted_readable_by_us_and_never_in_a_manifest(secured: list[Manifest]) -> None:
    expected = {"kafka-password": "kafka-user", "kafka-ca": "kafka-authority", "kafka-client": "kafka-certificate"}
    for name, pod in pods(secured).items():
        volumes = {volume["name"]: volume.get("secret") for volume in pod["volumes"]}
        assert {mount: secret["secretName"] for mount, secret in volumes.items() if secret} == expected, name
        assert {secret["defaultMode"] for secret in volumes.values() if secret} == {0o440}, name
        for container in pod["containers"]:
            mounts = {mount["name"]: mount for mount in container["volumeMounts"] if mount["name"] != "tmp"}
            assert {mount: each["mountPath"] for mount, each in mounts.items()} == {
                mount: f"/etc/quarterhour/{mount}" for mount in expected
            }, name
            assert all(each["readOnly"] for each in mounts.values()), name


def test_keda_asks_kafka_for_the_lag_as_we_do(secured: list[Manifest], everything: list[Manifest]) -> None:
    (authentication,) = (each for each in secured if each["kind"] == "TriggerAuthentication")
    refs = {each["parameter"]: (each["name"], each["key"]) for each in authentication["spec"]["secretTargetRef"]}
    (words,) = (each for each in secured if each["metadata"]["name"] == refs["sasl"][0] and each["kind"] == "Secret")
    assert words["stringData"] == {"tls": "enable", "sasl": "scram_sha512", "username": "billing"}
    assert {name: ref for name, ref in refs.items() if ref[0] != words["metadata"]["name"]} == {
        "password": ("kafka-user", "password"), "ca": ("kafka-authority", "ca.crt"),
        "cert": ("kafka-certificate", "tls.crt"), "key": ("kafka-certificate", "tls.key"),
    }  # fmt: skip
    (trigger,) = of_kind(secured, "ScaledObject")["meter"]["spec"]["triggers"]
    assert trigger["authenticationRef"] == {"name": authentication["metadata"]["name"]}
    (plain,) = of_kind(everything, "ScaledObject")["meter"]["spec"]["triggers"]
    assert "authenticationRef" not in plain
    assert [each for each in everything if each["kind"] == "TriggerAuthentication"] == []


def test_a_secret_of_ones_own_is_used_and_none_is_made() -> None:
    found = rendered({"secrets": {"existing": "mine", "clickhouseUrl": "", "signingKey": "", "smtpUrl": ""}})
    assert not [each for each in found if each["kind"] == "Secret"]
    for name, pod in pods(found).items():
        for container in pod["containers"]:
            refs = [source["secretRef"]["name"] for source in container.get("envFrom", []) if "secretRef" in source]
            assert refs == ([] if name.endswith("-test") else ["mine"]), name


def test_the_commands_of_the_readme_render(tmp_path: Path) -> None:
    """As they stand, but that nothing is installed."""
    (tmp_path / "helm").symlink_to(helm())
    blocks = re.findall(r"```sh\n(.*?)```", (DEPLOY / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) >= 2
    for block in blocks:
        assert "helm upgrade --install" in block
        done = subprocess.run(
            ["bash", "-euc", block.replace("helm upgrade --install", "helm template")], cwd=ROOT,
            env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}, capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert "kind: StatefulSet" in done.stdout
