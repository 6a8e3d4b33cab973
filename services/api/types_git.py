"""What the API takes and gives about code that the platform fetches itself."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from msgspec import Meta

from services.api.types import Ask, Give

SourceState = Literal["fetching", "ready", "failed"]


class NewSource(Ask, frozen=True, kw_only=True):
    """Code in a public git repository. What it is now is fetched once and never changes."""

    url: Annotated[str, Meta(max_length=10_000, description="https://host/path, no credentials")]
    ref: Annotated[
        str,
        Meta(
            max_length=100_000,
            description="a branch, a tag, refs/… or a whole commit id; HEAD by default",
        ),
    ] = ""
    path: Annotated[
        str, Meta(max_length=100_000, description="the folder of the repository that is the code")
    ] = ""


class Source(Give, frozen=True, kw_only=True):
    """`digest` is there once it is ready, and may be used like that of an upload."""

    id: str
    owner: str
    project: str
    url: str
    ref: str
    path: str
    state: SourceState
    reason: str  # why it failed
    commit: str | None
    digest: str | None
    size: int | None
    notes: list[str]
    created_at: datetime
    changed_at: datetime
