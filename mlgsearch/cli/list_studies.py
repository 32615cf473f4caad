"""`list`: the studies of a database."""

import typer

from mlgsearch.cli.options import DEFAULT_STORAGE, Json, Storage
from mlgsearch.cli.printing.output import open_store, print_json, stdout_console
from mlgsearch.cli.printing.tables import studies_table
from mlgsearch.results.read.study_list import study_rows


def list_studies(storage: Storage = DEFAULT_STORAGE, as_json: Json = False) -> None:
    """List the stored studies."""
    engine, _ = open_store(storage)
    studies = study_rows(engine)
    if as_json:
        for study in studies:
            print_json(
                {
                    "study": study.name,
                    "n_trials": study.n_trials,
                    "states": {state.value: count for state, count in study.counts.items()},
                    "hypervolume": study.hypervolume,
                    "driver": study.driver,
                }
            )
    elif studies:
        stdout_console().print(studies_table(studies))
    else:
        typer.echo("No studies yet; start one with: search.py launch studies/digits.yaml")
