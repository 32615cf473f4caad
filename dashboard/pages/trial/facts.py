"""A trial in words: its state, what it costs, where it comes from, and who lies next to it."""

import math
from collections.abc import Sequence

from dash import html
from dash.development.base_component import Component

from dashboard.database import Database
from dashboard.pages.trial.data import TrialData
from dashboard.pages.trial.first_entry import first_entry
from dashboard.parts.attributes import attributes
from dashboard.parts.copyable import copyable
from dashboard.parts.page import card, facts_list, link
from dashboard.parts.values.cells import hyperparameter
from dashboard.parts.values.expected import expected
from dashboard.parts.values.states import STATE_WORDS
from dashboard.parts.values.student import written_bytes
from mlgsearch.records import TrialState
from mlgsearch.results.analysis.neighbours import Trade
from mlgsearch.results.trial_fields import further_measures
from mlgsearch.words import TIMES

Facts = Sequence[tuple[str, Component | str]]

_EXPECTED = "expected of a new training on new images"


def facts(data: TrialData) -> list[Component]:
    """Return what it reached and what it costs, and the error where there is one."""
    shown: list[Component] = [
        _group("Result", _result(data)),
        _group("Size and cost", _sizes(data)),
    ]
    if data.trial.error:
        # A long one scrolls, by keyboard as well.
        error = html.Pre(
            data.trial.error,
            className="error",
            tabIndex="0",
            role="region",
            **attributes(aria_label="Error"),
        )
        shown.insert(0, card("Error", error))
    return shown


def origin(data: TrialData) -> list[Component]:
    """Return how it was trained, and where it comes from."""
    return [
        _group("Training", _training(data)),
        _group("Where it comes from", _origin(data)),
    ]


def take_home(database: Database, data: TrialData) -> list[Component]:
    """Return the commands that make something of the trial, and its settings to try again."""
    name, number = data.study.name, data.trial.number
    shown: list[Component] = []
    if data.trial.state is TrialState.COMPLETE:
        out = f"student-{number}.safetensors"
        export = database.command("export", name, number, out)
        verify = database.command("verify", name, "--trials", number)
        shown += [
            html.H3("The student as a packed file"),
            copyable("trial-export", export, what="the export command"),
            html.H3("Train it again under other seeds, and read the test part"),
            copyable("trial-verify", verify, what="the verify command"),
        ]
        if database.safe_url != database.url:
            shown.append(
                html.P(
                    "The database's password is not written here: set MLGSEARCH_STORAGE to its "
                    "URL before you run a command.",
                    className="faint",
                )
            )
    else:
        shown.append(
            html.P(
                f"The trial is {STATE_WORDS[data.trial.state]}: only a complete one can be "
                "exported and verified."
            )
        )
    if data.trial.settings:
        shown += [
            html.H3("Its settings, for a study file: paste them under search: first:"),
            copyable("trial-yaml", first_entry(data.study, data.trial), what="the settings"),
        ]
        if not data.study.layers:
            shown.append(
                html.P(
                    "This study was driven by an earlier version, which did not keep the layers "
                    "it searches: all are written, and a study file takes the searched ones only.",
                    className="faint",
                )
            )
    return shown


def around(data: TrialData) -> list[Component]:
    """Describe the trial's neighbours on the front, and what they trade."""
    if data.around is None:
        return [html.P("Only a complete trial has neighbours on the front.", className="faint")]
    trades = [_trade(data, label, trade) for label, trade in data.around.labelled]
    if not trades:
        return [html.P("It is the only student on the front.", className="faint")]
    return [html.Ul(trades, className="trades")]


def _trade(data: TrialData, label: str, trade: Trade) -> html.Li:
    other = link(f"trial {trade.number}", "/study/trial", name=data.study.name, number=trade.number)
    return html.Li([f"{label}: ", other, f": {trade.sentence}."])


def _result(data: TrialData) -> Facts:
    trial = data.trial
    state = STATE_WORDS[trial.state] + (", on the front" if data.is_on_front else "")
    rows: list[tuple[str, Component | str]] = [("state", state)]
    if trial.accuracy is not None:
        rows.append(("validation accuracy", f"{100 * trial.accuracy:.2f} %"))
        if data.expectation is not None:
            rows.append((_EXPECTED, expected(data.expectation)))
        if data.study.teacher_accuracy is not None:
            below = 100 * (data.study.teacher_accuracy - trial.accuracy)
            word = "below" if below >= 0 else "above"
            rows.append(("against the teacher", f"{abs(below):.2f} points {word}"))
    if trial.loss is not None:
        rows.append(("validation loss", f"{trial.loss:.4f}"))
    rows += further_measures(trial).items()
    rows.append(("epochs", f"{trial.epochs_done} of {trial.epochs_wanted}"))
    return rows


def _sizes(data: TrialData) -> Facts:
    sizes, packed = data.trial.sizes, data.trial.packed_bytes
    ratio = f"{sizes.memory_ratio:.4f} ({TIMES}{1 / sizes.memory_ratio:.1f} smaller)"
    rows = [("memory ratio", ratio)]
    if packed is not None:
        rows.append(("packed file", f"{written_bytes(packed)} ({packed:,} bytes)"))
    return [
        *rows,
        ("bits, by the paper's rule", f"{sizes.bits:,}"),
        ("parameters", f"{sizes.parameters:,}"),
        ("parameter ratio", f"{sizes.parameter_ratio:.4f}"),
        ("MACs to rebuild the weights", f"{sizes.generation_macs:,}"),
        ("MACs of a forward pass", f"{sizes.execution_macs:,}"),
    ]


def _training(data: TrialData) -> Facts:
    trial = data.trial
    rows: list[tuple[str, Component | str]] = [("seed", str(trial.seed))]
    rows += [(name, hyperparameter(value)) for name, value in trial.hyperparameters.items()]
    rows += [
        (f"{stage.replace('_', ' ')} took", f"{seconds:,.1f} s")
        for stage, seconds in trial.stage_seconds.items()
        if math.isfinite(seconds)
    ]
    return rows


def _origin(data: TrialData) -> Facts:
    trial = data.trial
    rows: list[tuple[str, Component | str]] = []
    if trial.reused_from is not None:
        source = link(
            f"trial {trial.reused_from}",
            "/study/trial",
            name=data.study.name,
            number=trial.reused_from,
        )
        rows.append(("shares the result of", source))
    rows.append(("begun by a worker", _begun(trial.attempts)))
    if trial.created_at is not None:
        rows.append(("created", f"{trial.created_at:%Y-%m-%d %H:%M:%S} UTC"))
    if trial.finished_at is not None:
        rows.append(("finished", f"{trial.finished_at:%Y-%m-%d %H:%M:%S} UTC"))
    for name, digest in (("fingerprint", trial.fingerprint), ("teacher", trial.teacher_hash)):
        if digest:
            rows.append((name, html.Code(digest[:16])))
    rows += [(name, version) for name, version in trial.versions.items()]
    return rows


def _begun(attempts: int) -> str:
    if attempts == 0:
        return "never"
    if attempts == 1:
        return "once"
    return f"{attempts} times: it was taken up again after a worker or a driver stopped"


def _group(title: str, rows: Facts) -> html.Section:
    return card(title, facts_list(rows))
