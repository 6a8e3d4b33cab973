"""The OpenAPI 3.1 document, made from the table of operations and the types that they use."""

from __future__ import annotations

import re
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, Final

import msgspec

from services.api.examples import EXAMPLES
from services.api.operation import Operation
from services.api.types import NoQuery
from shared.problems import CONTENT_TYPE, Problem

TEMPLATE: Final = "#/components/schemas/{name}"
JSON: Final = "application/json"
PROBLEM: Final = {CONTENT_TYPE: {"schema": {"$ref": TEMPLATE.format(name="Problem")}}}
BYTES: Final[dict[str, Any]] = {"application/octet-stream": {"schema": {}}}
STREAM: Final = {"text/event-stream": {"schema": {"type": "string"}}}
CSV: Final = {"text/csv": {"schema": {"type": "string"}}}

ABOUT: Final = """\
Takes a model from a repository to a live endpoint. Errors are problem details (RFC 9457); lists
are pages with a `next` cursor for `?after=`; a POST with an `Idempotency-Key` may be repeated."""

Schema = dict[str, Any]


def document(operations: Sequence[Operation]) -> Schema:
    kinds = [Problem]
    kinds += [operation.answer for operation in operations if operation.answer is not None]
    kinds += [operation.body for operation in operations if operation.body is not None]
    _, schemas = msgspec.json.schema_components(kinds, ref_template=TEMPLATE)
    paths: Schema = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Slipway", "version": "1", "description": ABOUT},
        "servers": [{"url": "/"}],
        "security": [{"token": []}],
        "paths": paths | _own(),
        "components": {
            "schemas": schemas,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "responses": {str(status): _refusal(status) for status in REFUSALS},
        },
    }


REFUSALS: Final = (400, 401, 403, 404, 408, 409, 412, 413, 415, 416, 422, 429, 500, 503)


def _refusal(status: int) -> Schema:
    return {"description": HTTPStatus(status).phrase, "content": PROBLEM}


def _operation(operation: Operation) -> Schema:
    statuses = {400, 401, 403, 404, 422, 500, 503, *operation.refusals}
    if operation.body is not None or operation.upload:
        statuses |= {408, 413, 415}
    refusals = {str(s): {"$ref": f"#/components/responses/{s}"} for s in sorted(statuses)}
    made: Schema = {
        "operationId": operation.name,
        "summary": operation.summary,
        "description": f"Needs a token with the role `{operation.role}`.",
        "tags": [operation.name.partition(".")[0]],
        "responses": {str(operation.status): _answer(operation), **refusals},
    }
    if parameters := _parameters(operation):
        made["parameters"] = parameters
    if operation.upload:
        made["requestBody"] = {"required": True, "content": BYTES}
    elif operation.body is not None:
        content = {JSON: {"schema": _schema(operation.body)}}
        if operation.body in EXAMPLES:
            content[JSON]["example"] = EXAMPLES[operation.body]
        made["requestBody"] = {"required": not operation.may_omit_body, "content": content}
    return made


def _answer(operation: Operation) -> Schema:
    made: Schema = {"description": HTTPStatus(operation.status).phrase}
    if operation.answer is not None:
        made["content"] = {JSON: {"schema": _schema(operation.answer)}}
        made["content"] |= STREAM if operation.streams else {}
    if operation.download:
        made["content"] = BYTES
        made["content"] |= CSV if operation.csv else {}
    if operation.etag:
        tag = {"description": "of this revision, for If-Match", "schema": {"type": "string"}}
        made["headers"] = {"ETag": tag}
    return made


def _schema(kind: Any) -> Schema:
    (schema,), _ = msgspec.json.schema_components([kind], ref_template=TEMPLATE)
    return schema


def _parameters(operation: Operation) -> list[Schema]:
    return [
        *(_in("path", name, {"type": "string"}) for name in re.findall(r"{(\w+)}", operation.path)),
        *_of_query(operation.query),
        *_of_headers(operation),
    ]


def _in(place: str, name: str, schema: Schema) -> Schema:
    made = {"name": name, "in": place, "schema": schema, "required": place == "path"}
    if "description" in schema:
        made["description"] = schema["description"]
    return made


def _of_query(kind: Any) -> list[Schema]:
    if kind is NoQuery:
        return []
    made = []
    for field in msgspec.structs.fields(kind):
        schema, definitions = msgspec.json.schema_components([field.type], ref_template=TEMPLATE)
        inline = _inlined(schema[0], definitions)
        made.append(_in("query", field.encode_name, inline))
    return made


def _inlined(schema: Any, definitions: Schema) -> Any:
    """Query parameters use small types of their own, which need no name."""
    if isinstance(schema, dict):
        if "$ref" in schema:
            return _inlined(definitions[schema["$ref"].rpartition("/")[2]], definitions)
        return {key: _inlined(value, definitions) for key, value in schema.items()}
    return [_inlined(part, definitions) for part in schema] if isinstance(schema, list) else schema


def _of_headers(operation: Operation) -> list[Schema]:
    names = ["Idempotency-Key"] if operation.repeatable else []
    names += ["If-Match", "If-None-Match"] if 412 in operation.refusals else []
    names += ["Last-Event-ID"] if operation.streams else []
    names += ["Range", "If-Range"] if operation.download else []
    return [_in("header", name, {"type": "string", "maxLength": 255}) for name in names]


def _own() -> Schema:
    """What every service answers, and this document."""
    text = {"text/plain": {"schema": {"type": "string"}}}
    told = {
        "/livez": ("Whether the process lives", text, ()),
        "/readyz": ("Whether it can do its work", text, (503,)),
        "/metrics": ("Prometheus metrics", text, ()),
        "/openapi.json": ("This document", {JSON: {"schema": {"type": "object"}}}, ()),
    }
    return {
        path: {
            "get": {
                "operationId": "platform." + path.strip("/").replace(".", "_"),
                "summary": summary,
                "tags": ["platform"],
                "security": [],
                "responses": {
                    "200": {"description": "OK", "content": content},
                    **{
                        str(s): {"description": HTTPStatus(s).phrase, "content": text} for s in more
                    },
                },
            }
        }
        for path, (summary, content, more) in told.items()
    }
