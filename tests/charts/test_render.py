"""What the chart makes of its values, for the oldest and a current Kubernetes."""

from __future__ import annotations

import shutil

import helm_python
import kubernetes_validate
import pytest

from charts.images import recipe
from tests.charts.rendered import (
    CHART,
    DIGEST,
    DIGESTS,
    EVERYTHING,
    EXTERNAL,
    KUBERNETES,
    LEAST,
    NAMESPACE,
    SETS,
    TARGET,
    changed,
    containers,
    environment,
    of,
    pods,
    render,
)

FOREIGN = {"PodMonitor", "ServiceMonitor", "HTTPRoute", "GRPCRoute"}
"""Kinds that others define, of which there are no schemas at hand."""

SCHEMAS = ("1.25", "1.30", "1.37")


@pytest.mark.parametrize("schema", SCHEMAS)
@pytest.mark.parametrize("name", SETS)
def test_every_object_is_valid(name, schema):
    for one in render(SETS[name], f"v{schema}.0"):
        if one["kind"] not in FOREIGN:
            kubernetes_validate.validate(one, schema, strict=True)


@pytest.mark.parametrize("version", KUBERNETES)
@pytest.mark.parametrize("name", SETS)
def test_no_object_is_there_twice_and_each_says_where_it_is(name, version):
    objects = render(SETS[name], version)
    keys = [
        (one["kind"], one["metadata"].get("namespace"), one["metadata"]["name"]) for one in objects
    ]
    assert len(keys) == len(set(keys))
    everywhere = {"Namespace", "ClusterRole", "ClusterRoleBinding"}
    assert all(where or kind in everywhere for kind, where, _ in keys)
    assert all(len(name) <= 63 for _, _, name in keys)


def versions(version: str, *kinds: str) -> set[str]:
    objects = render(EVERYTHING, version)
    return {one["apiVersion"] for kind in kinds for one in of(objects, kind)}


def test_an_old_cluster_gets_the_versions_that_it_knows():
    assert versions("v1.20.2", "PodDisruptionBudget") == {"policy/v1beta1"}
    assert versions("v1.20.2", "HorizontalPodAutoscaler") == {"autoscaling/v1"}
    assert versions("v1.22.0", "PodDisruptionBudget") == {"policy/v1"}
    assert versions("v1.33.0", "HorizontalPodAutoscaler") == {"autoscaling/v2"}
    assert versions("v1.33.1-eks-123", "HorizontalPodAutoscaler") == {"autoscaling/v2"}


@pytest.mark.parametrize("name", SETS)
def test_helm_has_nothing_against_it(name):
    report = helm_python.lint(CHART, SETS[name], kube_version="v1.33.0")
    assert report["errors"] == []
    # that there is no icon is the one thing it says
    assert [one for one in report["messages"] if one["path"] != "Chart.yaml"] == []


@pytest.mark.parametrize("name", SETS)
def test_every_pod_has_limits_and_probes_and_an_image_of_a_known_version(name):
    for where, spec in pods(render(SETS[name])):
        for container in containers(spec):
            assert "memory" in container["resources"]["limits"], where
            reference = container["image"]
            assert "@sha256:" in reference or reference.rpartition("/")[2].partition(":")[2]
            assert not reference.endswith(":latest")
        if "migrate" not in where:
            [main] = spec["containers"]
            assert {"startupProbe", "livenessProbe", "readinessProbe"} <= main.keys()


def test_images_are_those_of_the_digests_that_were_given():
    objects = render(DIGESTS)
    found = {container["image"] for _, spec in pods(objects) for container in containers(spec)}
    assert all(reference.endswith(f"@{DIGEST}") for reference in found)
    [scheduler] = of(objects, "Deployment", "slipway-scheduler-kubernetes")
    told = environment(scheduler["spec"]["template"]["spec"]["containers"][0])
    assert told["DOORMAN_IMAGE"] == f"registry.example/slipway/slipway-doorman@{DIGEST}"


def test_each_service_has_what_it_has_to_be_told():
    objects = render(EVERYTHING)

    def told(name: str) -> dict[str, object]:
        [found] = of(objects, "Deployment", name)
        return environment(found["spec"]["template"]["spec"]["containers"][0])

    assert told("slipway-api")["TARGETS"] == "here,there"
    assert told("slipway-api")["STREAMS"] == "500"
    assert told("slipway-api")["ROUTER_URL"] == "https://run.example"
    assert told("slipway-router")["ROUTER_DOMAIN"] == "run.example"
    here, there = told("slipway-scheduler-here"), told("slipway-scheduler-there")
    assert (here["TARGET"], there["TARGET"]) == ("here", "there")
    assert "KUBECONFIG" not in here
    assert (there["KUBECONFIG"], there["KUBE_CONTEXT"]) == (
        "/etc/slipway/cluster/kubeconfig",
        "east",
    )
    assert here["KUBERNETES_NAMESPACE"] == "workloads"
    builder = told("slipway-builder")
    assert builder["BASE_IMAGES"] == '{"DEEPLEARNING_PY310":"python:3.10"}'
    assert builder["BUILD_ENGINE"] == "none"
    for name in ("api", "router", "builder", "scheduler-here"):
        settings = told(f"slipway-{name}")
        assert settings["LOG_LEVEL"] == "DEBUG"
        assert settings["HOST"] == "0.0.0.0"
        assert settings["DATABASE_URL"]["secretKeyRef"]["name"] == "database"
        assert settings["AMQP_URL"]["secretKeyRef"]["name"] == "slipway"
        assert float(settings["LINGER"]) < float(settings["GRACE"])


