"""COMPLETE trials in the colours of their groups, off the front and on it."""

from dashboard.charts.colouring import NO_GROUP, Colouring
from dashboard.charts.density import density_of_groups
from dashboard.charts.trial_marks import MOST_MARKS, TrialMarks
from dashboard.theme import Palette, Trace, text
from mlgsearch.results.analysis.trial_columns import Rows

#: A trace for the legend alone: plotly names none without a point.
NAME_ALONE = {"type": "scatter", "x": [None], "y": [None], "mode": "markers", "showlegend": True}


class GroupMarks:
    """Draws trials as ``marks`` would, each group in its colour and with its name."""

    def __init__(self, colouring: Colouring, marks: TrialMarks, palette: Palette) -> None:
        self._colouring = colouring
        self._marks = marks
        self._palette = palette
        self._colours = colouring.colours(palette)

    def colours_of(self, rows: Rows) -> list[str]:
        """Return a colour per trial; one that is in no group has that of COMPLETE trials."""
        groups = self._colouring.groups[rows].tolist()
        return [
            self._palette.complete if group == NO_GROUP else self._colours[group]
            for group in groups
        ]

    def traces(self, rows: Rows) -> list[Trace]:
        """Draw a trace per group; where trials are many, one image, and the groups' names."""
        groups = self._colouring.groups[rows]
        known = rows[groups != NO_GROUP]
        is_image = len(rows) > MOST_MARKS and len(known) > 0
        drawn = []
        if is_image:
            of_known = self._colouring.groups[known]
            x, y = self._marks.x[known], self._marks.y[known]
            is_log = self._marks.axis.shown.is_log10
            drawn = [density_of_groups(x, y, of_known, colours=self._colours, is_log_x=is_log)]
        for place, (label, colour) in enumerate(
            zip(self._colouring.labels, self._colours, strict=True)
        ):
            own = rows[groups == place]
            name = f"{text(self._colouring.title)} {text(label)} ({len(own):,})"
            marker = {"symbol": "circle", "size": 7, "color": colour}
            if not is_image:
                drawn.append(self._marks.points(own, name, marker))
            elif len(own):
                drawn.append(NAME_ALONE | {"marker": marker, "name": name})
        others = rows[groups == NO_GROUP]
        if len(others) and not is_image:
            marker = {"symbol": "circle", "size": 7, "color": self._palette.complete}
            drawn.append(self._marks.points(others, f"others ({len(others):,})", marker))
        return drawn
