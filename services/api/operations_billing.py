"""The operations of bills and budgets: a part of the table of operations."""

from __future__ import annotations

from typing import Final

from services.api import budgets, statements, usage
from services.api.operation import Operation, get
from services.api.types_billing import Budget, NewBudget, Statement, Usage, UsageQuery

OWNER: Final = "/v1/owners/{owner}"

BILLS: Final = (
    get(
        "/v1/usage",
        usage.index,
        "What GPUs were held for how long, and what that cost; also as CSV, then all lines at once",
        Usage,
        query=UsageQuery,
        csv=True,
    ),
    get(
        OWNER + "/statements/{month}",
        statements.show,
        "A month of an owner's, by project, job, GPU type and price; also as CSV",
        Statement,
        csv=True,
    ),
    get(
        OWNER + "/budget", budgets.show, "What an owner may spend in a month, and has spent", Budget
    ),
    Operation(
        method="PUT",
        path=OWNER + "/budget",
        handler=budgets.put,
        role="admin",
        summary="Say what an owner may spend in a month",
        body=NewBudget,
        answer=Budget,
    ),
    Operation(
        method="DELETE",
        path=OWNER + "/budget",
        handler=budgets.remove,
        role="admin",
        summary="Let an owner spend as much as it likes",
        status=204,
    ),
)
