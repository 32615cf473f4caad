"""`delete`: a study's rows, checkpoints and Optuna's rows."""

import shutil
from typing import Annotated

import typer

from mlgsearch.cli.databases import open_store, open_to_write
from mlgsearch.cli.options import Name, Storage
from mlgsearch.paths import runs_directory, study_directory
from mlgsearch.results.database.connection.storage_url import DEFAULT_STORAGE


def delete(
    name: Name,
    storage: Storage = DEFAULT_STORAGE,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Delete a study: its rows, its checkpoints, Optuna's rows."""
    from mlgsearch.study.artifacts.store import artifacts_of  # loads fsspec
    from mlgsearch.study.remove import remove  # loads Optuna

    _, store = open_store(storage)
    study = store.study(name)
    total = sum(store.state_counts(name).values())
    if not yes:
        typer.confirm(f"Delete study {name!r} with its {total} trials and checkpoints?", abort=True)
    directory = study_directory(runs_directory(storage), study)
    artifacts = artifacts_of(study, runs_directory(storage))
    remove(study, open_to_write(storage))
    shutil.rmtree(directory, ignore_errors=True)
    artifacts.delete()
    typer.echo(f"deleted {name}")
