"""Workloads as users may write them: any that is valid, and any at all."""

from __future__ import annotations

from typing import Any, Final

from hypothesis import strategies as some

from services.scheduler.driver import Replica, Workload
from services.scheduler.drivers.kubernetes.manifests.settings import Room, Settings
from shared.affinity import (
    Affinity,
    LabelExpression,
    LabelSelector,
    NodeAffinity,
    NodeExpression,
    NodeSelector,
    NodeTerm,
    PodAffinity,
    PodTerm,
    PreferredNode,
    PreferredPods,
)
from shared.endpoint import (
    Autoscaling,
    Command,
    Endpoint,
    File,
    Gpus,
    Range,
    Resources,
    Toleration,
    Volume,
    Workspace,
    Wsgi,
)
from shared.ids import ALPHABET, JobId
from shared.image import ContainerConfig

CLAIMS: Final = ("models", "data-1", "team.share")
SETTINGS: Final = Settings(
    platform="slipway",
    namespace="slipway-workloads",
    doorman_image="registry.example/slipway/doorman@sha256:" + "d" * 64,
    doorman_key="k" * 32,
    claims=dict.fromkeys(CLAIMS, ("*",)),
)

EVIL: Final = (
    "$(SLIPWAY_JOB)",
    "$$(PATH) $( ${HOME} $$",
    "x: y\nhostNetwork: true",
    '"},"hostPID":true,"x":{"',
    "hostPath",
    "/var/run/docker.sock",
    "../../etc/passwd",
    "system:masters",
    "'; kill -9 -1; '",
    "\x1b[2J\u202e\ufeff",
    "a" * 300,
    "-",
    "kubernetes.io/hostname",
    "privileged=true",
    "",
)
text: Final = some.one_of(some.sampled_from(EVIL), some.text(max_size=40))
plain: Final = text.filter(lambda each: "\0" not in each)

_dns = some.from_regex(r"[a-z]([-a-z0-9]{0,20}[a-z0-9])?", fullmatch=True)
_value = some.from_regex(r"([A-Za-z0-9]([A-Za-z0-9._-]{0,20}[A-Za-z0-9])?)?", fullmatch=True)
_key = some.one_of(
    some.from_regex(
        r"[a-z]([a-z0-9-]{0,9}[a-z0-9])?(\.[a-z]{2,5})?/[A-Za-z0-9]{1,20}", fullmatch=True
    ),
    some.from_regex(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,20}[A-Za-z0-9])?", fullmatch=True),
)
_variable = some.one_of(
    some.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,30}", fullmatch=True),
    some.sampled_from(
        (
            *("LD_PRELOAD", "LD_LIBRARY_PATH", "NVIDIA_VISIBLE_DEVICES", "CUDA_VISIBLE_DEVICES"),
            *("PATH", "HOME", "PORT", "SLIPWAY_JOB", "IFS", "ENV", "DOORMAN_SECRET"),
        )
    ),
)
_amount = some.one_of(
    some.none(), some.floats(0, 1e6), some.integers(0, 4096), some.sampled_from((0.1, 0.5, 1.5))
)


def ranges() -> some.SearchStrategy[Range]:
    def put(pair: tuple[Any, Any]) -> Range:
        least, most = pair
        if least is not None and most is not None and least > most:
            least, most = most, least
        return Range(min=least, max=most)

    return some.tuples(_amount, _amount).map(put)


@some.composite
def tolerations(draw: some.DrawFn) -> Toleration:
    operator = draw(some.sampled_from(("Exists", "Equal")))
    key = draw(_key) if operator == "Equal" else draw(some.one_of(some.just(""), _key))
    effect = draw(some.sampled_from(("", "NoSchedule", "PreferNoSchedule", "NoExecute")))
    return Toleration(
        key=key,
        operator=operator,
        value=draw(_value) if operator == "Equal" else "",
        effect=effect,
        seconds=draw(some.one_of(some.none(), some.integers(0, 1 << 31)))
        if effect == "NoExecute"
        else None,
    )


@some.composite
def expressions(draw: some.DrawFn, kind: type, operators: tuple[str, ...]) -> Any:
    operator = draw(some.sampled_from(operators))
    values: tuple[str, ...] = ()
    if operator in ("In", "NotIn"):
        values = tuple(draw(some.lists(_value, min_size=1, max_size=3)))
    if operator in ("Gt", "Lt"):
        values = (str(draw(some.integers(0, 1 << 40))),)
    return kind(key=draw(_key), operator=operator, values=values)


