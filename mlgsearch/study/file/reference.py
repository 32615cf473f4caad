"""Reference points: what others report of the same network on the same data, to draw beside it."""

from typing import Annotated

from pydantic import AfterValidator, Field

from mlgsearch.train.spec import Spec


def _is_line(text: str) -> str:
    if not text.isprintable() or text != text.strip():
        raise ValueError(f"{text!r} must be one line of printable text without spaces at its ends")
    return text


def _is_share(value: float) -> float:
    if not 0 < value <= 1:
        raise ValueError(f"must be above 0 and at most 1, got {value:g}; 93.79 % is 0.9379")
    return value


Line = Annotated[str, Field(min_length=1, max_length=300), AfterValidator(_is_line)]
Share = Annotated[float, Field(strict=False), AfterValidator(_is_share)]


class ReferenceSpec(Spec):
    """A student that somebody else reports; it is drawn, and changes nothing of a study's results.

    ``memory_ratio`` is against the uncompressed network, ``accuracy`` a fraction. ``source`` says
    who reports it, ``protocol`` how it was trained and on which images it was judged.
    """

    name: Line
    memory_ratio: Share
    accuracy: Share
    source: Line
    protocol: Line
