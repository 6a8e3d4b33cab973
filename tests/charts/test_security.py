"""What pods of ours may do, who may reach them, and which rights there are."""

from __future__ import annotations

import pytest

from charts.images.recipe import ROOT
from tests.charts.rendered import (
    EVERYTHING,
    LEAST,
    SETS,
    TARGET,
    changed,
    containers,
    environment,
    of,
    pods,
    render,
)
from tests.docs.commands import table

VOLUMES = {"configMap", "emptyDir", "persistentVolumeClaim", "secret", "projected", "ephemeral"}


def restricted(spec: dict[str, object]) -> list[str]:
    """What of the restricted Pod Security Standard a pod does not meet."""
    wrong = [name for name in ("hostNetwork", "hostPID", "hostIPC") if spec.get(name)]
    wrong += [str(one) for one in spec.get("volumes", []) if not VOLUMES & one.keys()]
    pod = spec.get("securityContext", {})
    for container in containers(spec):
        own = container.get("securityContext", {})
        if own.get("privileged") or own.get("allowPrivilegeEscalation") is not False:
            wrong.append("privileges")
        if own.get("capabilities", {}).get("drop") != ["ALL"] or own["capabilities"].get("add"):
            wrong.append("capabilities")
        if not own.get("runAsNonRoot", pod.get("runAsNonRoot")) or own.get("runAsUser") == 0:
            wrong.append("root")
        if own.get("seccompProfile", pod.get("seccompProfile")) != {"type": "RuntimeDefault"}:
            wrong.append("seccomp")
        if any(port.get("hostPort") for port in container.get("ports", [])):
            wrong.append("ports")
    return wrong + (["user 0"] if pod.get("runAsUser") == 0 else [])


@pytest.mark.parametrize("name", SETS)
def test_every_pod_meets_the_restricted_standard(name):
    assert {
        where: wrong for where, spec in pods(render(SETS[name])) if (wrong := restricted(spec))
    } == {}


@pytest.mark.parametrize("name", SETS)
def test_no_pod_can_write_to_its_own_image(name):
    for _, spec in pods(render(SETS[name])):
        for container in containers(spec):
            assert container["securityContext"]["readOnlyRootFilesystem"]
            assert "/tmp" in [mount["mountPath"] for mount in container["volumeMounts"]]


def test_only_schedulers_of_this_cluster_have_a_token():
    objects = render(EVERYTHING)
    having = [where for where, spec in pods(objects) if spec["automountServiceAccountToken"]]
    assert having == ["slipway-scheduler-here"]
    accounts = of(objects, "ServiceAccount")
    assert all(account["automountServiceAccountToken"] is False for account in accounts)
    bound = {
        subject["name"]
        for kind in ("RoleBinding", "ClusterRoleBinding")
        for binding in of(objects, kind)
        for subject in binding["subjects"]
    }
    assert bound == {"slipway-scheduler"}


def test_the_rights_are_those_that_the_documentation_lists():
    page = (ROOT / "docs" / "operating.md").read_text()
    told = {
        (where, resource.strip("`"), frozenset(verbs.split(", ")))
        for where, resources, verbs, _ in table(page, "where", "what", "rights", "what for")
        for resource in resources.split(", ")
    }
    objects = render(LEAST)
    real = {
        (where, f"{group}/{resource}".lstrip("/"), frozenset(rule["verbs"]))
        for kind, where in (("Role", "workload namespace"), ("ClusterRole", "cluster"))
        for role in of(objects, kind)
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
    }
    assert told == real
    assert not any("*" in str(row) for row in real)


def test_a_target_elsewhere_needs_the_same_rights():
    def rules(values: dict[str, object]) -> list[object]:
        objects = render(values)
        return [role["rules"] for kind in ("Role", "ClusterRole") for role in of(objects, kind)]

    assert rules(TARGET) == rules(LEAST)


def test_workloads_are_in_a_namespace_that_admits_restricted_pods_alone():
    [same] = of(render(changed(LEAST, "targets", [{"name": "a", "namespace": "b"}])), "Namespace")
    assert same["metadata"]["name"] == "b"
    [namespace] = of(render(LEAST), "Namespace")
    labels = namespace["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    assert namespace["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}


def test_nothing_reaches_or_is_reached_among_workloads_but_by_policies_of_projects():
    [policy] = [
        one
        for one in of(render(LEAST), "NetworkPolicy")
        if one["metadata"]["namespace"] == "slipway-workloads"
    ]
    assert policy["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


def test_the_policies_of_projects_know_our_routers_and_schedulers():
    objects = render(LEAST)
    [scheduler] = of(objects, "Deployment", "slipway-scheduler-kubernetes")
    told = environment(scheduler["spec"]["template"]["spec"]["containers"][0])
    pairs = dict(pair.split("=") for pair in told["ROUTER_LABELS"].split(","))
    [router] = of(objects, "Deployment", "slipway-router")
    assert pairs == router["spec"]["selector"]["matchLabels"]
    ours = dict(pair.split("=") for pair in told["SCHEDULER_LABELS"].split(","))
    selector = scheduler["spec"]["selector"]["matchLabels"]
    assert ours.items() <= selector.items()
    assert ours["app.kubernetes.io/component"] == "scheduler"
    assert told["ROUTER_NAMESPACE"] == "kubernetes.io/metadata.name=platform"


def test_every_pod_of_the_release_is_denied_what_no_rule_allows():
    policies = {one["metadata"]["name"]: one["spec"] for one in of(render(LEAST), "NetworkPolicy")}
    deny = policies["slipway-deny"]
    assert "ingress" not in deny
    for component, port in {"postgresql": 5432, "rabbitmq": 5672}.items():
        spec = policies[f"slipway-{component}"]
        [rule] = spec["ingress"]
        assert rule["ports"] == [{"protocol": "TCP", "port": port}]
        [peer] = rule["from"]
        [only] = peer["podSelector"]["matchExpressions"]
        assert set(only["values"]) == {"api", "builder", "scheduler", "router", "migrations"}
        assert "egress" not in spec
        assert "Egress" in spec["policyTypes"]
    assert {"slipway-builder", "slipway-scheduler"}.isdisjoint(policies)


def test_every_service_has_a_budget_for_disruptions_and_is_spread():
    objects = render(LEAST)
    budgets = [one["spec"]["selector"]["matchLabels"] for one in of(objects, "PodDisruptionBudget")]
    for deployment in of(objects, "Deployment"):
        spec = deployment["spec"]
        assert spec["selector"]["matchLabels"] in budgets
        for rule in spec["template"]["spec"]["topologySpreadConstraints"]:
            assert rule["labelSelector"]["matchLabels"] == spec["selector"]["matchLabels"]
