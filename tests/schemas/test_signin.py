"""Sign-in tokens (W1-W3): ours are read back, everything else proves nothing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest

from schemas.errors import ConfigurationError
from schemas.signin import Person, SignInRefused, issue, person_of

KEY = "k" * 32
NOW = datetime.now(UTC)
DAY = timedelta(days=1)


@pytest.mark.parametrize("person", [Person("olga@acme.example", "user"), Person("Ömer", "operator")])
def test_a_token_says_who_and_whether_an_operator(person: Person) -> None:
    assert person_of(issue(person, KEY, NOW, DAY), KEY) == person


def made(claims: dict[str, Any], key: str = KEY, algorithm: str = "HS256") -> str:
    """A token of somebody else's making."""
    good = {"sub": "olga", "role": "user", "exp": NOW + DAY}
    kept = {name: value for name, value in {**good, **claims}.items() if value is not None}
    return jwt.encode(kept, key, algorithm=algorithm)


BAD = [
    (issue(Person("olga", "user"), KEY, NOW - 2 * DAY, DAY), "has expired"),
    (made({}, "x" * 32), "not one of ours"),
    (made({}, KEY * 2, "HS512"), "not one of ours"),
    (jwt.encode({"sub": "olga", "role": "operator", "exp": NOW + DAY}, None, algorithm="none"), "not one of ours"),
    (made({})[:-2], "not one of ours"),
    (made({"exp": None}), "not one of ours"),
    (made({"sub": None}), "not one of ours"),
    (made({"sub": 5}), "not one of ours"),
    (made({"role": None}), "not one of ours"),
    (made({"role": "admin"}), "no role we know"),
    (made({"role": ["user"]}), "no role we know"),
    (made({"sub": ""}), "names no person"),
    (made({"sub": " olga"}), "names no person"),
    (made({"sub": "o\nlga"}), "names no person"),
    (made({"sub": "x" * 201}), "names no person"),
    ("", "not one of ours"),
    ("a.b.c", "not one of ours"),
    ("ü", "not one of ours"),
]


@pytest.mark.parametrize(("token", "why"), BAD)
def test_a_token_that_expired_was_changed_or_is_another_s_is_refused_without_telling_it(token: str, why: str) -> None:
    with pytest.raises(SignInRefused, match=why) as refused:
        person_of(token, KEY)
    assert not token or token not in str(refused.value)


def test_a_key_that_could_be_guessed_or_a_name_that_is_none_makes_no_token() -> None:
    with pytest.raises(ConfigurationError, match="QUARTERHOUR_SIGNING_KEY must hold at least 32"):
        issue(Person("olga", "user"), "short", NOW, DAY)
    with pytest.raises(ConfigurationError, match="person: ''"):
        issue(Person("", "user"), KEY, NOW, DAY)
