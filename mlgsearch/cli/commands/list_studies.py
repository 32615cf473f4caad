"""`list`: the studies of a database."""

import typer

from mlgsearch.cli.databases import open_store
from mlgsearch.cli.options import Json, Storage
from mlgsearch.cli.printing.output import print_json, stdout_console
from mlgsearch.cli.printing.paste import command
from mlgsearch.cli.printing.result_tables import studies_table
from mlgsearch.results.database.connection.storage_url import DEFAULT_STORAGE
from mlgsearch.results.read.study_list import study_fields, study_rows

#: The fields of a study that `--json` prints; the API has more of them.
FIELDS = ("study", "n_trials", "states", "hypervolume", "driver")


def list_studies(storage: Storage = DEFAULT_STORAGE, as_json: Json = False) -> None:
    """List the stored studies."""
    engine, _ = open_store(storage)
    studies = study_rows(engine)
    if as_json:
        for study in studies:
            fields = study_fields(study)
            print_json({name: fields[name] for name in FIELDS})
    elif studies:
        stdout_console().print(studies_table(studies))
    else:
        start = command(storage, "launch", "FILE")
        typer.echo(f"No studies yet; start one with: {start}")
