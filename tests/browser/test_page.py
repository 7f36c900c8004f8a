"""The Plan & Usage page in Chromium: figures that come by themselves, forms, mails, who sees what, how it is to use."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from playwright.sync_api import Page, expect

from tests.browser.conftest import APP_OWNER, OPERATOR, OWNER, STRANGER, Stack

pytestmark = pytest.mark.stack
PAGES = (
    "", "workspaces/acme", "workspaces/acme/usage?grain=week", "workspaces/acme/apps", "workspaces/acme/apps/helper",
    "workspaces/acme/credit", "workspaces/acme/plan", "workspaces/acme/people", "workspaces/acme/alerts",
    "workspaces/acme/ledger", "workspaces/acme/ledger/1", "workspaces/acme/events", "workspaces/acme/statements",
    "sign-in", "nowhere",
)  # fmt: skip
WCAG = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]
LOOKS: dict[str, tuple[Any, int, list[str]]] = {
    "light": ("light", 1280, [*WCAG, "best-practice"]), "dark": ("dark", 1280, WCAG), "phone": ("light", 360, WCAG),
}  # fmt: skip
"""Colour scheme, width of the window, and the rules that axe goes by: best practice is the same in all."""
STILL = "for (let number = 1; number < 100; number++) clearInterval(number)"
"""The page loaded now puts no new figures in place any more, whatever stands in their midst."""
SignIn = Callable[..., Page]


def test_an_owner_sees_a_conversation_an_app_run_dry_buys_credit_and_sees_it_respond_again(
    stack: Stack, sign_in: SignIn, tmp_path: Path
) -> None:
    """T6, E1, E3, C4, C10: the app's page is never loaded again; the operator settles in a browser of its own."""
    watching = sign_in(OWNER)
    watching.goto(f"{stack.page}workspaces/acme/apps/helper")
    tile = watching.locator(".tile", has_text="Billed units").locator("b")
    expect(tile).to_have_text("0")
    stack.say("helper", "ann")
    expect(tile).to_have_text("1")
    stack.say("helper", "bob")
    expect(watching.locator("h1")).to_contain_text("not responding")
    expect(watching.locator(".note")).to_contain_text("helper does not respond")

    owner = watching.context.new_page()
    owner.goto(f"{stack.page}workspaces/acme")
    expect(owner.locator(".tile", has_text="Apps responding")).to_contain_text("not: helper")
    owner.get_by_role("link", name="Add funds").click()
    form = owner.locator("#do-request_funds")
    form.get_by_label("Amount").fill("1")
    form.get_by_label("Paid by").select_option("ach")
    form.get_by_role("button").click()
    expect(form.get_by_role("alert")).to_contain_text("C4")  # below the least top-up: refused, in its own words
    expect(form.get_by_label("Paid by")).to_have_value("ach")
    form.get_by_label("Amount").fill("150.00")
    form.get_by_role("button").dblclick()
    expect(owner.locator("#do-request_funds").get_by_role("status")).to_contain_text("Done, in ledger record")
    payments = owner.get_by_role("region", name="Payments")
    expect(payments).to_contain_text("open")
    assert payments.locator("tbody tr").count() == 1, "asked for once, though the button was hit twice"

    operator = sign_in(OPERATOR)
    operator.goto(f"{stack.page}workspaces/acme/credit")
    settle = operator.locator("#do-settle_payment")
    expect(settle.get_by_label("Payment")).to_contain_text("150.00")
    settle.get_by_role("button").click()
    expect(operator.locator("#do-settle_payment").get_by_role("status")).to_contain_text("Done, in ledger record")

    expect(watching.locator("h1")).not_to_contain_text("not responding")
    expect(watching.locator("h1")).to_contain_text("responding")
    owner.reload()
    expect(owner.locator(".tile", has_text="Paid, shared").locator("b")).to_have_text("150.00")
    expect(payments).to_contain_text("settled")
    stack.say("helper", "cyd")
    expect(tile).to_have_text("3")
    _the_mail_is_shown(stack, owner, tmp_path)


def _the_mail_is_shown(stack: Stack, owner: Page, tmp_path: Path) -> None:
    """A3: what the mail server was handed, both texts of it."""
    owner.goto(f"{stack.page}workspaces/acme/alerts")
    row = owner.get_by_role("region", name="Mails").locator("tr", has_text="app stopped").filter(has_text="helper")
    expect(row).to_contain_text("sent")
    expect(row).to_contain_text(OWNER)
    row.get_by_role("link").click()
    expect(owner.locator("h2", has_text="App helper has stopped responding")).to_be_visible()
    shown = owner.frame_locator("iframe.mail")
    expect(shown.locator("h1")).to_have_text("App helper has stopped responding")
    expect(shown.locator("table")).to_contain_text("acme")
    owner.get_by_text("Plain text").click()
    expect(owner.locator("pre.mail")).to_contain_text("App helper has stopped responding")
    owner.screenshot(path=tmp_path / "mail.png", full_page=True)


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
    expect(page.locator("h1")).to_contain_text("unpublished")


