"""What network policies come to as rules of iptables, for the pods of one node.

Each pod that a policy selects has a chain for each direction that is closed to it. It asks the
chains of its policies, which set a mark on what they allow; what comes back without it is dropped.
Both directions are asked, one after the other, and so nothing is accepted here: what passes goes on
to whatever other rules there are. Services need no thought: their addresses are those of pods, or
of the node, by the time a packet comes by.
"""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Final

MAIN: Final = "WALLS"
"""The chain that others have to lead to, before any that accepts."""

OURS: Final = f"{MAIN}-"  # with which the names of all other chains begin
OPEN: Final = "slipway.dev/testbed-open"
"""A namespace with this label is as in a cluster that enforces nothing."""

MARK: Final = "0x10000/0x10000"
ENDED: Final = ("Succeeded", "Failed")

Object = Mapping[str, Any]
Chains = dict[str, list[str]]


class Cluster:
    """What policies are about. Pods elsewhere than on `node` are peers, and not closed here."""

    def __init__(self, pods: Sequence[Object], namespaces: Sequence[Object], node: str) -> None:
        self._pods = [pod for pod in pods if _address(pod)]
        self._labels = {each["metadata"]["name"]: _labels(each) for each in namespaces}
        self._here: dict[str, list[Object]] = {}  # namespace -> those that can be closed
        for pod in self._pods:
            namespace = pod["metadata"]["namespace"]
            if pod["spec"].get("nodeName") == node and OPEN not in self._labels.get(namespace, {}):
                self._here.setdefault(namespace, []).append(pod)

    def selected(self, policy: Object) -> list[Object]:
        """By the policy itself."""
        selector = policy["spec"].get("podSelector") or {}
        around = self._here.get(policy["metadata"]["namespace"], ())
        return [pod for pod in around if selects(selector, _labels(pod))]

    def peers(self, peer: Object, namespace: str) -> list[Object]:
        """By one peer of a policy of that namespace."""
        pods, spaces = peer.get("podSelector"), peer.get("namespaceSelector")
        return [
            pod
            for pod in self._pods
            if selects(pods or {}, _labels(pod))
            and (
                pod["metadata"]["namespace"] == namespace
                if spaces is None
                else selects(spaces, self._labels.get(pod["metadata"]["namespace"], {}))
            )
        ]


def chains(policies: Sequence[Object], cluster: Cluster) -> Chains:
    """All of them, with their rules."""
    found: Chains = {MAIN: ["-m conntrack --ctstate RELATED,ESTABLISHED -j RETURN"]}
    closed: dict[tuple[str, str], list[str]] = {}  # address and direction -> chains to ask
    for policy in policies:
        selected = cluster.selected(policy)
        for way in _ways(policy["spec"]) if selected else ():
            name = _name(policy["metadata"]["namespace"], policy["metadata"]["name"], way)
            found[name] = []
            _policy(found, name, policy, way, cluster, selected)
            for pod in selected:
                closed.setdefault((_address(pod), way), []).append(name)
    # what leaves is asked first, though the order makes no difference
    for (address, way), asked in sorted(closed.items()):
        name = _name(address, way)
        own, other = ("-s", "-d") if way == "egress" else ("-d", "-s")
        found[MAIN].append(f"{own} {address}/32 -j {name}")
        found[name] = [
            f"{other} {address}/32 -j RETURN",  # nobody is kept from himself
            f"-j MARK --set-xmark 0x0/{MARK.partition('/')[2]}",
            *(f"-j {each}" for each in asked),
            f"-m mark ! --mark {MARK} -j DROP",
            f"-j MARK --set-xmark 0x0/{MARK.partition('/')[2]}",
        ]
    return found


def text(found: Chains, stale: Collection[str] = ()) -> str:
    """For `iptables-restore --noflush`: exactly these chains, and none of the stale ones."""
    gone = sorted(set(stale) - set(found))
    return "\n".join(
        [
            "*filter",
            *(f":{name} - [0:0]" for name in [*found, *gone]),  # makes it, or empties it
            *(f"-A {name} {rule}" for name, rules in found.items() for rule in rules),
            *(f"-X {name}" for name in gone),
            "COMMIT",
            "",
        ]
    )


