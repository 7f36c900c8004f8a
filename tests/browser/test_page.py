"""The Plan & Usage page in Chromium: figures that come by themselves, forms, who sees what, and how it is to use."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from playwright.sync_api import Page, expect

from tests.browser.conftest import APP_OWNER, OPERATOR, OWNER, STRANGER, Stack

pytestmark = pytest.mark.stack
SOON = 30_000
PAGES = (
    "", "workspaces/acme", "workspaces/acme/usage?grain=week", "workspaces/acme/apps", "workspaces/acme/apps/helper",
    "workspaces/acme/credit", "workspaces/acme/plan", "workspaces/acme/people", "workspaces/acme/alerts",
    "workspaces/acme/ledger", "workspaces/acme/ledger/1", "workspaces/acme/events", "workspaces/acme/statements",
    "sign-in", "nowhere",
)  # fmt: skip
SignIn = Callable[..., Page]


def test_an_owner_sees_a_conversation_an_app_run_dry_and_respond_again(stack: Stack, sign_in: SignIn) -> None:
    """T6, E1, E3: nobody loads the owner's page again; an operator adds funds in a browser of its own."""
    owner = sign_in(OWNER)
    owner.goto(f"{stack.page}workspaces/acme/apps/helper")
    tile = owner.locator(".tile", has_text="Billed units").locator("b")
    expect(tile).to_have_text("0")
    stack.say("helper", "ann")
    expect(tile).to_have_text("1", timeout=SOON)
    stack.say("helper", "bob")
    expect(owner.locator("h1")).to_contain_text("not responding", timeout=SOON)
    expect(owner.locator(".note")).to_contain_text("helper does not respond")

    operator = sign_in(OPERATOR)
    operator.goto(f"{stack.page}workspaces/acme/credit")
    form = operator.locator("#do-add_funds")
    form.get_by_label("Amount").fill("1")
    form.get_by_label("Reference").fill("wire-1")
    form.get_by_role("button").click()
    expect(form.get_by_role("alert")).to_contain_text("C4")  # below the least top-up: refused, in its own words
    expect(form.get_by_label("Reference")).to_have_value("wire-1")
    form.get_by_label("Amount").fill("150.00")
    form.get_by_role("button").dblclick()
    expect(operator.locator("#do-add_funds").get_by_role("status")).to_contain_text("Done, in ledger record")
    paid = operator.locator(".tile", has_text="Paid, shared").locator("b")
    expect(paid).to_have_text("150.00", timeout=SOON)  # once, though the button was hit twice

    expect(owner.locator("h1")).not_to_contain_text("not responding", timeout=SOON)
    expect(owner.locator("h1")).to_contain_text("responding")
    stack.say("helper", "cyd")
    expect(tile).to_have_text("3", timeout=SOON)


def test_w2_the_owner_of_an_app_sees_and_manages_that_app_alone(stack: Stack, sign_in: SignIn) -> None:
    page = sign_in(APP_OWNER)
    page.goto(f"{stack.page}workspaces/acme")
    expect(page.get_by_role("link", name="orders")).to_be_visible()
    expect(page.locator("main")).not_to_contain_text("helper")
    for path in ("workspaces/acme/apps/helper", "workspaces/acme/credit", "workspaces/acme/ledger"):
        answer = page.goto(f"{stack.page}{path}")
        assert answer is not None
        assert answer.status == 403
        expect(page.locator("h1")).to_have_text("Not for you")
    page.goto(f"{stack.page}workspaces/acme/apps/orders")
    expect(page.get_by_role("button", name="Unpublish")).to_be_visible()
    page.get_by_role("button", name="Unpublish").click()
    expect(page.get_by_role("status").filter(has_text="Done")).to_be_visible()
    expect(page.locator("h1")).to_contain_text("unpublished", timeout=SOON)


def test_w2_a_stranger_is_not_told_of_the_workspace(stack: Stack, sign_in: SignIn) -> None:
    page = sign_in(STRANGER)
    answer = page.goto(f"{stack.page}workspaces/acme")
    assert answer is not None
    assert answer.status == 404
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url(f"{stack.page}sign-in")
    page.goto(stack.page)
    expect(page.get_by_label("Sign-in token")).to_be_visible()


def test_a_form_can_be_used_with_the_keyboard_alone(stack: Stack, sign_in: SignIn) -> None:
    page = sign_in(OWNER)
    page.goto(f"{stack.page}workspaces/acme/people")
    wanted = page.locator("#do-invite_user").get_by_label("Name")
    for _ in range(60):
        page.keyboard.press("Tab")
        if wanted.evaluate("element => element === document.activeElement"):
            break
    expect(wanted).to_be_focused()
    page.keyboard.type("kim@acme.example")
    page.keyboard.press("Enter")
    expect(page.locator("#do-invite_user").get_by_role("status")).to_contain_text("Done")
    expect(page.get_by_role("region", name="People")).to_contain_text("kim@acme.example", timeout=SOON)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("light", {"color_scheme": "light"}),
        ("dark", {"color_scheme": "dark"}),
        ("phone", {"viewport": {"width": 360, "height": 740}, "is_mobile": True, "has_touch": True}),
    ],
)
def test_every_page_is_accessible_and_fits(
    stack: Stack, sign_in: SignIn, tmp_path_factory: pytest.TempPathFactory, name: str, options: dict[str, Any]
) -> None:
    """No serious or critical fault that axe knows of; no page is wider than its window. Screenshots are kept in tmp."""
    folder: Path = tmp_path_factory.mktemp(f"screens-{name}")
    page = sign_in(OPERATOR, **options)
    problems: list[str] = []
    page.on("console", lambda line: problems.append(line.text) if "Content Security" in line.text else None)
    today = f"{datetime.now(UTC):%Y-%m-%d}"
    for number, path in enumerate((*PAGES, f"workspaces/acme/usage?first={today}&last={today}&by=app")):
        page.goto(f"{stack.page}{path}")
        page.screenshot(path=folder / f"{number:02}.png", full_page=True)
        # The dark pages differ in their colours, those of the phone in nothing that axe looks at.
        rules = {"light": {}, "dark": {"runOnly": ["color-contrast"]}}.get(name)
        found = [] if rules is None else Axe().run(page, options=rules).response["violations"]
        problems += [
            f"{path}: {one['id']} at {one['nodes'][0]['target']}"
            for one in found
            if one["impact"] in ("serious", "critical")
        ]
        if page.evaluate("document.documentElement.scrollWidth > window.innerWidth"):
            problems.append(f"{path}: wider than the window")
    assert problems == []
