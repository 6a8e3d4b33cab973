"""What network policies come to as rules."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from services.scheduler.drivers.kubernetes.manifests.settings import PRIVATE
from tests.beds.kubernetes import rules
from tests.beds.kubernetes.rules import Chains

NODE = "here"
PEER: dict[str, Any] = {"podSelector": {"matchLabels": {"app": "peer"}}}


def pod(
    name: str,
    address: str,
    *,
    space: str = "one",
    ports: Mapping[str, int] | None = None,
    **more: Any,
) -> dict[str, Any]:
    listed = [{"name": each, "containerPort": port} for each, port in (ports or {}).items()]
    return {
        "metadata": {"name": name, "namespace": space, "labels": {"app": name}},
        "spec": {"nodeName": NODE, "containers": [{"ports": listed}]} | more,
        "status": {"podIP": address, "phase": "Running"},
    }


def policy(name: str = "server", **spec: Any) -> dict[str, Any]:
    selector = {"matchLabels": {"app": name}} if name else {}
    return {
        "metadata": {"name": f"of-{name}", "namespace": "one"},
        "spec": {"podSelector": selector} | spec,
    }


SERVER = pod("server", "10.0.0.1", ports={"http": 8080})
OWN_PEER = pod("peer", "10.0.0.2", ports={"http": 9090})
FOREIGN_PEER = pod("peer", "10.0.0.3", space="two")
STRANGER = pod("stranger", "10.0.0.4", space="two")
NAMESPACES = [
    {"metadata": {"name": "one"}},
    {"metadata": {"name": "two", "labels": {"team": "two"}}},
]
PODS = (SERVER, OWN_PEER, FOREIGN_PEER, STRANGER)


def chains(*policies: dict[str, Any], pods: Sequence[dict[str, Any]] = PODS) -> Chains:
    return rules.chains(policies, rules.Cluster(pods, NAMESPACES, NODE))


def passes(found: Chains, source: str, to: str, port: int = 8080, protocol: str = "tcp") -> bool:
    """What the kernel would do with the first packet of a connection."""
    marked = False

    def run(chain: str) -> str:
        nonlocal marked
        for rule in found[chain]:
            words = rule.split()
            told = dict(zip(words[::2], words[1::2], strict=False)) if "!" not in words else {}
            if "!" in words:
                if not marked:
                    return "DROP"
                continue
            if "--ctstate" in told or not matches(told):
                continue
            match told["-j"]:
                case "RETURN":
                    return ""
                case "MARK":
                    marked = told["--set-xmark"] == rules.MARK
                case other:
                    if run(other) == "DROP":
                        return "DROP"
        return ""

    def matches(told: dict[str, str]) -> bool:
        for flag, address in (("-s", source), ("-d", to)):
            if flag in told and ipaddress.ip_address(address) not in ipaddress.ip_network(
                told[flag]
            ):
                return False
        if told.get("-p", protocol) != protocol:
            return False
        low, _, high = told.get("--dport", str(port)).partition(":")
        return int(low) <= port <= int(high or low)

    return run(rules.MAIN) != "DROP"


def test_without_a_policy_everybody_reaches_everybody() -> None:
    assert passes(chains(), "10.0.0.4", "10.0.0.1")


def test_who_is_selected_is_reached_by_nobody_but_himself_and_reaches_everybody() -> None:
    found = chains(policy())
    assert not passes(found, "10.0.0.2", "10.0.0.1")
    assert not passes(found, "192.0.2.1", "10.0.0.1")
    assert passes(found, "10.0.0.1", "10.0.0.1")
    assert passes(found, "10.0.0.1", "10.0.0.2")
    assert passes(found, "10.0.0.4", "10.0.0.2")


def test_a_policy_of_what_leaves_leaves_alone_what_comes() -> None:
    found = chains(policy(policyTypes=["Egress"]))
    assert passes(found, "10.0.0.2", "10.0.0.1")
    assert not passes(found, "10.0.0.1", "10.0.0.2")
    assert not passes(found, "10.0.0.1", "10.200.0.1", 6443)


def test_both_ends_have_to_allow_it() -> None:
    leaving = policy("peer", policyTypes=["Egress"], egress=[{}])
    assert not passes(chains(policy(), leaving), "10.0.0.2", "10.0.0.1")
    open_door = policy(ingress=[{}])
    assert passes(chains(open_door, leaving), "10.0.0.2", "10.0.0.1")
    assert not passes(
        chains(open_door, policy("peer", policyTypes=["Egress"])), "10.0.0.2", "10.0.0.1"
    )


def test_what_one_policy_allows_no_other_takes_away() -> None:
    assert passes(chains(policy(), policy(ingress=[{"from": [PEER]}])), "10.0.0.2", "10.0.0.1")
    assert passes(chains(policy(ingress=[{"from": [PEER]}]), policy("")), "10.0.0.2", "10.0.0.1")


@pytest.mark.parametrize(
    ("peer", "own", "foreign", "stranger"),
    [
        (PEER, True, False, False),
        ({"namespaceSelector": {"matchLabels": {"team": "two"}}}, False, True, True),
        ({**PEER, "namespaceSelector": {"matchLabels": {"team": "two"}}}, False, True, False),
        ({**PEER, "namespaceSelector": {}}, True, True, False),
        ({"podSelector": {}}, True, False, False),
        ({"ipBlock": {"cidr": "10.0.0.0/24", "except": ["10.0.0.2/31"]}}, False, False, True),
        ({"ipBlock": {"cidr": "::/0"}}, False, False, False),
    ],
)
def test_a_peer_is_whom_its_selectors_or_its_block_say(
    peer: dict[str, Any], own: bool, foreign: bool, stranger: bool
) -> None:
    found = chains(policy(ingress=[{"from": [peer]}]))
    told = [passes(found, f"10.0.0.{last}", "10.0.0.1") for last in (2, 3, 4)]
    assert told == [own, foreign, stranger]


def test_ports_are_numbers_ranges_or_names_of_whoever_is_connected_to() -> None:
    ports = [{"port": "http"}, {"port": 53, "protocol": "UDP"}, {"port": 100, "endPort": 200}]
    found = chains(policy(ingress=[{"ports": ports}]))
    tried = [(8080, "tcp"), (8080, "udp"), (9090, "tcp"), (53, "udp"), (53, "tcp"), (150, "tcp")]
    told = [passes(found, "10.0.0.4", "10.0.0.1", *each) for each in tried]
    assert told == [True, False, False, True, False, True]
    leaving = chains(
        policy(policyTypes=["Egress"], egress=[{"to": [PEER], "ports": [{"port": "http"}]}])
    )
    assert passes(leaving, "10.0.0.1", "10.0.0.2", 9090)
    assert not passes(leaving, "10.0.0.1", "10.0.0.2", 8080)


def test_the_internet_is_reached_and_private_networks_are_not() -> None:
    block = {"cidr": "0.0.0.0/0", "except": [each for each in PRIVATE if ":" not in each]}
    found = chains(policy(policyTypes=["Egress"], egress=[{"to": [{"ipBlock": block}]}]))
    assert passes(found, "10.0.0.1", "1.1.1.1", 443)
    for address in ("169.254.169.254", "10.200.0.1", "10.0.0.2", "192.168.1.1", "172.31.0.1"):
        assert not passes(found, "10.0.0.1", address)


def test_a_namespace_that_is_to_be_open_is_as_without_policies() -> None:
    labelled = {"metadata": {"name": "one", "labels": {rules.OPEN: ""}}}
    found = rules.chains([policy()], rules.Cluster(PODS, [labelled], NODE))
    assert found == chains()


def test_pods_elsewhere_or_without_an_address_of_their_own_are_not_closed() -> None:
    elsewhere = pod("server", "10.0.0.1", nodeName="there")
    on_the_host = pod("server", "10.0.0.1", hostNetwork=True)
    ended = {**SERVER, "status": {"podIP": "10.0.0.1", "phase": "Succeeded"}}
    for one in (elsewhere, on_the_host, ended):
        assert chains(policy(), pods=[one]) == chains()
    found = chains(
        policy("peer", ingress=[{"from": [{"podSelector": {"matchLabels": {"app": "server"}}}]}]),
        pods=[elsewhere, OWN_PEER],
    )
    assert passes(found, "10.0.0.1", "10.0.0.2")


@pytest.mark.parametrize(
    ("operator", "values", "labels", "holds"),
    [
        ("In", ["a", "b"], {"k": "a"}, True),
        ("In", ["a"], {}, False),
        ("NotIn", ["a"], {"k": "a"}, False),
        ("NotIn", ["a"], {}, True),
        ("Exists", [], {"k": ""}, True),
        ("Exists", [], {}, False),
        ("DoesNotExist", [], {"k": "a"}, False),
        ("DoesNotExist", [], {}, True),
    ],
)
def test_expressions_mean_what_they_mean_to_kubernetes(
    operator: str, values: list[str], labels: dict[str, str], holds: bool
) -> None:
    expression = {"key": "k", "operator": operator, "values": values}
    assert rules.selects({"matchExpressions": [expression]}, labels) is holds


def test_the_text_has_all_chains_before_the_rules_and_removes_the_stale_ones() -> None:
    found = chains(policy(ingress=[{"from": [PEER]}], policyTypes=["Ingress", "Egress"]))
    lines = rules.text(found, stale=["WALLS-old", *found]).splitlines()
    assert (lines[0], lines[-1]) == ("*filter", "COMMIT")
    declared = [line.split()[0][1:] for line in lines if line.startswith(":")]
    assert declared == [*found, "WALLS-old"]
    assert [line for line in lines if line.startswith("-X")] == ["-X WALLS-old"]
    assert all(len(name) <= 28 for name in found)  # iptables takes no longer ones
    assert lines.index("-X WALLS-old") == len(lines) - 2
