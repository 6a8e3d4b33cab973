"""One statement per file, named by a verb, next to the code that uses it."""

from __future__ import annotations

from importlib import resources


def sql(package: str | None, name: str) -> str:
    """The text of sql/<name>.sql in `package`. A missing file fails at import, not at midnight."""
    assert package is not None
    return (resources.files(package) / "sql" / f"{name}.sql").read_text("utf-8")
