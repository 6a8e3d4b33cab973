"""The operations of batch jobs: a part of the table of operations."""

from __future__ import annotations

from typing import Final

from services.api import outputs, runs, series
from services.api.operation import Operation, get, post
from services.api.types import Empty
from services.api.types_runs import NewRun, Series

VERSION: Final = "/v1/projects/{owner}/{project}/deployments/{deployment}/versions/{version}"
S: Final = "/v1/series/{series}"

RUNS: Final = (
    post(
        VERSION + "/runs",
        runs.of_version,
        "Run a command of a version to its end, as one job or as an array of jobs",
        Series,
        body=NewRun,
        status=201,
        refusals=(409,),
        direct=True,
    ),
    post(
        "/v1/jobs/{job}/runs",
        runs.of_job,
        "Run a command in a job's image to its end, as one job or as an array of jobs",
        Series,
        body=NewRun,
        status=201,
        refusals=(409,),
    ),
    get(S, series.show, "The jobs that were made at once, and how many are in which state", Series),
    post(
        S + "/stop",
        series.stop,
        "Stop all of its jobs that have not ended",
        Series,
        body=Empty,
        may_omit_body=True,
    ),
    post(
        S + "/terminate",
        series.terminate,
        "Give all of its jobs up for good that have ended, with what they left",
        Series,
        body=Empty,
        may_omit_body=True,
    ),
    Operation(
        method="GET",
        path="/v1/jobs/{job}/outputs",
        handler=outputs.download,
        role="read",
        summary="What a finished batch job left in its folder for outputs, as a tar",
        refusals=(409, 416),
        download=True,
    ),
)
