"""The table of operations: routes and the OpenAPI document are made from it."""

from __future__ import annotations

from typing import Any, Final

from services.api import (
    aliases,
    copies,
    deployments,
    endpoints,
    events,
    gpus,
    jobs,
    logs,
    owners,
    projects,
    said,
    sources,
    uploads,
    versions,
)
from services.api.operation import Handler, Operation
from services.api.types import (
    Alias,
    Connection,
    Deployment,
    Empty,
    Events,
    Following,
    GpuType,
    Job,
    JobsQuery,
    LogLine,
    MadeToken,
    MoveAlias,
    NewDeployment,
    NewEndpoint,
    NewOwner,
    NewProject,
    NewToken,
    NewVersion,
    Owner,
    Page,
    Paging,
    Project,
    Review,
    RollBack,
    Scale,
    Target,
    Token,
    Upload,
    Version,
    VersionSummary,
    Whoami,
)
from services.api.types_git import NewSource, Source

P: Final = "/v1/projects/{owner}/{project}"
D: Final = P + "/deployments/{deployment}"


def _get(path: str, handler: Handler, summary: str, answer: Any, **more: Any) -> Operation:
    asked = {"role": "read", **more}
    return Operation(
        method="GET", path=path, handler=handler, summary=summary, answer=answer, **asked
    )


def _post(path: str, handler: Handler, summary: str, answer: Any, **more: Any) -> Operation:
    asked = {"role": "write", **more}
    return Operation(
        method="POST", path=path, handler=handler, summary=summary, answer=answer, **asked
    )


ACCOUNTS: Final = (
    _get("/v1/whoami", owners.whoami, "Whom the token speaks for, and where traffic goes", Whoami),
    _post(
        "/v1/owners",
        owners.make,
        "Make an owner",
        Owner,
        role="admin",
        body=NewOwner,
        status=201,
        refusals=(409,),
    ),
    _get(
        "/v1/owners", owners.index, "Owners that the token sees, by name", Page[Owner], query=Paging
    ),
    _get("/v1/owners/{owner}", owners.show, "One owner", Owner),
    _post(
        "/v1/owners/{owner}/tokens",
        owners.make_token,
        "Make a token; it is shown this once",
        MadeToken,
        body=NewToken,
        may_omit_body=True,
        status=201,
        refusals=(409,),
    ),
    _get(
        "/v1/owners/{owner}/tokens",
        owners.tokens,
        "Tokens of an owner, newest first, without their secrets",
        Page[Token],
        role="write",
        query=Paging,
    ),
    Operation(
        method="DELETE",
        path="/v1/owners/{owner}/tokens/{token}",
        handler=owners.revoke_token,
        role="write",
        summary="Revoke a token; it is refused everywhere within 5 seconds",
        status=204,
    ),
    _post(
        "/v1/projects",
        projects.make,
        "Make a project",
        Project,
        body=NewProject,
        status=201,
        refusals=(409,),
    ),
    _get(
        "/v1/projects",
        projects.index,
        "Projects that the token sees, oldest first",
        Page[Project],
        query=Paging,
    ),
    _get(P, projects.show, "One project", Project),
)

