"""What to expect of trials, as the commands print it."""

from typing import TYPE_CHECKING

from mlgsearch.words import counted

if TYPE_CHECKING:
    from mlgsearch.results.analysis.uncertainty.expectation import Expectation, Expectations


def expected(found: "Expectation | None", tied_with: int | None = None) -> str:
    """Write an expectation with its interval, how many trainings verified it, and what it ties."""
    if found is None:
        return ""
    text = f"{found.accuracy:.1%} ({100 * found.low:.1f} to {100 * found.high:.1f})"
    if found.seeds:
        text += f", verified ({counted(found.seeds, 'seed')})"
    return text if tied_with is None else f"{text} ≈ {tied_with}"


def what_is_expected(expectations: "Expectations") -> str:
    """Describe the expectations of a study, and what they rest on."""
    said = "expected: a new training on new images, and the range of 90% of them"
    if expectations.is_of_test_part:
        said += "; verified: the mean of its seeds on the test part"
    if expectations.samples is None:
        said += "; from the scatter alone: how many validation images there were is not stored"
    return said
