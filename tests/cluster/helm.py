"""`helm` as people type it, on top of Helm's own library: what docs/operating.md needs of it.

`python -m tests.cluster.helm install NAME CHART -n NAMESPACE -f FILE --set A=B --wait`
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from pathlib import Path
from typing import Any

import helm_python


def main(words: list[str]) -> None:
    given = parser().parse_args(words)
    with helm_python.Config(
        kubeconfig_path=os.environ["KUBECONFIG"], namespace=given.namespace
    ) as config:
        waiting: dict[str, Any] = {"timeout": seconds(given.timeout)}
        if given.wait:
            waiting["wait"] = "watcher"
        match given.action:
            case "install":
                made = config.install(
                    *(given.chart, given.name, values(given)),
                    create_namespace=given.create_namespace,
                    **waiting,
                )
                print(made.get("notes", ""))
            case "upgrade":
                config.upgrade(given.chart, given.name, values(given), **waiting)
            case "rollback":
                config.rollback(given.name, version=given.revision, **waiting)
            case "history":
                for one in config.history(given.name):
                    print(one["revision"], one["status"], one["chart_version"], sep="\t")


def parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("-n", dest="namespace", required=True)
    common.add_argument("--wait", action="store_true")
    common.add_argument("--timeout", default="5m")
    whole = argparse.ArgumentParser(prog="helm")
    actions = whole.add_subparsers(dest="action", required=True)
    for name in ("install", "upgrade"):
        action = actions.add_parser(name, parents=[common])
        action.add_argument("name")
        action.add_argument("chart")
        action.add_argument("-f", dest="files", action="append", default=[], type=Path)
        action.add_argument("--set", action="append", default=[])
        action.add_argument("--set-string", dest="strings", action="append", default=[])
        action.add_argument("--create-namespace", action="store_true")
    rollback = actions.add_parser("rollback", parents=[common])
    rollback.add_argument("name")
    rollback.add_argument("revision", nargs="?", type=int)
    actions.add_parser("history", parents=[common]).add_argument("name")
    return whole


def seconds(text: str) -> int:
    """
    >>> seconds("10m"), seconds("90s")
    (600, 90)
    """
    found = re.fullmatch(r"(\d+)([smh])", text)
    assert found, f"no duration: {text}"
    return int(found[1]) * {"s": 1, "m": 60, "h": 3600}[found[2]]


def values(given: argparse.Namespace) -> dict[str, Any]:
    """Files first, then what was set, each outranking those before it."""
    found: dict[str, Any] = {}
    for file in given.files:
        found = merged(found, helm_python.values_from_yaml(file.read_text()))
    if given.set:  # as one, since places in a list are counted
        found = merged(found, helm_python.parse_set_string(",".join(given.set)))
    for one in given.strings:
        found = merged(found, helm_python.parse_set_string_values(one))
    return found


def merged(under: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """
    >>> merged({"a": {"b": 1, "c": 2}}, {"a": {"b": 3}})
    {'a': {'b': 3, 'c': 2}}
    """
    found = dict(under)
    for name, value in over.items():
        inner = found.get(name)
        both = isinstance(inner, dict) and isinstance(value, dict)
        found[name] = merged(inner, value) if both else value  # type: ignore[arg-type]
    return found


if __name__ == "__main__":
    main(sys.argv[1:])
