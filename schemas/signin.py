"""Sign-in: who somebody is, as a signed token (W1-W3). What a person may do is not in it; ACCOUNTS knows.

A JSON Web Token (HS256) with the claims `sub` (the person's id, best an e-mail address), `role` (`operator` or `user`),
`iat` and `exp`. All doors of one deployment share the key (`QUARTERHOUR_SIGNING_KEY`); whoever has it is everybody.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Literal, NamedTuple

import jwt

from schemas.errors import ConfigurationError, QuarterhourError

ALGORITHM = "HS256"
MIN_KEY_BYTES = 32
MAX_NAME_CHARACTERS = 200
Role = Literal["operator", "user"]


class Person(NamedTuple):
    """Who signed in: the name ACCOUNTS knows a person by, and whether it is an operator (W3)."""

    name: str
    role: Role

    @property
    def is_operator(self) -> bool:
        """Whether all workspaces are open to the person."""
        return self.role == "operator"


class SignInRefused(QuarterhourError):
    """A token that proves nothing; the message says why, without its content."""


def usable_key(key: str) -> str:
    """The signing key; `ConfigurationError` if there is none or it is too short to resist guessing."""
    if len(key.encode()) < MIN_KEY_BYTES:
        raise ConfigurationError(
            f"QUARTERHOUR_SIGNING_KEY must hold at least {MIN_KEY_BYTES} random bytes; see `openssl rand -hex 32`"
        )
    return key


def is_name(text: object) -> bool:
    """Whether something can be a person's name: printable, 1 to 200 characters, no space at its ends."""
    return (
        isinstance(text, str) and 0 < len(text) <= MAX_NAME_CHARACTERS and text.isprintable() and text == text.strip()
    )


def issue(person: Person, key: str, now: datetime, lifetime: timedelta) -> str:
    """A token for a person from `now` (aware) on. `ConfigurationError` for a name or key that cannot be used."""
    if not is_name(person.name):
        raise ConfigurationError(
            f"person: {person.name[:200]!r} is no name of 1 to {MAX_NAME_CHARACTERS} printable characters"
        )
    claims = {"sub": person.name, "role": person.role, "iat": now, "exp": now + lifetime}
    return jwt.encode(claims, usable_key(key), algorithm=ALGORITHM)


def person_of(token: str, key: str) -> Person:
    """Who a token stands for, now. Raises `SignInRefused`."""
    try:
        claims: dict[str, Any] = jwt.decode(
            token, usable_key(key), algorithms=[ALGORITHM], options={"require": ["sub", "role", "exp"]}
        )
    except jwt.ExpiredSignatureError:
        raise SignInRefused("the token has expired; get a new one") from None
    except (jwt.PyJWTError, ValueError, TypeError, OverflowError):
        raise SignInRefused("the token is not one of ours, or was changed") from None
    name, role = claims["sub"], claims["role"]
    if not is_name(name) or role not in ("operator", "user"):
        raise SignInRefused("the token names no person, or no role we know")
    return Person(name, role)
