"""A filled-in form as the fields of a command; what cannot be read is a sentence that names field, value and rule."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from projections.web.actions import Action, Field
from schemas.errors import QuarterhourError, excerpt
from schemas.plans import MICROS_PER_USD

_NUMBER = re.compile(r"[0-9]{1,15}")


class Unreadable(QuarterhourError):
    """A form that is no command yet; the message is the sentence to show."""


def command_fields(action: Action, form: Mapping[str, str]) -> dict[str, Any]:
    """The fields of the command. Raises Unreadable."""
    fields: dict[str, Any] = {}
    for field in action.fields:
        text = form.get(field.name, "").strip()
        if not text and not field.is_required and field.kind not in ("usd_list", "number_list"):
            continue
        if not text and field.is_required and field.kind != "email":
            raise Unreadable(f"{field.label}: is missing.")
        place = fields
        *path, last = field.name.split(".")
        for name in path:
            place = place.setdefault(name, {})
        place[last] = _value(field, text)
    return fields


def _value(field: Field, text: str) -> Any:
    match field.kind:
        case "usd":
            return _micros(field, text)
        case "number":
            return _number(field, text)
        case "usd_list":
            return [_micros(field, part) for part in _parts(text)]
        case "number_list":
            return [_number(field, part) for part in _parts(text)]
        case _:
            return text


def _parts(text: str) -> list[str]:
    return [part.strip().rstrip("%").strip() for part in re.split(r"[;\s]+|,(?!\d{3}\b)", text) if part.strip()]


def _micros(field: Field, text: str) -> int:
    plain = text.removeprefix("$").strip()
    if re.fullmatch(r"\d{1,3}(,\d{3})+(\.\d+)?", plain):
        plain = plain.replace(",", "")
    try:
        micros = Decimal(plain) * MICROS_PER_USD if re.fullmatch(r"[0-9]{0,12}(\.[0-9]*)?", plain) else None
    except InvalidOperation:
        micros = None
    if micros is None or micros != micros.to_integral_value():
        raise Unreadable(
            f"{field.label}: {excerpt(text)} is no amount of US dollars such as 150 or 99.50, to six decimals (C7)."
        )
    return int(micros)


def _number(field: Field, text: str) -> int:
    if not _NUMBER.fullmatch(text):
        raise Unreadable(f"{field.label}: {excerpt(text)} is no whole number.")
    return int(text)
