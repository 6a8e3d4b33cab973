"""`slipway gpus` and `slipway targets`: what the platform has."""

from __future__ import annotations

from slipway.cli.context import Commands, Context, command


def add(commands: Commands) -> None:
    command(
        commands, "gpus", gpus, "list GPU types, how many there are and are free", "slipway gpus"
    )
    command(commands, "targets", targets, "list where jobs can run", "slipway targets")


async def gpus(context: Context) -> None:
    found = await context.client.gpus()
    context.out.rows(
        found,
        ("type", "total", "free", "price an hour"),
        lambda gpu: (gpu.type, gpu.total, gpu.free, gpu.price_per_hour),
    )
    for line in (line for gpu in found for line in gpu.quarantined):
        context.out.say(f"given to nobody: {line}")
    if not found:
        context.out.say("no GPUs here; SLIPWAY_GPUS declares some where there is no driver")


async def targets(context: Context) -> None:
    found = await context.client.targets()
    context.out.rows(
        found,
        ("target", "kind", "gpus"),
        lambda target: (
            target.name,
            target.kind,
            ", ".join(f"{gpu.free} of {gpu.total} {gpu.type} free" for gpu in target.gpus),
        ),
    )
