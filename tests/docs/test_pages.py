"""What the documentation says, held against what there is: commands, links, settings, metrics, facts."""

from __future__ import annotations

import importlib.util
import re
import subprocess

import msgspec
import pytest

import services.api.main as api
import services.builder.main as builder
import services.router.main as router
import services.scheduler.main as scheduler
from services.__main__ import Embedded
from services.api.metrics import Metrics as ApiMetrics
from services.builder.metrics import BuilderTelemetry
from services.builder.profiles.meter import DriftMeter
from services.router.gateway.meter import Meter as GatewayMeter
from services.router.gateway.sampling import Sampling
from services.router.meter import Meter
from services.scheduler.metrics import Metrics as SchedulerMetrics
from shared import config
from shared.events import FACTS
from shared.telemetry import FloorTelemetry, Telemetry
from slipway.cli.parser import parse
from slipway.errors import BadUsage
from tests.acceptance.platform import ROOT
from tests.docs import test_commands
from tests.docs.commands import (
    Command,
    Kind,
    anchors,
    blocks,
    inline,
    kind,
    links,
    pages,
    stray,
    table,
)

PAGES = {str(page.relative_to(ROOT)): page.read_text() for page in pages(ROOT)}
OPERATIONS = PAGES["docs/operations.md"]
SERVICES = {"api": api, "builder": builder, "router": router, "scheduler": scheduler}
TARGETS = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)

MAKE = {
    "demo": "test_make_demo",
    "up": "test_make_up_runs_until_ctrl_c_and_a_copy_of_its_folder_goes_on",
    "test": "",
    "test-kubernetes": "",
    "check": "",
    "bench": "",
    "bench-kubernetes": "",
    "bench-scheduler": "",
    "drill": "",
    "drill-kubernetes": "",
    "drill-scheduler": "",
    "help": "",
    "images": "",
    "protos": "",
}
"""The test that runs each target which a page names; nothing where it is enough that it exists:
tests that ran themselves would not end, and the others take their time."""

SHOWN = {"slipway COMMAND --help"}
"""Said of all commands, so that it can't be parsed."""


def test_there_is_something_to_test():
    kinds = {kind(found) for found in marked()}
    assert kinds == {*Kind} - {Kind.PYTHON}


def marked() -> list[Command]:
    return [
        command
        for name, text in PAGES.items()
        for block in blocks(name, text)
        if block.language == "sh"
        for command in block.commands
    ]


def test_every_command_is_of_a_kind_that_is_tested():
    assert not [command.place for command in marked() if kind(command) is None]


def test_every_command_is_in_a_block_that_is_run():
    found = [blocks(name, text) for name, text in PAGES.items()]
    assert not [command.place for some in found for block in some for command in stray(block)]


def test_every_language_is_known():
    found = {block.language for name, text in PAGES.items() for block in blocks(name, text)}
    assert found <= {"", "indented", "mermaid", "python", "sh", "yaml"}


def named() -> list[Command]:
    """Commands within sentences."""
    return [command for name, text in PAGES.items() for command in inline(name, text)]


def test_every_target_that_a_page_names_is_covered():
    asked = [command for command in named() if command.text.startswith("make ")]
    asked += [command for command in marked() if kind(command) is Kind.MAKE]
    assert not [command.place for command in asked if command.words[1] not in MAKE]
    assert set(MAKE) <= set(TARGETS)
    assert all(hasattr(test_commands, test) for test in MAKE.values() if test)


def test_every_command_within_a_sentence_is_one():
    wrong = []
    for command in named():
        if command.text in SHOWN or not command.text.startswith("slipway "):
            continue
        try:
            parse(command.words[1:])
        except BadUsage as error:
            wrong.append(f"{command.place}: {error}")
    assert not wrong


def test_every_module_within_a_sentence_exists():
    found = [command.words[2] for command in named() if command.text.startswith("python -m ")]
    assert found
    assert not [module for module in found if importlib.util.find_spec(module) is None]


def test_every_file_within_a_sentence_exists():
    """By its path from the repository or from the page; a bare name is a file's of some folder."""
    folders = ("services", "shared", "runtimes", "client/slipway", "examples")
    names = {file.name for folder in folders for file in (ROOT / folder).rglob("*.py")}
    wrong = []
    for command in named():
        file = command.text.removeprefix("python ")
        if not re.fullmatch(r"[\w/.-]+\.py", file):
            continue
        beside = (ROOT / command.file).parent / file
        if not (file in names or (ROOT / file).exists() or beside.exists()):
            wrong.append(command.place)
    assert not wrong


def test_every_link_leads_somewhere():
    wrong = []
    for name, text in PAGES.items():
        for link in links(name, text):
            path, _, anchor = link.text.partition("#")
            target = (ROOT / name).parent / path if path else ROOT / name
            if not target.exists() or (anchor and anchor not in anchors(target.read_text())):
                wrong.append(link.place)
    assert not wrong