_set = ("In", "NotIn", "Exists", "DoesNotExist")
_node_term = some.builds(
    NodeTerm,
    match_expressions=some.lists(
        expressions(NodeExpression, (*_set, "Gt", "Lt")), min_size=1, max_size=3
    ).map(tuple),
)
_weight = some.integers(1, 100)
_pod_term = some.builds(
    PodTerm,
    topology_key=_key,
    label_selector=some.builds(
        LabelSelector,
        match_labels=some.dictionaries(
            some.one_of(_key, some.just("slipway.dev/project")), _value, max_size=2
        ),
        match_expressions=some.lists(expressions(LabelExpression, _set), max_size=2).map(tuple),
    ),
)
_pods = some.builds(
    PodAffinity,
    required=some.lists(_pod_term, max_size=2).map(tuple),
    preferred=some.lists(
        some.builds(PreferredPods, weight=_weight, pod_affinity_term=_pod_term), max_size=2
    ).map(tuple),
)
affinities: Final = some.builds(
    Affinity,
    node_affinity=some.none()
    | some.builds(
        NodeAffinity,
        required=some.none()
        | some.builds(
            NodeSelector,
            node_selector_terms=some.lists(_node_term, min_size=1, max_size=2).map(tuple),
        ),
        preferred=some.lists(
            some.builds(PreferredNode, weight=_weight, preference=_node_term), max_size=2
        ).map(tuple),
    ),
    pod_affinity=some.none() | _pods,
    pod_anti_affinity=some.none() | _pods,
)


@some.composite
def workloads(draw: some.DrawFn) -> Workload:
    """Valid, with hostile text wherever any text is allowed."""
    copies = draw(some.integers(0, 4))
    count = draw(some.integers(0, 2)) if copies else 0
    paths = draw(some.lists(_dns.map(lambda each: f"/mnt/{each}"), max_size=4, unique=True))
    written = [
        Volume(
            claim=draw(some.sampled_from(CLAIMS)),
            mount_path=path,
            sub_path=draw(some.sampled_from(("", "a", "a/b c"))),
            read_only=draw(some.booleans()),
        )
        for path in paths
    ]
    storage = draw(some.one_of(some.just(""), _dns))
    workspace = Workspace(
        mount_path="/work", size_gib=draw(some.integers(1, 5000)), storage_class=storage
    )
    scaled = draw(some.booleans()) and not count
    least = draw(some.integers(1, 5))
    endpoint = Endpoint(
        name=draw(plain),
        format=draw(some.sampled_from(("valohai", "proximl"))),
        entry=draw(some.sampled_from((Command(lines=("serve",)), Wsgi(app="app")))),
        port=draw(some.one_of(some.integers(1, 65535), some.sampled_from((80, 7200, 7201, 8000)))),
        readiness=draw(some.sampled_from(("listening", "ping", "none"))),
        image=draw(plain),
        description=draw(plain),
        files=(File(name=draw(plain), path=draw(plain)),),
        gpus=Gpus(count=count),
        disk_gib=draw(some.none() | some.integers(1, 2000)),
        environment=draw(some.dictionaries(_variable, plain, max_size=3)),
        resources=Resources(cpu=draw(ranges()), memory=draw(ranges()), disk=draw(ranges())),
        node_selector=draw(some.just("") | some.tuples(_key, _value).map("=".join)),
        tolerations=tuple(draw(some.lists(tolerations(), max_size=3))),
        volumes=tuple(written),
        workspace=draw(some.sampled_from((None, workspace))),
        replicas=copies,
        autoscaling=Autoscaling(
            min=least,
            max=least + draw(some.integers(0, 5)),
            cpu_percent=draw(some.integers(1, 100)),
        )
        if scaled
        else None,
        affinity=draw(some.none() | affinities),
        node_labels=draw(some.dictionaries(_key, _value, max_size=2)),
        variables=draw(some.dictionaries(_variable, plain, max_size=4)),
    )
    return Workload(
        replica=draw(replicas()),
        image="sha256:" + draw(some.sampled_from("0123456789abcdef")) * 64,
        endpoint=endpoint,
        environment={"SLIPWAY_JOB": draw(plain), "VH_DEFAULT_PREFIX": draw(plain)},
        devices=tuple(f"t/n/{n}" for n in range(count * copies)),
        files=draw(
            some.dictionaries(
                some.sampled_from(("/valohai/a.json", "/valohai/code/a.json")),
                some.binary(max_size=50) | plain.map(str.encode),
            )
        ),
        repository="registry.example:5000/slipway/x",
        project="/".join((draw(plain), draw(plain))),
        copies=copies,
    )


