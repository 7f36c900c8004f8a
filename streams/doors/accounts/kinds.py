"""The kinds of commands, as the contract lists them, and how the fields of one are read from a request."""

from __future__ import annotations

import re
from typing import Any, get_args

import msgspec
from msgspec import inspect

from schemas.commands import CommandBody
from schemas.errors import excerpt
from schemas.interactions import NAME_PATTERN
from schemas.nesting import depth_of
from schemas.units import Name
from streams.doors.accounts.problems import Problem, Refused

MAX_DEPTH = 16
_WHERE = re.compile(r" - at `\$\.?([^`]*)`$")
_MISSING = re.compile(r"^Object missing required field `(\w+)`")
_NAME = re.compile(NAME_PATTERN)


def kind_of(body: type) -> str:
    """What a command body is called, e.g. `add_funds`."""
    return str(getattr(body, "__struct_config__").tag)  # noqa: B009 - a msgspec Struct, which `type` does not know


KINDS: dict[str, Any] = {kind_of(body): body for body in get_args(CommandBody)}


def read_body(kind: str, value: bytes) -> CommandBody:
    """The fields of a command of this kind. `Refused` with 400 names field, value and rule."""
    if depth_of(value) > MAX_DEPTH:
        raise _bad("", "", f"at most {MAX_DEPTH} levels", "the body is nested too deeply")
    try:
        fields = msgspec.json.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _bad(
            "", value[:200].decode("utf-8", "replace"), "JSON (RFC 8259)", f"the body is no JSON: {error}"
        ) from None
    if not isinstance(fields, dict):
        raise _bad("", excerpt(fields), "a JSON object", "the body is no JSON object")
    body_type = KINDS[kind]
    strange = unknown_field(kind, fields)
    if strange:
        raise _bad(strange, "", f"fields of {kind}", f"{strange} is not known of {kind}")
    try:
        body: CommandBody = msgspec.convert({**fields, "kind": kind}, body_type)
    except msgspec.ValidationError as error:
        raise _not_convertible(kind, fields, str(error)) from None
    for field in name_fields(body_type):
        check_name(field, getattr(body, field))
    return body


def unknown_field(kind: str, fields: dict[str, Any]) -> str:
    """The first field that commands of this kind do not have; "" if there is none."""
    return _strange(fields, inspect.type_info(KINDS[kind]))


def check_name(field: str, name: str | None) -> None:
    """Names of workspaces and apps are those that events can carry; others would lead nowhere."""
    if name is not None and not _NAME.match(name):
        raise _bad(field, name, f"pattern {NAME_PATTERN}", f"{field} is no name")


def name_fields(body: type) -> list[str]:
    """The fields of a command that name an app."""
    found = inspect.type_info(body)
    assert isinstance(found, inspect.StructType)
    name = inspect.type_info(Name)
    return [field.name for field in found.fields if name in _alternatives(field.type)]


def _strange(value: Any, kind: inspect.Type, where: str = "") -> str:
    """The first field that the contract does not know; "" if there is none."""
    for struct in _alternatives(kind):
        if isinstance(struct, inspect.StructType) and isinstance(value, dict):
            known = {field.encode_name: field.type for field in struct.fields}
            for name, found in value.items():
                path = f"{where}.{name}" if where else str(name)
                if name not in known:
                    return excerpt(path)
                if strange := _strange(found, known[name], path):
                    return strange
    return ""


def _alternatives(kind: inspect.Type) -> tuple[inspect.Type, ...]:
    return kind.types if isinstance(kind, inspect.UnionType) else (kind,)


def _not_convertible(kind: str, fields: dict[str, Any], said: str) -> Refused:
    found = _WHERE.search(said)
    path = found.group(1) if found else ""
    words = _WHERE.sub("", said)
    if missing := _MISSING.match(words):
        path = ".".join(part for part in (path, missing.group(1)) if part)
        return _bad(path, "", f"required of {kind}", f"{path} is missing")
    value: Any = fields
    for part in re.findall(r"\w+", path):
        if isinstance(value, list) and part.isdigit() and int(part) < len(value):
            value = value[int(part)]
        else:
            value = value.get(part) if isinstance(value, dict) else None
    return _bad(path, excerpt(value), f"schema of {kind}", f"{path}: {words}" if path else words)


def _bad(field: str, value: str, rule: str, words: str) -> Refused:
    return Refused(400, Problem(f"{words}.", excerpt(field), excerpt(value), rule))
