"""`slipway deploy`: from a folder or a repository with a valohai.yaml to a version that runs."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from slipway.cli import scheduling, values
from slipway.cli.context import Commands, Context, command
from slipway.cli.progress import Progress
from slipway.deploy import Step
from slipway.types import Version


def add(commands: Commands) -> None:
    parser = command(
        commands,
        "deploy",
        deploy,
        "make a version of a folder with a valohai.yaml and run it",
        "slipway deploy examples/iris",
        "slipway deploy . --deployment iris --file predict.model=model.pkl --alias production",
        "slipway deploy . --endpoint predict --concurrency 4 --env LOG_LEVEL=debug --wait",
        "slipway deploy my-fastapi-app --strip-prefix --wait",
        "slipway deploy . --target eu --replicas 2 --replicas predict=4",
        "slipway deploy . --target eu --autoscale predict=1-5,requests=8",
        "slipway deploy --git https://git.example/ann/iris.git --ref v1.2",
    )
    code = parser.add_mutually_exclusive_group(required=True)
    code.add_argument(
        "path", metavar="PATH", nargs="?", type=Path, help="a folder, or a .tar.gz of one"
    )
    code.add_argument("--git", metavar="URL", help="a repository that is fetched, in place of PATH")
    parser.add_argument("--ref", metavar="R", help="with --git: a branch, tag or commit [HEAD]")
    parser.add_argument("--folder", metavar="F", help="with --git: the folder that is the code")
    parser.add_argument("--deployment", metavar="D", help="created if missing [the folder's name]")
    parser.add_argument("--version", metavar="V", help="its name [YYYYMMDD.N]")
    parser.add_argument(
        "--file",
        metavar="ENDPOINT.FILE=PATH",
        type=values.version_file,
        action="append",
        default=[],
        help="a file that an endpoint declares; may be repeated",
    )
    parser.add_argument("--alias", metavar="A", help="point it at the version once all of it runs")
    parser.add_argument("--wait", action="store_true", help="until every endpoint runs")
    parser.add_argument("--env", metavar="KEY=VALUE", type=values.pair, action="append", default=[])
    parser.add_argument(
        "--endpoint",
        metavar="E",
        action="append",
        help="only this endpoint of the file; may be repeated",
    )
    parser.add_argument(
        "--concurrency",
        metavar="N",
        type=values.positive,
        help="requests that a replica works on at once",
    )
    parser.add_argument(
        "--replicas",
        metavar="[ENDPOINT=]N",
        type=values.replicas,
        action="append",
        default=[],
        help="copies of an endpoint, or of each, on a cluster; may be repeated [1]",
    )
    parser.add_argument(
        "--autoscale",
        metavar="[ENDPOINT=]MIN-MAX[,requests=N]",
        type=values.autoscaling_of,
        action="append",
        default=[],
        help="as many copies as there is work for: at most N requests in hand at each; also"
        " waiting=N, cpu=PERCENT, down-after=SECONDS; may be repeated",
    )
    parser.add_argument(
        "--target", metavar="T", help="of a deployment that is created; see `slipway targets`"
    )
    parser.add_argument(
        "--strip-prefix",
        action="store_true",
        help="servers are asked for /predict, not for /OWNER/PROJECT/D/V/E/predict",
    )
    scheduling.add(parser)
    parser.add_argument("--yaml", metavar="FILE", type=Path, help="instead of PATH/valohai.yaml")
    parser.add_argument("--timeout", metavar="SECONDS", type=values.positive, help="with --wait")


async def deploy(context: Context) -> int:
    args, out = context.args, context.out
    context.hint = "`slipway jobs` shows what has been submitted"
    with out.working(f"fetching {args.git}" if args.git else f"packing {args.path}") as show:
        progress = Progress(out, show)

        def watch(step: Step) -> None:
            context.hint = _hint(step) or context.hint
            progress.step(step)

        version = await context.client.deploy(
            args.path,
            git=args.git,
            ref=args.ref,
            folder=args.folder,
            deployment=args.deployment,
            version=args.version,
            files=_files(args),
            endpoints=args.endpoint,
            environment=dict(args.env) or None,
            serving=_serving(args),
            scheduling=_scheduling(args),
            replicas=dict(args.replicas) or None,
            autoscaling=dict(args.autoscale) or None,
            target=args.target,
            config=None if args.yaml is None else values.read(args.yaml),
            alias=args.alias,
            wait=args.wait,
            timeout=args.timeout,
            watch=watch,
        )
    out.value(version, lambda: _show(context, version))
    return 0


def _hint(step: Step) -> str:
    """How to go on when Ctrl-C comes after this step."""
    place = "" if step.version is None else f"{step.version.deployment} {step.version.name}"
    match step.kind:
        case "submitted":
            return f"it is built all the same; `slipway cancel {place}` puts an end to it"
        case "built":
            return f"it is started all the same; `slipway version {place}` shows how it goes"
        case _:
            return ""


def _files(args: argparse.Namespace) -> dict[str, dict[str, Path]]:
    files: dict[str, dict[str, Path]] = {}
    for endpoint, name, path in args.file:
        files.setdefault(endpoint, {})[name] = path
    return files


def _serving(args: argparse.Namespace) -> dict[str, dict[str, Any]] | None:
    said = {"concurrency": args.concurrency, "strip_prefix": args.strip_prefix or None}
    given = {key: value for key, value in said.items() if value is not None}
    return dict.fromkeys(args.endpoint or ["*"], given) if given else None


def _scheduling(args: argparse.Namespace) -> dict[str, dict[str, Any]] | None:
    given = scheduling.said(args)
    return dict.fromkeys(args.endpoint or ["*"], given) if given else None


def _show(context: Context, version: Version) -> None:
    for name, url in version.urls.items():
        context.out.line(f"{name}  {url}")
    if not (context.args.wait or context.args.alias):
        context.out.say(
            f"not waiting: `slipway version {version.deployment} {version.name}` shows how it goes"
        )
