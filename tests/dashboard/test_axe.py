"""What axe-core, the accessibility checker of most browsers' tools, finds on the pages."""

import importlib.resources
from typing import Any

import pytest

from tests.dashboard.serving import Visit
from tests.dashboard.test_every_page import NARROW, PAGES, WIDE, deep_and_uniform, opened

fill = pytest.fixture(scope="module")(lambda: deep_and_uniform)

_RUN = "() => axe.run(document, { resultTypes: ['violations'] })"


@pytest.fixture(scope="module")
def axe() -> str:
    """axe-core's script, as the package axe-playwright-python carries it."""
    package = pytest.importorskip("axe_playwright_python", reason="axe-core is not installed")
    script = importlib.resources.files(package) / "axe.min.js"
    return script.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "_look",
    [
        pytest.param(name, id=name, marks=pytest.mark.view(viewport=size, color_scheme=scheme))
        for name, size, scheme in (
            ("light", WIDE, "light"),
            ("dark", WIDE, "dark"),
            ("dark and narrow", NARROW, "dark"),
        )
    ],
)
@pytest.mark.parametrize("address", PAGES)
def test_nothing_serious_is_found(visit: Visit, axe: str, address: str, _look: str) -> None:
    page = opened(visit, address)
    page.evaluate(axe)
    found: dict[str, Any] = page.evaluate(_RUN)
    assert found["testEngine"]["name"] == "axe-core"
    assert found["passes"], "no rule applied"
    assert _serious(found) == []


def _serious(found: dict[str, Any]) -> list[tuple[str, str]]:
    return [
        (violation["id"], node["html"])
        for violation in found["violations"]
        if violation["impact"] in ("serious", "critical")
        for node in violation["nodes"]
    ]