def test_make_help_lists_every_target_and_each_can_be_made():
    said = subprocess.run(
        ["make", "--no-print-directory", "help"], cwd=ROOT, capture_output=True, text=True
    )
    listed = [line.split()[0] for line in said.stdout.splitlines()]
    assert sorted(listed) == sorted(TARGETS)
    for target in listed:
        tried = subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, text=True)
        assert tried.returncode == 0, tried.stderr
        for program in re.findall(r"^\.venv/bin/\S+", tried.stdout, re.MULTILINE):
            assert (ROOT / program).exists(), f"make {target} runs {program}"


def shown(default: object) -> str:
    """A default as the page says it."""
    if default is msgspec.NODEFAULT:
        return "required"
    if default == "":
        return "none"
    return f"`{str(default).lower() if isinstance(default, bool) else default}`"


def test_every_setting_is_described_with_its_default_and_who_reads_it():
    told = {
        name.strip("`"): (default, readers)
        for name, default, readers, _ in table(
            OPERATIONS, "variable", "default", "read by", "what it is"
        )
    }
    common = {field.name for field in msgspec.structs.fields(config.Config)}
    real: dict[str, tuple[str, list[str]]] = {"LOG_LEVEL": ("`INFO`", ["all"])}
    for service, module in SERVICES.items():
        for field in msgspec.structs.fields(module.Config):
            _, readers = real.setdefault(field.name.upper(), (shown(field.default), []))
            readers.append("all" if field.name in common else service)
    assert told == {
        name: (default, ", ".join(sorted(set(readers))))
        for name, (default, readers) in real.items()
    }


def test_the_embedded_platform_has_no_setting_of_its_own():
    mine = {field.name for field in msgspec.structs.fields(Embedded)}
    theirs = {
        field.name
        for module in SERVICES.values()
        for field in msgspec.structs.fields(module.Config)
    }
    assert mine <= theirs


def metrics(telemetry: Telemetry) -> dict[str, str]:
    """The kind of each metric that it registers itself, by name."""
    return {
        metric.name: metric.type
        for metric in telemetry.registry.collect()
        if metric.name.startswith("slipway_")
    }


def test_every_metric_is_described_with_its_kind_and_whose_it_is():
    told = {
        name.strip("`"): (kind, service)
        for name, kind, service, _ in table(OPERATIONS, "metric", "kind", "of", "what it is")
    }
    queue, traffic, builds = Telemetry(), Telemetry(), BuilderTelemetry()
    DriftMeter(None, builds)  # type: ignore[arg-type]
    SchedulerMetrics(queue)
    Meter(traffic)
    GatewayMeter(traffic)
    Sampling(None, traffic)  # type: ignore[arg-type]
    whose = {
        "all": FloorTelemetry(),
        "api": ApiMetrics(),
        "builder": builds,
        "scheduler": queue,
        "router": traffic,
    }
    assert told == {
        name: (kind, service)
        for service, telemetry in whose.items()
        for name, kind in metrics(telemetry).items()
    }


def test_every_type_of_event_is_described():
    told = [row[0].strip("`") for row in table(OPERATIONS, "type", "subject", "when")]
    assert sorted(told) == sorted(FACTS)


def page(*lines: str) -> str:
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("slipway jobs", Kind.RUN),
        (".venv/bin/slipway logs x -f", Kind.FOLLOW),
        ("make up  # in the foreground", Kind.MAKE),
        ("curl -fsS http://127.0.0.1:8080/livez", Kind.RUN),
        ("export A=b", Kind.SETTING),
        ("python -m services.api &", Kind.SERVICE),
        ("python -m services.api.first", Kind.RUN),
        ("python -m http.server", None),
        ("helm history slipway -n slipway", Kind.CLUSTER),
        ("kubectl get pods", Kind.CLUSTER),
        ("rm -rf .slipway", None),
        ("make", None),
    ],
)
def test_a_line_is_of_one_kind(line, found):
    assert kind(Command("page.md", 1, line)) is found


def test_a_command_knows_its_line_and_one_that_goes_on_is_one():
    text = page("# Page", "", "```sh", "# why", "slipway a \\", "  --b", "", "slipway c", "```")
    (block,) = blocks("page.md", text)
    assert [(command.line, command.words) for command in block.commands] == [
        (5, ["slipway", "a", "--b"]),
        (8, ["slipway", "c"]),
    ]
    assert block.commands[1].place == "page.md:8: slipway c"


@pytest.mark.parametrize(
    "lines",
    [
        ("    slipway jobs",),
        ("```", "make up", "```"),
        ("```bash", ".venv/bin/slipway jobs", "```"),
        ("text", "", "    waits", "    python -m services"),
    ],
)
def test_a_command_in_a_block_that_is_not_run_is_found(lines):
    (block,) = blocks("page.md", page(*lines))
    assert len(stray(block)) == 1


def test_a_page_without_commands_has_none():
    text = page("`make` it", "", "```", "POST /v1/projects", "```", "", "    waits for 2", "done")
    assert [stray(block) for block in blocks("page.md", text)] == [[], []]
    assert [command.text for command in inline("page.md", text)] == ["make"]


def test_links_into_the_web_are_left_alone():
    text = "[a](a.md#b) [b](https://b.example) ![c](c.png) [d](#e)"
    assert [link.text for link in links("page.md", text)] == ["a.md#b", "#e"]
