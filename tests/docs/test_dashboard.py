"""The dashboard's page of documentation names every page, every address of the API, every field."""

import re
from pathlib import Path

from dashboard.app import PAGES
from dashboard.server.api import openapi

ROOT = Path(__file__).parents[2]
DOCUMENT = (ROOT / "docs" / "dashboard.md").read_text()
OPENAPI = openapi()


def listed(heading: str) -> list[str]:
    found = re.search(rf"^#+ {heading}\n(.*?)(?=^#|\Z)", DOCUMENT, re.DOTALL | re.MULTILINE)
    assert found is not None
    return re.findall(r"^\| `([^`?]+)[^`]*` \|", found[1], re.MULTILINE)


def test_every_page_is_listed() -> None:
    assert listed("Pages") == [page.path for page in PAGES]


def test_every_address_and_parameter_of_the_api_is_listed() -> None:
    assert listed("JSON for scripts") == list(OPENAPI["paths"])
    for path in OPENAPI["paths"].values():
        for parameter in path["get"].get("parameters", []):
            assert parameter["name"] in DOCUMENT


def test_every_field_of_a_study_is_listed() -> None:
    assert listed("A study") == list(OPENAPI["components"]["schemas"]["Study"]["properties"])
