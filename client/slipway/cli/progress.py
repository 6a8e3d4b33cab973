"""What a person sees while something is being deployed or waited for."""

from __future__ import annotations

from collections.abc import Callable

from slipway.cli.output import Output
from slipway.deploy import Step
from slipway.types import Job, Source, Upload
from slipway.types_models import Application, ModelVersion

Show = Callable[[str], None]


class Progress:
    """Tells each step as it happens; `show` is the line that moves."""

    def __init__(self, out: Output, show: Show) -> None:
        self._out = out
        self._show = show
        self._packed = 0
        self._said: set[str] = set()

    def step(self, step: Step) -> None:
        if step.kind == "packing":
            self._packed += 1
            self._show(f"packing {step.text}")
        elif step.upload is not None:
            self._uploaded(step.text, step.upload)
        elif step.source is not None:
            self._source(step.source)
        elif step.kind == "submitted" and step.version is not None:
            self._out.say(f"version {step.version.deployment}/{step.version.name}", "bold")
            self._show("building")
        elif step.line is not None:
            self._said.add(step.line.text)
            whose = f"{step.text} | " if step.text else ""
            self._out.say(f"  {whose}{step.line.text}", "dim")
        elif step.kind == "built" and step.version is not None:
            self._built(step.version.notes)
        elif step.job is not None:
            self.job(step.job)
        elif step.model is not None:
            self._model(step.text, step.model)
        elif step.application is not None:
            self._application(step.application)
        elif step.alias is not None:
            self._out.say(f"alias {step.alias.name} → {step.alias.version}", "green")
            for name, url in step.alias.urls.items():
                self._out.say(f"  {name}  {url}")

    def job(self, job: Job) -> None:
        """A job is in another state, or waits for another reason."""
        told = f"failed: {job.reason}" in self._said  # by its build
        why = f": {job.reason}" if job.reason and not told else ""
        some = job.state == "running" and job.copies != job.copies_running
        copies = f", {job.copies_running} of {job.copies} copies" if some else ""
        self._show(f"{job.name} is {job.state}{copies}{why}")
        self._out.say(f"{job.name} is {job.state}{copies}{why}")

    def _uploaded(self, what: str, upload: Upload) -> None:
        files = f", {self._packed} file{'s' * (self._packed != 1)}" if self._packed else ""
        self._packed = 0
        size = f"({human(upload.size)}{files})"
        self._out.say(
            f"uploaded {what} {size}" if upload.sent else f"{what} is there already {size}"
        )
        self._show("submitting")

    def _source(self, source: Source) -> None:
        if source.state == "fetching":
            self._show(f"fetching {source.url}")
        elif source.commit is not None:
            self._out.say(f"fetched {source.url} at {source.commit} ({human(source.size or 0)})")
            for note in source.notes:
                self._out.say(f"  note: {note}", "dim")
            self._show("submitting")

    def _model(self, called: str, version: ModelVersion) -> None:
        if version.state == "ready":
            self._out.say(f"{called} is released", "green")
            for note in (note for note in version.notes if note not in self._said):
                self._out.say(f"  note: {note}", "dim")

    def _application(self, application: Application) -> None:
        reasons = application.reason or "; ".join(application.troubles)
        why = f": {reasons}" if reasons else ""
        self._show(f"{application.name} is {application.state}{why}")
        if application.state != "failed":  # an error tells that
            colour = "green" if application.state == "ready" else ""
            self._out.say(f"{application.name} is {application.state}{why}", colour)

    def _built(self, notes: list[str]) -> None:
        self._out.say("built", "green")
        for note in (note for note in notes if note not in self._said):
            self._out.say(f"  note: {note}", "dim")
        self._show("starting")


def human(size: float) -> str:
    """`1.5 MB`"""
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"
