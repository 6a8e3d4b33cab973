"""The operations of the queue: a part of the table of operations."""

from __future__ import annotations

from typing import Final

from services.api import allowances, queue, quotas, why
from services.api.operation import Operation, get
from services.api.types import Page, Paging
from services.api.types_scheduling import (
    Allowance,
    NewAllowance,
    NewQuota,
    Queue,
    QueueQuery,
    Quota,
)
from services.api.types_why import WhyAnswer

OWNER: Final = "/v1/owners/{owner}"
Q: Final = OWNER + "/quotas/{target}/{gpu_type}"

QUEUE: Final = (
    get("/v1/jobs/{job}/why", why.show, "Why a job is in the state that it is in", WhyAnswer),
    get(
        "/v1/targets/{target}/queue",
        queue.show,
        "A target's queue for GPUs: who comes first, and what owners have",
        Queue,
        query=QueueQuery,
    ),
    get(
        "/v1/quotas",
        quotas.index,
        "Quotas that the token sees, by owner, target and GPU type",
        Page[Quota],
        query=Paging,
    ),
    get(OWNER + "/quotas", quotas.of_owner, "An owner's quotas", Page[Quota], query=Paging),
    get(
        Q, quotas.show, "What an owner may have of a target, of a type of GPU or of all (*)", Quota
    ),
    Operation(
        method="PUT",
        path=Q,
        handler=quotas.put,
        role="admin",
        summary="Say what an owner may have of a target",
        body=NewQuota,
        answer=Quota,
    ),
    Operation(
        method="DELETE",
        path=Q,
        handler=quotas.remove,
        role="admin",
        summary="Let an owner have what there is, with nothing guaranteed",
        status=204,
    ),
    get(OWNER + "/allowance", allowances.show, "How an owner counts in the queue", Allowance),
    Operation(
        method="PUT",
        path=OWNER + "/allowance",
        handler=allowances.put,
        role="admin",
        summary="Say how an owner counts in the queue, and which classes it may ask for",
        body=NewAllowance,
        answer=Allowance,
    ),
)
