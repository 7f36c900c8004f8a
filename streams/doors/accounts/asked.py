"""A request, checked: who asks (bearer token), under which key, and which command it is."""

from __future__ import annotations

import re
import time

from starlette.requests import ClientDisconnect, Request

from schemas.commands import Actor, Command
from schemas.errors import excerpt
from schemas.signin import Person, SignInRefused, person_of
from streams.doors.accounts.kinds import check_name, read_body
from streams.doors.accounts.problems import Problem, Refused

MAX_BODY_BYTES = 64 * 1024
KEY_HEADER = "Idempotency-Key"
KEY_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._:@-]{0,127}$"
_KEY = re.compile(KEY_PATTERN.replace("$", r"\Z"))


def person_asking(request: Request, signing_key: str) -> Person:
    """Who the bearer token stands for; 401 without a good one."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise _unknown("sign in: send `Authorization: Bearer TOKEN`; `quarterhour token` makes one", "")
    try:
        return person_of(token.strip(), signing_key)
    except SignInRefused as why:
        raise _unknown(str(why), ' error="invalid_token"') from None


def key_asked(text: str) -> str:
    """The idempotency key, which is the command's id; 400 if it is none."""
    if not _KEY.match(text):
        words = f"{KEY_HEADER}: a key of 1 to 128 letters, digits and ._:@- is required, the same for the same command."
        raise Refused(400, Problem(words, KEY_HEADER, excerpt(text), f"pattern {KEY_PATTERN}"))
    return text


def workspace_asked(request: Request) -> str:
    """The workspace of the path."""
    workspace: str = request.path_params["workspace"]
    check_name("workspace", workspace)
    return workspace


async def command_asked(request: Request, kind: str, person: Person) -> Command:
    """The command of a request, at the time it is received."""
    workspace, key = workspace_asked(request), key_asked(request.headers.get(KEY_HEADER, ""))
    body = read_body(kind, await _content(request))
    actor = Actor("operator" if person.is_operator else "user", person.name)
    return Command(key, workspace, time.time_ns() // 1000, actor, body, received=True)


async def _content(request: Request) -> bytes:
    content = bytearray()
    try:
        async for chunk in request.stream():
            content += chunk
            if len(content) > MAX_BODY_BYTES:
                words = f"the body is larger than {MAX_BODY_BYTES} bytes."
                raise Refused(413, Problem(words, "", "", f"at most {MAX_BODY_BYTES} bytes"), {"Connection": "close"})
    except ClientDisconnect:
        raise Refused(400, Problem("the body ended too early.")) from None
    return bytes(content)


def _unknown(words: str, detail: str) -> Refused:
    header = {"WWW-Authenticate": f'Bearer realm="quarterhour"{"," if detail else ""}{detail}'}
    return Refused(401, Problem(f"{words}."), header)
