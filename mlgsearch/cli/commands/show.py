"""`show`: a study with its trials, or one trial."""

import json
from typing import Annotated

import typer
from rich.markup import escape

from mlgsearch.cli.databases import open_store
from mlgsearch.cli.options import Json, Name, Storage
from mlgsearch.cli.printing.output import print_json, stdout_console
from mlgsearch.cli.printing.result_tables import (
    curve_table,
    lineage_lines,
    settings_table,
    trials_table,
)
from mlgsearch.results.database.connection.storage_url import DEFAULT_STORAGE
from mlgsearch.results.read.study_results import read_results
from mlgsearch.results.read.trial_page import all_trials
from mlgsearch.results.trial_fields import detailed_trial_fields, further_measures, trial_fields


def show(
    name: Name,
    trial: Annotated[
        int | None, typer.Argument(metavar="[TRIAL]", help="Number of one trial.", min=0)
    ] = None,
    storage: Storage = DEFAULT_STORAGE,
    as_json: Json = False,
) -> None:
    """Show a study and all its trials, or one trial with its settings and curve."""
    engine, store = open_store(storage)
    if trial is not None:
        record, epochs = store.trial(name, trial), store.epochs(name, trial)
        if as_json:
            print_json(detailed_trial_fields(record, epochs))
            return
        console = stdout_console()
        console.print(trials_table([record], set()))
        console.print(settings_table(record))
        if record.hyperparameters:
            console.print(f"hyperparameters: {json.dumps(dict(record.hyperparameters))}")
        if epochs:
            console.print(curve_table(epochs))
        stages = [f"{name} {seconds:.2f} s" for name, seconds in record.stage_seconds.items()]
        line = ", ".join([f"seed {record.seed}", f"attempts {record.attempts}", *stages])
        console.print(line, highlight=False, soft_wrap=True)
        for label, number in further_measures(record).items():
            console.print(f"{label}: {number}", highlight=False, markup=False, soft_wrap=True)
        return
    if as_json:
        for record in all_trials(engine, name):
            print_json(trial_fields(record))
        return
    results, trials = read_results(engine, name), list(all_trials(engine, name))
    study = results.record
    console = stdout_console()
    teacher = "" if study.teacher_accuracy is None else f", teacher {study.teacher_accuracy:.2%}"
    console.print(
        f"[bold]{escape(name)}[/]: {len(trials)} of {study.n_trials} trials{teacher}, objectives "
        f"{', '.join(study.objectives)}",
        highlight=False,
    )
    if study.limits:
        said = ", ".join(f"{name} at most {most:,.6g}" for name, most in study.limits.items())
        console.print(f"Limits: {said}", highlight=False, soft_wrap=True)
    if study.ended is not None:
        console.print(f"Ended early: {escape(study.ended)}", highlight=False, soft_wrap=True)
    for line in lineage_lines(study):
        console.print(escape(line), highlight=False, soft_wrap=True)
    console.print(trials_table(trials, set(results.front_numbers)))