DEPLOYING: Final = (
    _post(
        P + "/uploads",
        uploads.make,
        "Upload code or a file as the raw body",
        Upload,
        status=201,
        upload=True,
    ),
    Operation(
        method="HEAD",
        path=P + "/uploads/{digest}",
        handler=uploads.head,
        role="read",
        summary="Whether the project has uploaded this, so that it need not again",
    ),
    _post(
        P + "/sources",
        sources.make,
        "Have code fetched from a git repository, to be used like an upload",
        Source,
        body=NewSource,
        status=202,
        refusals=(409,),
    ),
    _get(
        P + "/sources",
        sources.index,
        "Code from git repositories, newest first",
        Page[Source],
        query=Paging,
    ),
    _get(P + "/sources/{source}", sources.show, "One of them, and whether it is there", Source),
    _post(
        P + "/deployments",
        deployments.make,
        "Make a deployment",
        Deployment,
        body=NewDeployment,
        status=201,
        refusals=(409,),
    ),
    _get(
        P + "/deployments",
        deployments.index,
        "Deployments, oldest first",
        Page[Deployment],
        query=Paging,
    ),
    _get(D, deployments.show, "One deployment and where its aliases point", Deployment),
    _post(
        D + "/versions/review",
        versions.preview,
        "What would happen if this version were made; nothing is",
        Review,
        body=NewVersion,
    ),
    _post(
        D + "/versions",
        versions.make,
        "Make a version of a valohai.yaml's endpoints, and a job for each",
        Version,
        body=NewVersion,
        status=201,
        refusals=(409, 429),
    ),
    _get(
        D + "/versions",
        versions.index,
        "Versions, newest first",
        Page[VersionSummary],
        query=Paging,
    ),
    _get(D + "/versions/{version}", versions.show, "A version by its name or by an alias", Version),
    _post(
        D + "/versions/{version}/cancel",
        versions.cancel,
        "Cancel the build of a version; it fails, and so do the jobs that wait for it",
        Version,
        body=Empty,
        may_omit_body=True,
        refusals=(409,),
    ),
    _get(
        D + "/versions/{version}/logs",
        logs.of_version,
        "The build's log, newest first; as a stream, oldest first",
        Page[LogLine],
        query=Following,
        streams=True,
        refusals=(503,),
    ),
    _get(D + "/aliases", aliases.index, "Aliases by name", Page[Alias]),
    _get(
        D + "/aliases/{alias}",
        aliases.show,
        "One alias and where it pointed before",
        Alias,
        etag=True,
    ),
    Operation(
        method="PUT",
        path=D + "/aliases/{alias}",
        handler=aliases.put,
        role="write",
        summary="Point an alias at a version, at once for all traffic",
        body=MoveAlias,
        answer=Alias,
        etag=True,
        refusals=(409, 412),
    ),
    _post(
        D + "/aliases/{alias}/rollback",
        aliases.rollback,
        "Point an alias at the version before the present one",
        Alias,
        body=RollBack,
        may_omit_body=True,
        etag=True,
        refusals=(409, 412),
    ),
    _post(
        P + "/endpoints/review",
        endpoints.preview,
        "What would happen if this endpoint were submitted; nothing is",
        Review,
        body=NewEndpoint,
    ),
    _post(
        P + "/endpoints",
        endpoints.make,
        "Submit a proxiML endpoint",
        Job,
        body=NewEndpoint,
        status=201,
        refusals=(409, 429),
    ),
)

RUNNING: Final = (
    _get(
        P + "/jobs", jobs.of_project, "A project's jobs, newest first", Page[Job], query=JobsQuery
    ),
    _get(
        "/v1/jobs", jobs.index, "Jobs that the token sees, newest first", Page[Job], query=JobsQuery
    ),
    _get("/v1/jobs/{job}", jobs.show, "One job", Job),
    _post(
        "/v1/jobs/{job}/stop",
        jobs.stop,
        "Stop a job; stopping it twice is stopping it once",
        Job,
        body=Empty,
        may_omit_body=True,
        refusals=(409,),
    ),
    _post(
        "/v1/jobs/{job}/restart",
        jobs.restart,
        "Queue a stopped job again, from its original image",
        Job,
        body=Empty,
        may_omit_body=True,
        refusals=(409,),
    ),
    _post(
        "/v1/jobs/{job}/terminate",
        jobs.terminate,
        "Give a stopped or failed job up for good",
        Job,
        body=Empty,
        may_omit_body=True,
        refusals=(409,),
    ),
    _post(
        "/v1/jobs/{job}/scale",
        copies.scale,
        "Let a job have so many copies; more begin as soon as there is room for them",
        Job,
        body=Scale,
        refusals=(409,),
    ),
    _get(
        "/v1/jobs/{job}/connection",
        jobs.connection,
        "How to call a running job",
        Connection,
        refusals=(409,),
    ),
    _get(
        "/v1/jobs/{job}/sbom",
        said.sbom,
        "What is in the job's image: a CycloneDX bill of materials",
        said.Document,
        refusals=(409,),
    ),
    _get(
        "/v1/jobs/{job}/provenance",
        said.provenance,
        "How the job's image was made: an in-toto statement, in its envelope if it is signed",
        said.Document,
        refusals=(409,),
    ),
    _get(
        "/v1/jobs/{job}/logs",
        logs.of_job,
        "A job's log, newest first; as a stream, oldest first",
        Page[LogLine],
        query=Following,
        streams=True,
    ),
    _get(
        "/v1/jobs/{job}/build/logs",
        logs.of_build,
        "The log of the build of a job's image, newest first; as a stream, oldest first",
        Page[LogLine],
        query=Following,
        streams=True,
    ),
    _get(
        "/v1/gpus",
        gpus.index,
        "GPU types: how many there are, how many are free, what one costs",
        Page[GpuType],
    ),
    _get(
        "/v1/targets",
        gpus.targets,
        "Where jobs can run, the usual place first, and the GPUs of each",
        Page[Target],
    ),
    _get(
        "/v1/events",
        events.index,
        "What happened, oldest first, as CloudEvents; also as a stream",
        Events,
        query=Following,
        streams=True,
    ),
)

OPERATIONS: Final = (*ACCOUNTS, *DEPLOYING, *RUNNING)
