"""Every command of docs/operating.md, in the order of the page, on one installation of its own."""

from __future__ import annotations

import asyncio
import os
import re
import shlex
import sys
from asyncio.subprocess import DEVNULL, PIPE, STDOUT
from pathlib import Path
from typing import Any

import pytest
import yaml

from charts.images.recipe import ROOT
from tests.beds.kubernetes.bed import Cluster
from tests.cluster.installed import cleared, prepared
from tests.docs.commands import Block, Kind, blocks, kind

PAGE = "docs/operating.md"
PATIENCE = 900.0

KUBECONFIG_OF_TARGET = "there.kubeconfig"


def commands() -> list[Block]:
    return [block for block in blocks(PAGE, (ROOT / PAGE).read_text()) if block.language == "sh"]


def ours(text: str, namespace: str) -> str:
    """A command of the page with our places in place of its own."""
    for told, place in {
        "-n slipway-target": f"-n {namespace}-target",
        "slipway-there": f"{namespace}-there",
        "=slipway-workloads": f"={namespace}-workloads",
        "-n slipway-workloads": f"-n {namespace}-workloads",
        " charts/slipway": f" {ROOT / 'charts' / 'slipway'}",
    }.items():
        text = text.replace(told, place)
    return re.sub(r"-n slipway(?= |$)", f"-n {namespace}", text)


def programs(folder: Path) -> Path:
    """`helm`, which is a library here, as a program."""
    folder.mkdir()
    helm = folder / "helm"
    line = f"{shlex.quote(sys.executable)} -m tests.cluster.helm"
    helm.write_text(f'#!/bin/sh\nPYTHONPATH={shlex.quote(str(ROOT))} exec {line} "$@"\n')
    helm.chmod(0o755)
    return folder


async def ran(text: str, folder: Path, environment: dict[str, str]) -> tuple[int, str]:
    """How it ended, and what it said."""
    process = await asyncio.create_subprocess_exec(
        *("bash", "-euo", "pipefail", "-c", text),
        cwd=folder,
        env=environment,
        stdin=DEVNULL,
        stdout=PIPE,
        stderr=STDOUT,
    )
    async with asyncio.timeout(PATIENCE):
        said, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, said.decode(errors="replace")


async def test_every_command_of_the_page_does_what_it_says(
    cluster: Cluster, images: dict[str, Any], tmp_path: Path
):
    async with prepared(cluster, images) as (namespace, values):
        parts = {"images": values.pop("images")}
        (tmp_path / "images.yaml").write_text(yaml.safe_dump(parts))
        (tmp_path / "site.yaml").write_text(yaml.safe_dump(values))
        (tmp_path / KUBECONFIG_OF_TARGET).write_bytes(cluster.kubeconfig.read_bytes())
        path = programs(tmp_path / "bin")
        environment = {
            **os.environ,
            **cluster.environment,
            "PATH": f"{path}:{os.environ['PATH']}",
            "NEW_KEY": "n" * 40,
            "OLD_KEY": "o" * 40,
        }
        async with cleared(cluster, f"{namespace}-target", f"{namespace}-there"):
            for block in commands():
                for command in block.commands:
                    assert kind(command) is Kind.CLUSTER, command.place
                    text = ours(command.text, namespace)
                    code, said = await ran(text, tmp_path, environment)
                    assert code == 0, f"{command.place}\n{said[-6000:]}"
            key = await cluster.get("secret", "slipway", "-n", namespace)
            assert key["data"]["DOORMAN_KEY"]
            dump = (tmp_path / "slipway.dump").read_bytes()
            assert dump.startswith(b"PGDMP")


def test_the_page_has_commands():
    assert [command for block in commands() for command in block.commands]


@pytest.mark.parametrize(
    ("told", "found"),
    [
        ("helm history slipway -n slipway", "helm history slipway -n t-1"),
        ("kubectl -n slipway get pods", "kubectl -n t-1 get pods"),
        ("helm upgrade slipway charts/slipway -n slipway -f a", "-n t-1 -f a"),
        ("kubectl -n slipway-workloads delete secret", "kubectl -n t-1-workloads delete secret"),
    ],
)
def test_places_are_ours(told, found):
    assert found in ours(told, "t-1")
