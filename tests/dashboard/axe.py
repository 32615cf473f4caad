"""axe-core, the accessibility checker of most browsers' tools, on a page."""

import importlib.resources
import importlib.util
import os
from typing import Any

import pytest
from playwright.sync_api import Page

_RUN = "() => axe.run(document, { resultTypes: ['violations'] })"


def axe_script() -> str:
    """Return its script, as axe-playwright-python carries it, a wheel of PyPI and no npm package.

    Without it the test is skipped, but not in continuous integration.
    """
    if importlib.util.find_spec("axe_playwright_python") is None:
        why = "axe-core is not installed: pip install axe-playwright-python"
        if os.environ.get("CI"):
            pytest.fail(why)
        pytest.skip(why)
    script = importlib.resources.files("axe_playwright_python") / "axe.min.js"
    return script.read_text(encoding="utf-8")


def found_by_axe(page: Page, axe: str) -> list[tuple[str, str]]:
    """Return what it finds on a page that is serious."""
    page.evaluate(axe)
    found: dict[str, Any] = page.evaluate(_RUN)
    assert found["testEngine"]["name"] == "axe-core"
    assert found["passes"], "no rule applied"
    return [
        (violation["id"], node["html"])
        for violation in found["violations"]
        if violation["impact"] in ("serious", "critical")
        for node in violation["nodes"]
    ]
