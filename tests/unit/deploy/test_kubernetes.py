"""The manifests of Kubernetes: valid for its API, hardened, and of one mind with the settings and with each other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from tradingsignals_server.adapters.metrics.endpoint import READY_PATH
from tradingsignals_server.bootstrap.exposure import exposure, require_protection
from tradingsignals_server.config.settings import Settings

FOLDER = Path(__file__).resolve().parents[3] / "deploy" / "kubernetes"
OF_OPERATORS = {"Cluster", "Certificate", "Issuer"}
"""Kinds that are not Kubernetes' own, so that their schema is not known here."""


def documents(folder: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for file in sorted((FOLDER / folder).glob("*.yaml")):
        if file.name != "kustomization.yaml":
            for document in yaml.safe_load_all(file.read_text()):
                yield f"{file.name}-{document['kind']}-{document['metadata']['name']}", document


ALL = [*documents("base"), *documents("cloudnativepg")]
BASE = [document for _, document in documents("base")]
PODS = [document["spec"]["template"]["spec"] for document in BASE if document["kind"] == "Deployment"]
CONTAINERS = [
    pytest.param(container, id=container["name"])
    for pod in PODS
    for container in (*pod.get("initContainers", ()), *pod["containers"])
]


def of_kind(kind: str) -> list[dict[str, Any]]:
    return [document for document in BASE if document["kind"] == kind]


@pytest.mark.parametrize("document", [pytest.param(each, id=name) for name, each in ALL])
def test_manifest_is_valid_for_the_api(document: dict[str, Any]) -> None:
    if document["kind"] not in OF_OPERATORS:
        kubernetes_validate.validate(document, desired_version="1.37", strict=True)


@pytest.mark.parametrize("folder", ["base", "cloudnativepg"])
def test_kustomization_names_every_manifest(folder: str) -> None:
    named = yaml.safe_load((FOLDER / folder / "kustomization.yaml").read_text())["resources"]
    there = {file.name for file in (FOLDER / folder).glob("*.yaml")} - {"kustomization.yaml"}
    assert {name for name in named if not name.startswith("../")} == there
    assert all((FOLDER / folder / name).exists() for name in named)


@pytest.mark.parametrize("pod", PODS)
def test_pod_runs_as_no_root_and_reaches_no_api(pod: dict[str, Any]) -> None:
    security = pod["securityContext"]
    assert security["runAsNonRoot"]
    assert security["runAsUser"] > 0
    assert security["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False


@pytest.mark.parametrize("container", CONTAINERS)
def test_container_writes_to_its_volumes_only_and_gains_no_privilege(container: dict[str, Any]) -> None:
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


@pytest.mark.parametrize("container", CONTAINERS)
def test_container_is_bounded_and_of_a_named_version(container: dict[str, Any]) -> None:
    assert set(container["resources"]) == {"requests", "limits"}
    _, _, tag = container["image"].partition(":")
    assert tag
    assert tag != "latest"


@pytest.mark.parametrize("pod", PODS)
def test_running_container_has_every_probe(pod: dict[str, Any]) -> None:
    for container in pod["containers"]:
        assert {"startupProbe", "readinessProbe", "livenessProbe"} <= set(container)


def test_settings_exist() -> None:
    [settings] = of_kind("ConfigMap")
    of_containers = {
        each["name"] for pod in PODS for container in pod["containers"] for each in container.get("env", ())
    }
    assert {name.lower() for name in {*settings["data"], *of_containers}} <= set(Settings.model_fields)


def test_settings_can_be_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    [settings] = of_kind("ConfigMap")
    for name, value in settings["data"].items():
        monkeypatch.setenv(name, value)
    assert Settings.from_env().drain_seconds == float(settings["data"]["DRAIN_SECONDS"])


def environment_of(container: dict[str, Any]) -> dict[str, str]:
    """Return the values that are in the manifests; those of Secrets are not."""
    [settings] = of_kind("ConfigMap")
    values: dict[str, str] = settings["data"]
    return values | {each["name"]: each["value"] for each in container["env"] if "value" in each}


def test_server_starts_beyond_its_pod_with_protection_and_without_a_warning(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    [server] = [each for pod in PODS for each in pod["containers"] if each["name"] == "server"]
    for name, value in environment_of(server).items():
        monkeypatch.setenv(name, value)
    settings = Settings.from_env()
    assert not settings.allow_insecure
    require_protection(settings, "GRPC_HOST")
    assert exposure(settings) == ()
    assert (server["readinessProbe"]["httpGet"]["path"], settings.metrics_port) == (READY_PATH, 9464)


@pytest.mark.parametrize("component", ["server", "edge"])
def test_certificates_are_made_and_mounted_where_the_settings_say(component: str) -> None:
    certificates = {each["metadata"]["name"]: each["spec"] for each in of_kind("Certificate")}
    made = certificates[f"tradingsignals-{component}"]
    issuers = {each["metadata"]["name"]: each["spec"] for each in of_kind("Issuer")}
    authority = certificates["tradingsignals-authority"]["secretName"]
    assert issuers[made["issuerRef"]["name"]] == {"ca": {"secretName": authority}}
    assert {"server auth", "client auth"} & set(made["usages"]) == (
        {"server auth", "client auth"} if component == "server" else {"client auth"}
    )
    if component == "server":
        assert Settings().grpc_tls_name in made["dnsNames"]
    [pod] = [
        each["spec"]["template"]["spec"]
        for each in of_kind("Deployment")
        if each["metadata"]["name"] == f"tradingsignals-{component}"
    ]
    volumes = {each["name"]: each.get("secret", {}).get("secretName") for each in pod["volumes"]}
    containers = [*pod.get("initContainers", ()), *pod["containers"]]
    for container in containers:
        [mounted] = [each for each in container["volumeMounts"] if volumes[each["name"]] == made["secretName"]]
        assert mounted["readOnly"]
        if "env" in container:
            named = environment_of(container)
            assert [named[f"GRPC_TLS_{what}"] for what in ("CERT", "KEY", "CA")] == [
                f"{mounted['mountPath']}/{file}" for file in ("tls.crt", "tls.key", "ca.crt")
            ], "as cert-manager names them"


def test_policies_allow_the_ports_that_are_listened_on_and_no_others() -> None:
    listened = {port["containerPort"] for pod in PODS for each in pod["containers"] for port in each["ports"]}
    allowed = {
        port["port"]
        for policy in of_kind("NetworkPolicy")
        for rule in policy["spec"].get("ingress", ())
        for port in rule["ports"]
    }
    assert allowed == listened


def test_every_deployment_keeps_a_pod_through_a_disruption() -> None:
    deployments = {each["metadata"]["name"] for each in of_kind("Deployment")}
    assert {each["metadata"]["name"] for each in of_kind("PodDisruptionBudget")} == deployments
    assert all(each["spec"]["replicas"] > 1 for each in of_kind("Deployment"))
