"""HTML attributes whose names have dashes: ``aria-*`` and ``data-*``."""

from typing import Any


def attributes(**values: str | None) -> dict[str, Any]:
    """Return them for a component: ``html.Div(**attributes(aria_label="Pages"))``; skip None.

    Dash takes them as keywords, which Python's names cannot say and its types do not know.
    """
    return {name.replace("_", "-"): value for name, value in values.items() if value is not None}