def test_the_router_is_reached_over_grpc_wherever_it_says_that_it_listens():
    objects = render(EVERYTHING)
    [deployment] = of(objects, "Deployment", "slipway-router")
    [router] = deployment["spec"]["template"]["spec"]["containers"]
    port = int(environment(router)["ROUTER_GRPC_PORT"])
    assert {"name": "grpc", "containerPort": port, "protocol": "TCP"} in router["ports"]
    [service] = of(objects, "Service", "slipway-router")
    [door] = [one for one in service["spec"]["ports"] if one["name"] == "grpc"]
    assert (door["port"], door["targetPort"]) == (port, "grpc")
    [policy] = of(objects, "NetworkPolicy", "slipway-router")
    [rule] = policy["spec"]["ingress"]
    assert {"protocol": "TCP", "port": port} in rule["ports"]
    [route] = of(objects, "GRPCRoute")
    assert route["spec"]["hostnames"] == ["grpc.example"]
    assert route["spec"]["rules"] == [{"backendRefs": [{"name": "slipway-router", "port": port}]}]
    assert not of(render(LEAST), "GRPCRoute")


def test_a_router_has_memory_for_the_bodies_that_it_takes():
    [deployment] = of(render(LEAST), "Deployment", "slipway-router")
    [router] = deployment["spec"]["template"]["spec"]["containers"]
    told = environment(router)
    assert router["resources"]["limits"]["memory"] == "2Gi"
    assert int(told["GATEWAY_BODIES"]) * 6 <= 2 << 30
    for name in ("GATEWAY_BODY", "GATEWAY_MESSAGE", "GATEWAY_ANSWER"):
        assert int(told[name]) <= int(told["GATEWAY_BODIES"])


def test_only_routers_and_schedulers_have_the_key_of_doormen():
    having = {
        where
        for where, spec in pods(render(EVERYTHING))
        for container in containers(spec)
        if "DOORMAN_KEY" in environment(container)
    }
    assert having == {"slipway-router", "slipway-scheduler-here", "slipway-scheduler-there"}


def test_a_pod_has_longer_to_end_than_its_service_takes():
    for _, spec in pods(render(LEAST)):
        for container in spec["containers"]:
            grace = environment(container).get("GRACE", "0")
            assert spec.get("terminationGracePeriodSeconds", 30) > float(grace)


def test_what_is_external_has_nothing_bundled():
    objects = render(EXTERNAL)
    assert not of(objects, "StatefulSet")
    assert not of(objects, "PersistentVolumeClaim")
    [secret] = of(objects, "Secret")
    assert secret["stringData"] == {
        "DOORMAN_KEY": EXTERNAL["doorman"]["key"],
        "AMQP_URL": EXTERNAL["broker"]["url"],
    }


def test_whoever_uses_a_password_starts_anew_with_a_new_one():
    def marks(values):
        return {
            one["metadata"]["name"]: one["spec"]["template"]["metadata"]["annotations"]
            for one in render(values)
            if one["kind"] in ("Deployment", "StatefulSet")
        }

    def bundled(password):
        return {**LEAST, "database": {"bundled": {"image": "postgres:17", "password": password}}}

    before, after = marks(bundled("x" * 20)), marks(bundled("y" * 20))
    assert before == marks(bundled("x" * 20))
    same = {name for name in before if before[name] == after[name]}
    assert same == {"slipway-rabbitmq"}


def test_with_secrets_of_ones_own_nothing_is_made_up_at_rendering():
    own = {part: {"existingSecret": part} for part in ("database", "broker", "doorman")}
    objects = render({**LEAST, **own})
    assert not of(objects, "Secret")
    assert objects == render({**LEAST, **own})
    named = {
        entry["name"]: entry["valueFrom"]["secretKeyRef"]["name"]
        for _, spec in pods(objects)
        for container in containers(spec)
        for entry in container["env"]
        if "valueFrom" in entry
    }
    assert named == {"DATABASE_URL": "database", "AMQP_URL": "broker", "DOORMAN_KEY": "doorman"}


def test_a_database_of_ones_own_is_migrated_before_anything_is_installed():
    def hooks(values: dict[str, object]) -> str:
        [job] = of(render(values), "Job")
        return job["metadata"]["annotations"]["helm.sh/hook"]

    assert hooks(EXTERNAL) == "pre-install,pre-upgrade"
    assert hooks(LEAST) == "pre-upgrade"


def test_a_cluster_that_is_only_a_target_has_no_service_of_ours():
    objects = render(TARGET)
    assert not list(pods(objects))
    kinds = {one["kind"] for one in objects}
    assert kinds == {
        *("Namespace", "NetworkPolicy", "ServiceAccount", "Secret"),
        *("Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"),
    }


def test_the_versions_are_those_of_the_project():
    with helm_python.Chart.load(CHART) as chart:
        metadata = chart.metadata
    assert metadata["appVersion"] == metadata["version"] == recipe.version()


def test_a_new_version_of_the_chart_alone_starts_no_pod_anew(tmp_path):
    other = shutil.copytree(CHART, tmp_path / "slipway")
    text = (
        (other / "Chart.yaml")
        .read_text()
        .replace("version: 0.1.0\nappV", "version: 0.1.1\nappV", 1)
    )
    (other / "Chart.yaml").write_text(text)
    values = changed(EXTERNAL, "images.tag", "0.1.0")
    one, two = render(values), render(values, chart=other)
    assert one != two
    assert dict(pods(one)) == dict(pods(two))
    for before, after in zip(one, two, strict=True):
        assert before["metadata"]["name"] == after["metadata"]["name"]
        if before["kind"] in ("Deployment", "StatefulSet"):
            assert before["spec"] == after["spec"]


def test_everything_is_where_the_release_is_but_what_endpoints_have():
    places = {one["metadata"].get("namespace") for one in render(LEAST)}
    assert places == {None, NAMESPACE, "slipway-workloads"}