def replicas() -> some.SearchStrategy[Replica]:
    job = some.text(ALPHABET, min_size=12, max_size=12).map(lambda each: JobId("j" + each))
    return some.builds(Replica, job, some.integers(1, 9999))


@some.composite
def hostile(draw: some.DrawFn) -> Workload:
    """Valid but for some fields, in which anything may be."""
    from msgspec.structs import replace

    found = draw(workloads())
    endpoint = found.endpoint
    number = some.floats() | some.integers()
    range_ = some.builds(Range, min=some.none() | number, max=some.none() | number)
    strange: dict[str, some.SearchStrategy[Any]] = {
        "port": some.integers(-1, 70000),
        "readiness": some.just("ping"),
        "disk_gib": some.integers(),
        "resources": some.builds(Resources, cpu=range_, memory=range_, disk=range_),
        "node_selector": text,
        "tolerations": some.tuples(
            some.builds(
                Toleration,
                key=text,
                operator=some.sampled_from(("Exists", "Equal")),
                value=text,
                effect=text,
                seconds=some.none() | some.integers(),
            )
        ),
        "volumes": some.tuples(
            some.builds(
                Volume,
                claim=text | some.sampled_from(CLAIMS),
                mount_path=text
                | some.sampled_from(("/", "/proc", "/mnt", "/slipway/k8s", "/a/..")),
                sub_path=text,
            )
        ),
        "workspace": some.builds(
            Workspace,
            mount_path=text | some.just("/w"),
            size_gib=some.integers(),
            storage_class=text,
        ),
        "node_labels": some.dictionaries(text, text, max_size=2),
        "variables": some.dictionaries(text, text, max_size=2),
        "affinity": some.builds(
            Affinity,
            pod_anti_affinity=some.builds(
                PodAffinity, required=some.tuples(some.builds(PodTerm, topology_key=text))
            ),
        ),
        "autoscaling": some.just(Autoscaling(min=1, max=2)),
    }
    chosen = draw(
        some.lists(some.sampled_from(sorted(strange)), min_size=1, max_size=3, unique=True)
    )
    endpoint = replace(endpoint, **{name: draw(strange[name]) for name in chosen})
    return replace(found, endpoint=endpoint)


_line = some.one_of(
    plain, _variable.map(lambda name: f"{name}=x"), _variable.map(lambda n: f"{n}=$(HOME)")
)
images: Final = some.builds(
    ContainerConfig,
    entrypoint=some.lists(plain, min_size=1, max_size=4).map(tuple),
    env=some.lists(_line, max_size=5).map(tuple),
    working_dir=plain,
    user=some.sampled_from(("1000", "1000:1000", "65534:0")),
)
rooms: Final = some.none() | some.builds(
    Room,
    nodes=some.lists(_dns, min_size=1, max_size=2).map(tuple),
    label=some.sampled_from(("", "nvidia.com/gpu.product")),
    values=some.lists(_value, min_size=1, max_size=2).map(tuple),
)
settings: Final = some.sampled_from(
    (
        SETTINGS,
        Settings(
            platform="älter & gröber",
            namespace="w",
            doorman_image="doorman:1",
            doorman_key="q" * 40,
            drain=0,
            claims=SETTINGS.claims,
            pull_secret="pull",
            disk="volume",
            storage_class="fast",
            router_networks=("10.9.0.0/16",),
            closed_networks=("203.0.113.0/24", "2001:db8::/32"),
        ),
        Settings(
            platform="old",
            namespace="w",
            doorman_image="doorman:1",
            doorman_key="q" * 40,
            claims=SETTINGS.claims,
            autoscaling="v1",
            disk="volume",
            ephemeral_volumes=False,
            low_ports=False,
        ),
    )
)
