"""The OpenAPI 3.1 document, from the endpoint declarations and from what the dialects make of sample refusals."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Any

import msgspec

import sessiond
from sessiond.domain.errors import Refusal, Unavailable
from sessiond.http.answer import encode_body
from sessiond.http.counting import QUOTA_HEADERS, RATE_LIMITED, never
from sessiond.http.credentials import BEARER_SERVER_KEY
from sessiond.http.dialect import Dialect
from sessiond.http.edge import Edge
from sessiond.http.endpoint import Endpoint
from sessiond.http.refusals import (
    BAD_HOST,
    BodyTooLarge,
    CrossSite,
    Defect,
    EmptyBody,
    Fault,
    InvalidMembers,
    MalformedBody,
    UnsupportedMediaType,
)
from sessiond.http.router import MALFORMED_PATH

Json = dict[str, Any]

_TEMPLATE_NAME = re.compile(r"\{([^}]+)\}")
_SAMPLE_FAULTS = (Fault("/member", "Expected `str`, got `int`"),)
_REF = "#/components/schemas/{name}"


def document(dialects: Sequence[Dialect], edge: Edge) -> bytes:
    """Return the document as JSON."""
    schemas = _Schemas(dialects)
    paths: Json = {}
    security: Json = {}
    for dialect in dialects:
        for endpoint in dialect.endpoints:
            for template in endpoint.paths:
                operation = _operation(dialect, endpoint, template, schemas)
                paths.setdefault(template, {})[endpoint.method.lower()] = operation
            for scheme in (scheme for schemes in endpoint.credential.schemes for scheme in schemes):
                security[scheme.name] = dict(scheme.document)
    return msgspec.json.encode(
        {
            "openapi": "3.1.0",
            "info": {
                "title": "sessiond",
                "version": sessiond.__version__,
                "summary": "The session layer for any application",
                "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
            },
            "servers": [{"url": edge.public_url or "/"}],
            "tags": [{"name": d.name, "description": d.description or d.title} for d in dialects],
            "paths": paths,
            "components": {"schemas": schemas.components, "securitySchemes": security},
        }
    )


class _Schemas:
    """The schema of every type that any endpoint or dialect names."""

    def __init__(self, dialects: Sequence[Dialect]) -> None:
        types = list(dict.fromkeys(_types(dialects)))
        schemas, self.components = msgspec.json.schema_components(
            types, schema_hook=_any_json, ref_template=_REF
        )
        self._schemas = dict(zip(types, schemas, strict=True))

    def of(self, kind: type) -> Json:
        return self._schemas[kind]


def _any_json(kind: type) -> Json:
    """Return the schema of a member that may hold any JSON, declared as `object`."""
    if kind is object:
        return {"description": "Any JSON value."}  # msgspec takes an empty schema for none
    raise NotImplementedError(f"{kind} has no JSON schema")


def _types(dialects: Iterable[Dialect]) -> Iterable[type]:
    for dialect in dialects:
        yield from (media.type for media in dialect.refusal_media)
        for endpoint in dialect.endpoints:
            named = (endpoint.request, endpoint.query, *endpoint.answers.values())
            yield from (kind for kind in named if kind is not None)


def _operation(dialect: Dialect, endpoint: Endpoint, template: str, schemas: _Schemas) -> Json:
    words = re.sub(r"[^A-Za-z0-9]+", "_", template).strip("_")
    operation: Json = {
        "operationId": f"{dialect.name}_{endpoint.method.lower()}_{words}",
        "summary": endpoint.summary,
        "tags": [dialect.name, *endpoint.tags],
        "responses": _responses(dialect, endpoint, schemas),
    }
    description = endpoint.description
    if template != endpoint.path:
        description = f"The same as `{endpoint.path}`. {description}".strip()
    if description:
        operation["description"] = description
    parameters = [
        *_path_parameters(endpoint, template),
        *_query_parameters(endpoint, schemas),
        *_header_parameters(endpoint),
    ]
    if parameters:
        operation["parameters"] = parameters
    if endpoint.request is not None:
        schema = schemas.of(endpoint.request)
        operation["requestBody"] = {
            "required": not endpoint.body_optional,
            "content": {content_type: {"schema": schema} for content_type in endpoint.content_types},
        }
    if endpoint.credential.schemes:
        operation["security"] = [
            {scheme.name: [] for scheme in schemes} for schemes in endpoint.credential.schemes
        ]
    return operation


def _path_parameters(endpoint: Endpoint, template: str) -> list[Json]:
    return [
        {
            "name": name,
            "in": "path",
            "required": True,
            "schema": {"type": "string", "minLength": 1},
            **({"description": endpoint.params[name]} if name in endpoint.params else {}),
        }
        for name in _TEMPLATE_NAME.findall(template)
    ]


def _query_parameters(endpoint: Endpoint, schemas: _Schemas) -> list[Json]:
    if endpoint.query is None:
        return []
    name = schemas.of(endpoint.query)["$ref"].rpartition("/")[2]
    schema = schemas.components[name]
    required = schema.get("required", [])
    return [
        {
            "name": member,
            "in": "query",
            "required": member in required,
            "schema": shape,
            **({"description": shape["description"]} if "description" in shape else {}),
        }
        for member, shape in schema["properties"].items()
    ]


def _header_parameters(endpoint: Endpoint) -> list[Json]:
    return [
        {"name": name, "in": "header", "description": description, "schema": {"type": "string"}}
        for name, description in {**endpoint.credential.headers, **endpoint.headers}.items()
    ]


def _responses(dialect: Dialect, endpoint: Endpoint, schemas: _Schemas) -> Json:
    responses: Json = {}
    for status, kind in endpoint.answers.items():
        responses[str(status)] = {"description": HTTPStatus(status).phrase}
        if kind is not None:
            responses[str(status)]["content"] = {endpoint.answer_type: {"schema": schemas.of(kind)}}
    for refusal in sample_refusals(endpoint):
        answer = dialect.refuse(refusal, None)
        response = responses.setdefault(str(answer.status), {"description": HTTPStatus(answer.status).phrase})
        body, content_type = encode_body(answer)
        if content_type is None:
            continue
        media = response.setdefault("content", {}).setdefault(
            content_type, {"schema": _refusal_schema(dialect, content_type, schemas)}
        )
        example = body.decode() if isinstance(answer.body, str) else msgspec.json.decode(body)
        media.setdefault("examples", {}).setdefault(
            refusal.code, {"summary": refusal.detail, "value": example}
        )
    limited = responses.get(str(HTTPStatus.TOO_MANY_REQUESTS.value))
    if limited is not None and _is_counted(endpoint):
        told = {"Retry-After": "Seconds to wait.", **QUOTA_HEADERS}
        limited["headers"] = {
            name: {"description": text, "schema": {"type": "string"}} for name, text in told.items()
        }
    return dict(sorted(responses.items()))


def _refusal_schema(dialect: Dialect, content_type: str, schemas: _Schemas) -> Mapping[str, object]:
    for media in dialect.refusal_media:
        if media.content_type == content_type:
            return schemas.of(media.type)
    raise ValueError(f"the dialect {dialect.name} refuses as {content_type} and does not declare it")


def sample_refusals(endpoint: Endpoint) -> Sequence[Refusal]:
    """Return a sample of everything that *endpoint* may refuse: its own, the credential's and the dispatcher's."""
    samples: list[Refusal] = [*endpoint.refusals, *endpoint.credential.refusals]
    samples.append(BAD_HOST)
    if any("{" in path for path in endpoint.paths):
        samples.append(MALFORMED_PATH)
    if endpoint.takes_body:
        samples += [MalformedBody(), BodyTooLarge(endpoint.max_body)]
        samples.append(UnsupportedMediaType(None, endpoint.content_types))
        if not endpoint.body_optional and not endpoint.raw_json:
            samples.append(EmptyBody())
        if not endpoint.raw_json:
            samples.append(InvalidMembers(_SAMPLE_FAULTS))
    if _is_counted(endpoint):
        samples.append(RATE_LIMITED)
    if endpoint.query is not None:
        samples.append(InvalidMembers(_SAMPLE_FAULTS, where="query"))
    if endpoint.same_origin:
        samples.append(CrossSite())
    samples += [Unavailable("store_unavailable", "The store cannot be reached now; try again."), Defect()]
    return samples


def _is_counted(endpoint: Endpoint) -> bool:
    """Tell whether a request may count towards a rate limit."""
    if endpoint.counting is not None:
        return endpoint.counting is not never
    return any(BEARER_SERVER_KEY in schemes for schemes in endpoint.credential.schemes)
