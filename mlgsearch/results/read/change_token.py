"""Whether anything of a study changed, asked every second by every open page."""

from collections.abc import Sequence
from hashlib import sha256

from sqlalchemy import Engine, func, select

from mlgsearch.results.database.lease import held
from mlgsearch.results.database.tables import study_table, trial_table, verification_table


def change_token(engine: Engine, studies: Sequence[str] = ()) -> str:
    """Return a text that is another one once a study, trial, verification or driver has changed.

    It costs a few looks into indices for each study, however many trials there are. Unknown names
    count as studies that are not there; with no name at all it is about every study.
    """
    trials = trial_table.c
    runs = (
        select(
            trials.study_id,
            func.count().label("runs"),
            func.max(verification_table.c.id).label("last_run"),
            func.max(verification_table.c.finished_at).label("last_finish"),
            func.sum(verification_table.c.epochs_done).label("run_epochs"),
        )
        .join_from(verification_table, trial_table)
        .group_by(trials.study_id)
        .subquery()
    )
    newest = (
        select(func.max(trials.updated_at))
        .where(trials.study_id == study_table.c.id)
        .scalar_subquery()
    )
    query = (
        select(
            study_table.c.id,
            study_table.c.name,
            study_table.c.created_at,
            study_table.c.updated_at,
            newest,
            runs.c.runs,
            runs.c.last_run,
            runs.c.last_finish,
            runs.c.run_epochs,
        )
        .outerjoin(runs, runs.c.study_id == study_table.c.id)
        .order_by(study_table.c.id)
    )
    if studies:
        query = query.where(study_table.c.name.in_(studies))
    with engine.connect() as connection:
        rows = connection.execute(query).all()
        leases = held(connection)
    drivers = {name: (lease.token, lease.waits_for) for name, lease in leases.items()}
    seen = [(*row, drivers.get(row.name)) for row in rows]
    return sha256(repr(seen).encode()).hexdigest()[:16]