def test_w2_a_stranger_is_not_told_of_the_workspace(stack: Stack, sign_in: SignIn) -> None:
    page = sign_in(STRANGER)
    answer = page.goto(f"{stack.page}workspaces/acme")
    assert answer is not None
    assert answer.status == 404
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url(f"{stack.page}sign-in")
    page.goto(stack.page)
    expect(page.get_by_label("Sign-in token")).to_be_visible()


FOCUSED = """() => {
    const now = document.activeElement, style = getComputedStyle(now), box = now.getBoundingClientRect();
    const follows = !window.before || Boolean(window.before.compareDocumentPosition(now) & 4);
    window.before = now;
    return {
        name: now.tagName + " " + (now.id || now.name || now.textContent.trim()).slice(0, 40), follows,
        visible: box.width > 0 && box.height > 0 && box.right > 0 && style.visibility === "visible",
        outlined: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2,
    };
}"""


def test_a_form_can_be_used_with_the_keyboard_alone(stack: Stack, sign_in: SignIn) -> None:
    """Tab goes through everything in the order of the page, and where one is can be seen."""
    page = sign_in(OWNER)
    page.goto(f"{stack.page}workspaces/acme/people")
    page.evaluate(STILL)
    wanted = page.locator("#do-invite_user").get_by_label("Name")
    stops: list[dict[str, Any]] = []
    for _ in range(60):
        page.keyboard.press("Tab")
        stops.append(page.evaluate(FOCUSED))
        if wanted.evaluate("element => element === document.activeElement"):
            break
    expect(wanted).to_be_focused()
    assert stops[0]["name"].startswith("A Skip")
    assert [stop for stop in stops if not (stop["follows"] and stop["visible"] and stop["outlined"])] == []
    page.keyboard.type("kim@acme.example")
    page.keyboard.press("Enter")
    expect(page.locator("#do-invite_user").get_by_role("status")).to_contain_text("Done")
    expect(page.get_by_role("region", name="People")).to_contain_text("kim@acme.example")


def _visits(stack: Stack, sign_in: SignIn) -> Iterator[tuple[str, Page]]:
    """Every page, each loaded once."""
    operator = sign_in(OPERATOR)
    problems: list[str] = []
    operator.on("console", lambda line: problems.append(line.text) if "Content Security" in line.text else None)
    operator.goto(f"{stack.page}workspaces/acme/alerts")
    mail = operator.locator("a[href*='/mails/']").first.get_attribute("href") or ""
    operator.goto(f"{stack.page}workspaces/acme/apps/helper")
    unit = operator.locator("a[href*='/units/']").first.get_attribute("href") or ""
    today = f"{datetime.now(UTC):%Y-%m-%d}"
    by_app = f"workspaces/acme/usage?first={today}&last={today}&by=app"
    for path in (*PAGES, by_app, mail.lstrip("/"), unit.lstrip("/")):
        operator.goto(f"{stack.page}{path}")
        yield path, operator
    member = sign_in(APP_OWNER)
    for path in ("workspaces/acme", "workspaces/acme/apps/orders"):
        member.goto(f"{stack.page}{path}")
        yield f"{path} of a member", member
    assert problems == []


def test_every_page_is_accessible_and_fits_in_light_dark_and_on_a_phone(
    stack: Stack, sign_in: SignIn, tmp_path: Path
) -> None:
    """No serious or critical fault that axe knows of; no page is wider than its window. Screenshots are kept in tmp."""
    axe, problems = Axe(), []
    for number, (path, page) in enumerate(_visits(stack, sign_in)):
        page.evaluate(STILL)
        page.evaluate(axe.axe_script)
        for look, (scheme, width, rules) in LOOKS.items():
            page.emulate_media(color_scheme=scheme)
            page.set_viewport_size({"width": width, "height": 740})
            page.screenshot(path=tmp_path / f"{number:02}-{look}.jpg", full_page=True, type="jpeg", quality=60)
            options = {"resultTypes": ["violations"], "iframes": False, "runOnly": rules}
            found = page.evaluate("options => axe.run(document, options)", options)["violations"]
            problems += [
                f"{path}, {look}: {one['id']} at {one['nodes'][0]['target']}"
                for one in found
                if one["impact"] in ("serious", "critical")
            ]
            if page.evaluate("document.documentElement.scrollWidth > window.innerWidth"):
                problems.append(f"{path}, {look}: wider than the window")
    assert problems == []