def selects(selector: Object, labels: Mapping[str, str]) -> bool:
    """As Kubernetes has it: an empty selector selects everything."""
    wanted = (selector.get("matchLabels") or {}).items()
    return all(labels.get(key) == value for key, value in wanted) and all(
        _holds(each, labels) for each in selector.get("matchExpressions") or ()
    )


def _holds(expression: Object, labels: Mapping[str, str]) -> bool:
    found, values = labels.get(expression["key"]), expression.get("values") or ()
    match expression["operator"]:
        case "In":
            return found in values
        case "NotIn":
            return found not in values
        case "Exists":
            return found is not None
        case "DoesNotExist":
            return found is None
    raise ValueError(f"no operator: {expression['operator']}")


def _policy(
    found: Chains,
    name: str,
    policy: Object,
    way: str,
    cluster: Cluster,
    selected: Sequence[Object],
) -> None:
    """Fills the chain of that name, and adds those that it needs."""
    side, whose = ("-s", "from") if way == "ingress" else ("-d", "to")
    for rule in policy["spec"].get(way) or ():
        ports, peers = rule.get("ports") or (), rule.get(whose) or ()
        if not peers:
            _allow(found, name, "", _ports(ports, selected if way == "ingress" else ()))
        for peer in peers:
            if block := peer.get("ipBlock"):
                known = _ports(ports, selected if way == "ingress" else ())
                _block(found, name, side, block, known)
                continue
            for pod in cluster.peers(peer, policy["metadata"]["namespace"]):
                known = _ports(ports, selected if way == "ingress" else (pod,))
                _allow(found, name, f"{side} {_address(pod)}/32 ", known)


def _block(found: Chains, name: str, side: str, block: Object, ports: Sequence[str]) -> None:
    if ipaddress.ip_network(block["cidr"]).version != 4:  # pods have no other addresses
        return
    within = _name(name, str(len(found)))
    found[name].append(f"{side} {block['cidr']} -j {within}")
    found[within] = [f"{side} {each} -j RETURN" for each in block.get("except") or ()]
    _allow(found, within, "", ports)


def _allow(found: Chains, name: str, who: str, ports: Sequence[str]) -> None:
    found[name] += [f"{who}{port}-j MARK --set-xmark {MARK}" for port in ports]


def _ports(ports: Sequence[Object], pods: Sequence[Object]) -> list[str]:
    """The matches of which one must hold. A port with a name is that of whoever is connected to."""
    return [match for port in ports for match in _port(port, pods)] if ports else [""]


def _port(port: Object, pods: Sequence[Object]) -> Iterator[str]:
    protocol, number = port.get("protocol", "TCP").lower(), port.get("port")
    if isinstance(number, str):
        for pod in pods:
            for each in _named(pod, number, protocol):
                yield f"-d {_address(pod)}/32 -p {protocol} -m {protocol} --dport {each} "
    elif number is None:
        yield f"-p {protocol} "
    else:
        until = f":{port['endPort']}" if "endPort" in port else ""
        yield f"-p {protocol} -m {protocol} --dport {number}{until} "


def _named(pod: Object, name: str, protocol: str) -> list[int]:
    return [
        port["containerPort"]
        for container in pod["spec"]["containers"]
        for port in container.get("ports") or ()
        if port.get("name") == name and port.get("protocol", "TCP").lower() == protocol
    ]


def _ways(spec: Object) -> list[str]:
    told = spec.get("policyTypes") or ["Ingress", *(["Egress"] if spec.get("egress") else [])]
    return [each.lower() for each in told]


def _address(pod: Object) -> str:
    """Its own, for as long as it has one."""
    if pod["spec"].get("hostNetwork") or pod["status"].get("phase") in ENDED:
        return ""
    found: str = pod["status"].get("podIP") or ""
    return found


def _labels(of: Object) -> Mapping[str, str]:
    return of["metadata"].get("labels") or {}


def _name(*of: str) -> str:
    return OURS + hashlib.sha256("/".join(of).encode()).hexdigest()[:20]
