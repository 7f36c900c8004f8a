"""A statement and its parameters as a form, which is how clickhouse-connect sends parameters too long for an address.

Files, which would be external tables, are not served.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping

from starlette.datastructures import Headers
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.types import Receive

from projections.embedded.body import Body
from projections.embedded.errors import refusal

MOST_FIELDS = 1_000
LONGEST_FIELD_BYTES = 16 << 20


async def read_form(headers: Mapping[str, str], receive: Receive) -> dict[str, str] | None:
    """The fields of a multipart body; None for a body that is none. Raises `ClickHouseError` for a form that is broken
    or brings files, `ClientGoneError` where it ends too early."""
    if not headers.get("content-type", "").lower().startswith("multipart/"):
        return None
    if headers.get("content-encoding", "identity").lower() != "identity":
        raise refusal("NOT_IMPLEMENTED", "Compressed multipart bodies are not served.")
    parser = MultiPartParser(
        Headers(headers), _pieces(Body(receive, "")), max_files=0, max_fields=MOST_FIELDS,
        max_part_size=LONGEST_FIELD_BYTES,
    )  # fmt: skip
    try:
        fields = await parser.parse()
    except (MultiPartException, ValueError, KeyError) as error:
        words = f"Multipart bodies that are broken, or bring files, are not served: {error}"
        raise refusal("NOT_IMPLEMENTED", words) from None
    return {name: value for name, value in fields.multi_items() if isinstance(value, str)}


async def _pieces(body: Body) -> AsyncGenerator[bytes, None]:
    while not body.finished:
        yield await body.piece(1)
