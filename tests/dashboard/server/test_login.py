"""Logging in with a real browser, which sends cookies, forms and their origins as it pleases."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.dashboard.serving import Visit, serving

TOKEN = "correct-horse-battery-staple"


@pytest.fixture(scope="module")
def served(database_file: Path) -> Iterator[str]:
    with serving(f"sqlite:///{database_file}", TOKEN) as address:
        yield address


def test_a_visitor_is_asked_once_and_led_to_the_page(visit: Visit) -> None:
    page = visit.page
    page.goto(f"{visit.base}/study?name=digits&trials=12")
    page.get_by_label("Token").fill("a wrong guess")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).not_to_be_empty()
    visit.complaints.clear()  # the browser reports the answer 403
    page.get_by_label("Token").fill(TOKEN)
    page.get_by_role("button", name="Log in").click()
    expect(page).to_have_url(re.compile(r"/study\?name=digits&trials=12$"))
    expect(page.locator(".trial-card")).to_contain_text("Trial 12")
    (cookie,) = page.context.cookies()
    assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
    assert page.evaluate("document.cookie") == ""
    visit.go("/study?name=digits")
    expect(page.get_by_role("heading", level=1)).to_have_text("digits")
