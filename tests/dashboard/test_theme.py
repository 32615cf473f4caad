"""Colours that everybody can read and distinguish, on paper of either kind."""

import re
from itertools import combinations
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.theme import PALETTES, ink_on
from tests.dashboard.vision import VISIONS, contrast, distance

MARKS = ("front", "complete", "pruned", "fail", "planned", "verified", "reference")
#: In the sheet of style: text, and what it stands on.
TEXTS = [
    *(
        (text, ground)
        for text in ("ink", "faint", "accent")
        for ground in ("paper", "card", "soft")
    ),
    ("on-accent", "accent"),
    ("warn-ink", "warn"),
]


def sheet(scheme: str) -> dict[str, str]:
    """Return the colours of the sheet of style by name."""
    style = Path(__file__).parents[2] / "dashboard" / "assets" / "style.css"
    blocks = re.findall(r":root \{(.*?)\}", style.read_text(), re.DOTALL)
    light, dark = (dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6});", block)) for block in blocks[:2])
    return {"light": light, "dark": dark}[scheme]


@given(st.integers(0, 0xFFFFFF))
def test_words_on_any_colour_are_legible(number: int) -> None:
    colour = f"#{number:06X}"
    assert contrast(ink_on(colour), colour) >= 4.5


def test_contrasts_and_distances_are_those_of_their_definitions() -> None:
    assert contrast("#FFFFFF", "#000000") == pytest.approx(21)
    assert contrast("#777777", "#FFFFFF") == pytest.approx(4.48, abs=0.01)
    assert distance("#FFFFFF", "#000000", "normal") == pytest.approx(100, abs=0.1)
    # The red and the green that are one colour to a reader without green cones.
    apart = [distance("#B05A1E", "#787A14", vision) for vision in ("normal", "deuteranopia")]
    assert apart[1] < apart[0] / 3


@pytest.mark.parametrize("scheme", PALETTES)
def test_text_can_be_read(scheme: str) -> None:
    colours = sheet(scheme)
    poor = [pair for pair in TEXTS if contrast(colours[pair[0]], colours[pair[1]]) < 4.5]
    assert poor == []
    palette = PALETTES[scheme]
    assert min(contrast(text, palette.paper) for text in (palette.ink, palette.faint)) >= 4.5


@pytest.mark.parametrize("scheme", PALETTES)
def test_marks_stand_out_from_the_paper(scheme: str) -> None:
    palette = PALETTES[scheme]
    pale = [mark for mark in MARKS if contrast(getattr(palette, mark), palette.paper) < 3]
    assert pale == []


@pytest.mark.parametrize("vision", VISIONS)
@pytest.mark.parametrize("scheme", PALETTES)
def test_marks_are_told_apart_by_every_colour_vision(scheme: str, vision: str) -> None:
    palette = PALETTES[scheme]
    alike = [
        (one, other)
        for one, other in combinations(MARKS, 2)
        if distance(getattr(palette, one), getattr(palette, other), vision) < 12
    ]
    assert alike == []


@pytest.mark.parametrize("scheme", PALETTES)
def test_the_sheet_of_style_has_the_colours_of_the_charts(scheme: str) -> None:
    colours, palette = sheet(scheme), PALETTES[scheme]
    assert {
        name: colours[name].upper()
        for name in ("card", "ink", "faint", "done", "pruned", "running")
    } == {
        "card": palette.paper,
        "ink": palette.ink,
        "faint": palette.faint,
        "done": palette.front,
        "pruned": palette.pruned,
        "running": palette.planned,
    }
