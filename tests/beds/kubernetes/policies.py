"""The cluster's walls: network policies, which its network by itself takes no notice of.
`python -m tests.beds.kubernetes.policies`, inside the cluster's network.

They follow what the API server says at once, and stay as they are while it is away, or when this
was killed. Told to stop, it takes them down: then the cluster is one that enforces nothing, as a
single namespace is that has the label `rules.OPEN`. As on many a real one, a pod is open for the moment between its first breath and its walls. The node
itself reaches every pod, which is how the kubelet asks whether it is ready.
"""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from contextlib import suppress
from typing import Any, Final

import aiohttp

from tests.beds.debian import program
from tests.beds.kubernetes import api, rules
from tests.beds.kubernetes.place import NODE_NAME, SERVER

WATCHED: Final = {
    "policies": "/apis/networking.k8s.io/v1/networkpolicies",
    "pods": "/api/v1/pods",
    "namespaces": "/api/v1/namespaces",
}
INTO: Final = ("FORWARD", "INPUT")  # from pods to pods and elsewhere, and to the node
AGAIN: Final = 1.0  # seconds until the API server is asked again
SETTLE: Final = 0.05  # several changes that come at once are one
CHECK: Final = 2.0  # seconds until others' rules are looked at: kube-proxy puts its own first

# pods have IPv6 addresses of their link, by which no policy can call them
LINK: Final = ("-i", "pods0", "-j", "DROP")


class Picture:
    """Everything of one kind, kept up with."""

    def __init__(self, session: aiohttp.ClientSession, path: str, changed: asyncio.Event) -> None:
        self._session = session
        self._path = path
        self._changed = changed
        self._objects: dict[str, Any] = {}
        self.known = asyncio.Event()

    def objects(self) -> list[Any]:
        return [self._objects[key] for key in sorted(self._objects)]

    async def follow(self) -> None:
        while True:
            try:
                await self._watch(await self._list())
            except (aiohttp.ClientError, TimeoutError, ValueError) as error:
                print(f"{self._path}: {error!r}", file=sys.stderr, flush=True)
            await asyncio.sleep(AGAIN)

    async def _list(self) -> str:
        async with self._session.get(SERVER + self._path) as answer:
            answer.raise_for_status()
            whole = await answer.json()
        self._objects = {_key(each): each for each in whole["items"]}
        self.known.set()
        self._changed.set()
        version: str = whole["metadata"]["resourceVersion"]
        return version

    async def _watch(self, version: str) -> None:
        asked = {"watch": "1", "resourceVersion": version}
        async with self._session.get(SERVER + self._path, params=asked) as answer:
            answer.raise_for_status()
            async for line in answer.content:
                event = json.loads(line)
                if event["type"] == "ERROR":  # it is too long ago
                    return
                if event["type"] == "DELETED":
                    self._objects.pop(_key(event["object"]), None)
                else:
                    self._objects[_key(event["object"])] = event["object"]
                self._changed.set()


def _key(of: Any) -> str:
    return f"{of['metadata'].get('namespace', '')}/{of['metadata']['name']}"


class Walls:
    """As they stand in the kernel. Raises CalledProcessError."""

    def __init__(self) -> None:
        self._standing: rules.Chains | None = None

    def stand(self, wanted: rules.Chains) -> None:
        """Exactly so, in one step; that they do already is fine."""
        if wanted != self._standing:
            self._standing = None
            _restore(rules.text(wanted, stale=_chains()))
            self._standing = wanted
        for chain in INTO:
            if _rules(chain)[:1] != [_leading(chain)]:
                _lead(chain, wanted=True)
            if _run("ip6tables", "-C", chain, *LINK, check=False).returncode:
                _run("ip6tables", "-A", chain, *LINK)

    def fall(self) -> None:
        for chain in INTO:
            _lead(chain, wanted=False)
            _run("ip6tables", "-D", chain, *LINK, check=False)
        _restore(rules.text({}, stale=_chains()))
        self._standing = None


def _lead(chain: str, *, wanted: bool) -> None:
    """Once and first, or not at all; never for a moment not at all where it is wanted."""
    if wanted:
        _run("iptables", "-I", chain, "-j", rules.MAIN)
    while (found := _rules(chain)).count(_leading(chain)) > wanted:
        last = max(at for at, rule in enumerate(found, 1) if rule == _leading(chain))
        _run("iptables", "-D", chain, str(last))


def _leading(chain: str) -> str:
    return f"-A {chain} -j {rules.MAIN}"


def _chains() -> list[str]:
    told = (line.split() for line in _run("iptables", "-S").stdout.splitlines())
    return [
        name
        for what, name, *_ in told
        if what == "-N" and (name == rules.MAIN or name.startswith(rules.OURS))
    ]


def _rules(chain: str) -> list[str]:
    lines = _run("iptables", "-S", chain).stdout.splitlines()
    return [line.strip() for line in lines if line.startswith("-A")]


def _restore(text: str) -> None:
    _run("iptables-restore", "--noflush", stdin=text)


def _run(
    name: str, *arguments: str, stdin: str = "", check: bool = True
) -> subprocess.CompletedProcess[str]:
    command = [program(name, "iptables"), "-w", *arguments]
    return subprocess.run(command, input=stdin, capture_output=True, text=True, check=check)


async def serve() -> None:
    stopping, changed, walls = asyncio.Event(), asyncio.Event(), Walls()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    connector = aiohttp.TCPConnector(ssl=api.context())
    async with aiohttp.ClientSession(
        connector=connector,
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=5),
        read_bufsize=2**22,  # a line is a whole object
    ) as session:
        pictures = {kind: Picture(session, path, changed) for kind, path in WATCHED.items()}
        tasks = [asyncio.create_task(each.follow()) for each in pictures.values()]
        tasks.append(asyncio.create_task(_keep(walls, pictures, changed)))
        await stopping.wait()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    await asyncio.to_thread(walls.fall)


async def _keep(walls: Walls, pictures: dict[str, Picture], changed: asyncio.Event) -> None:
    for each in pictures.values():
        await each.known.wait()
    while True:
        changed.clear()
        found = {kind: picture.objects() for kind, picture in pictures.items()}
        cluster = rules.Cluster(found["pods"], found["namespaces"], NODE_NAME)
        try:
            await asyncio.to_thread(walls.stand, rules.chains(found["policies"], cluster))
        except subprocess.CalledProcessError as error:
            print(f"{error}: {error.stderr}", file=sys.stderr, flush=True)
        with suppress(TimeoutError):
            async with asyncio.timeout(CHECK):
                await changed.wait()
        await asyncio.sleep(SETTLE)


if __name__ == "__main__":
    asyncio.run(serve())
