"""Roles times commands, as the page offers them and as ACCOUNTS decides (W2, W3).

The oracle is the account core itself, asked with the real command: what is offered is not refused to the person, what
is refused is not offered, and a form that was never shown gets the core's own sentence.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from projections.loader.records import TopicPartition
from projections.membership import STRANGER, Standing
from projections.web.account_api import AccountApi
from projections.web.actions import ACTIONS, KNOWN_KINDS, Action, offered
from projections.web.application import application
from projections.web.database import Database
from projections.web.gate import COOKIE
from schemas.catalog import load_catalog
from schemas.commands import Actor, Command, decode_inbox
from schemas.routing import partition_of
from schemas.settings import Settings
from schemas.topics import INBOX
from streams.accounts.state import AccountState
from streams.doors.accounts.application import application as account_door
from tests.accounts.story import T0
from tests.accounts.test_matrix import ACCEPTED, STATES, content, founded
from tests.doors.counter import Counter
from tests.projections.fake_source import PARTITIONS
from tests.projections.people_world import people_world
from tests.projections.serving import serving
from tests.projections.test_admission import KEY, token

PEOPLE = ("root", "olga", "ben", "dan", "ann", "eve")
"""Operator, owner, owner of app `bot`, member, whoever the state says, stranger."""
NOT_OFFERED = {
    ("root", "request_funds"),  # an operator records payments that were made
    ("ben", "set_email"),  # of one's own, by command; owners do it on the page
}
"""What a person may do that has no form: by decision, each with its reason."""


def standing_of(account: AccountState, name: str) -> Standing:
    """What the account itself says a person is."""
    role: Any = account.people.get(name)
    if name == "root":
        return Standing("operator")
    if role is None:
        return STRANGER
    owns = frozenset(app.app for app in account.apps.values() if app.owner == name)
    works_on = frozenset(app.app for app in account.apps.values() if name in app.collaborators)
    return Standing(role, owns, works_on)


def pages_of(kind: str, has_app: bool) -> set[str]:
    """The pages with a form of this kind: an app's own, where the command names one that exists."""
    pages = {action.page for action in ACTIONS if action.kind == kind}
    return pages & {"app"} if has_app and "app" in pages else pages - {"app"}


@pytest.mark.parametrize("state", sorted(set(STATES) - {"nothing"}))
def test_w2_w3_what_is_offered_is_not_refused_and_what_is_refused_is_not_offered(state: str) -> None:
    story = founded(state)
    for number, (body, states) in enumerate(ACCEPTED):
        if state not in states:
            continue  # no occasion for it, whoever asks
        kind, app = str(body.__struct_config__.tag), str(getattr(body, "app", None) or "")
        pages = pages_of(kind, app in story.account().apps)
        for name in PEOPLE:
            standing = standing_of(story.account(), name)
            is_offered = any(
                kind in {action.kind for action in offered(page, standing, app if page == "app" else "")}
                for page in pages
            )
            actor = Actor("operator" if name == "root" else "user", name)
            (record,) = story.tell(Command(f"x{number}-{name}", "acme", T0, actor, body))
            is_obeyed = record.kind != "command_refused"
            where = f"{state}, {name}, {body}, on {pages}: {record.note}"
            if is_obeyed != is_offered:
                assert is_obeyed, where
                assert (name, kind) in NOT_OFFERED, where
            if is_obeyed:
                story = founded(state)


class InProcess(httpx.BaseTransport):
    """The account API in this process."""

    def __init__(self, served: Any) -> None:
        self._served = served

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        async def answered() -> httpx.Response:
            async with httpx.AsyncClient(transport=httpx.ASGITransport(self._served)) as client:
                return await client.send(request)

        answer = asyncio.run(answered())
        return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)


@pytest.fixture(scope="module")
def counter() -> Counter:
    """The account core, told what the people's world was told."""
    made, log = Counter(), people_world().log
    for record in log.records[TopicPartition(INBOX, partition_of("acme", PARTITIONS))]:
        if isinstance(fact := decode_inbox(record.value or b""), Command) and fact.workspace == "acme":
            made.story.tell(fact)
    return made


@pytest.fixture(scope="module")
def address(people_database: tuple[str, Any], counter: Counter) -> Iterator[str]:
    api = AccountApi("http://accounts.example/", InProcess(account_door(counter, KEY)))
    settings = Settings(signing_key=KEY, accounts_url="http://accounts.example/")
    with serving(application(Database(people_database[0]), load_catalog(), settings, api)) as found:
        yield found


SAMPLES = {"usd": "100", "usd_list": "50", "number": "2", "number_list": "20", "email": "x@x.example"}
PRESET = {"user": "max", "to_app": "", "from_app": "shop", "plan": "essential", "workspace": "acme", "owner": "sam",
          "product": "search_ai", "payment_id": "acme/funds/c1", "contract.overage_micros": ""}  # fmt: skip


def filled(action: Action, app: str) -> dict[str, str]:
    """A form as a program would send it that saw no page."""
    form = {"page": action.page, "of": "", "app": app}
    for field in action.fields:
        first = field.choices[0][0] if field.choices and not isinstance(field.choices, str) else "some"
        form[field.name] = PRESET.get(field.name, SAMPLES.get(field.kind, first))
    return {**form, "app": "new" if action.kind == "create_app" else app}


FORGERS = {
    "wanda": (Standing("owner"), "shop"), "anton": (Standing("member", frozenset({"shop"})), "lab"),
    "cole": (Standing("member", works_on=frozenset({"shop"})), "shop"), "ivy": (Standing("invited"), "shop"),
    "sam": (STRANGER, "shop"),
}  # fmt: skip
"""Owner of the workspace; owner of another app; collaborator; invited; stranger: and the app they try it on."""
MAY = {("anton", "set_email"), ("cole", "set_email"), ("wanda", "set_email")}


@pytest.mark.parametrize("name", FORGERS)
def test_w3_a_form_that_was_not_shown_is_refused_with_a_sentence_and_changes_nothing(
    address: str, counter: Counter, name: str
) -> None:
    standing, app = FORGERS[name]
    forged = [a for a in ACTIONS if a.kind in KNOWN_KINDS and a not in offered(a.page, standing, app)]
    shown = {a.kind for a in ACTIONS if a in offered(a.page, standing, app)}
    before = content(counter.story.account())
    headers = {"Origin": address, "Cookie": f"{COOKIE}={token(name)}"}
    with httpx.Client(base_url=address, headers=headers, timeout=60) as client:
        for number, action in enumerate(forged):
            if action.kind in shown or (name, action.kind) in MAY:
                continue  # the same command from another page of theirs
            workspace = "" if action.page == "workspaces" else "/workspaces/acme"
            form = {**filled(action, app), "key": f"forged-{name}-{number}"}
            reply = client.post(f"{workspace}/actions/{action.kind}", data=form)
            where = f"{name}, {action.page}, {action.kind}: {reply.status_code} {reply.headers.get('location', '')}"
            assert reply.status_code in (403, 404, 422), where
            (said,) = re.findall(r'role="alert">(?:<p>)?([^<]+)', reply.text)
            assert said.strip().endswith((").", ".")), where
            assert re.search(r"\((W|P|C|E|A)\d", said), f"{where}: {said}"
    assert content(counter.story.account()) == before
