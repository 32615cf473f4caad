"""A study's Optuna trials, held twice: in memory to sample from, in the database as the truth.

Asking Optuna's RDBStorage costs two statements and a commit for every parameter (1.2 to 2.9 s at
100 parameters on SQLite). So a proposal is sampled on an in-memory study with the same trials, and
the finished proposal is written in one transaction. A crash between two transactions therefore
never leaves a row with half its parameters.
"""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler
from optuna.storages import InMemoryStorage, RDBStorage
from optuna.storages._rdb.models import TrialModel
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import select, update

from mlgsearch.errors import StudyConflictError
from mlgsearch.study.search.better_trials import BetterTrials

#: Where a proposal's row keeps what its sampler wrote on the study while making it.
_SAMPLER_STATE = "mlgsearch:sampler_state"
#: Kept by Optuna's TPE so that other processes see a running trial's parameters; ours has them all.
_TPE_SHARED = "tpe:relative_params"
#: Trials that are read from the database at once: SQLAlchemy holds some 200 KiB of each meanwhile.
_READ_AT_ONCE = 100


class OptunaTrials:
    """Trials of one study; only the driver, which holds the study's lease, may change them.

    Invariants, checked at every write: a trial has the same number in both storages, and the
    database's row is written before the memory's. The memory holds every trial for as long as the
    driver runs, so of a finished one it holds no more than samplers read.
    """

    def __init__(
        self,
        storage: RDBStorage,
        name: str,
        directions: Sequence[StudyDirection],
        metric_names: Sequence[str],
    ):
        self._storage = storage
        self._study_id = _open_study(storage, name, directions, metric_names)
        self._directions = list(directions)
        self._memory = optuna.create_study(
            storage=InMemoryStorage(), study_name=name, directions=directions
        )
        #: The trials as TPE splits them.
        self.better = BetterTrials(directions)
        #: Of most trials, if not of all: each would have objects and names of its own otherwise.
        self._distributions: dict[str, BaseDistribution] = {}
        self._row_ids: list[int] = []
        #: A proposal that the database could not take; it is the next one.
        self._unstored: FrozenTrial | None = None
        self._load()

    def _load(self) -> None:
        rows = TrialModel.__table__
        with self._storage.engine.connect() as connection:
            ids = connection.execute(
                select(rows.c.trial_id)
                .where(rows.c.study_id == self._study_id)
                .order_by(rows.c.number)
            ).scalars()
            self._row_ids = list(ids)
        for start in range(0, len(self._row_ids), _READ_AT_ONCE):
            part = self._row_ids[start : start + _READ_AT_ONCE]
            read = self._storage._get_trials(self._study_id, None, set(part), max(self._row_ids))
            for number, row in enumerate(sorted(read, key=lambda row: row.number), start):
                assert row.number == number, (row.number, number)
                self._remember(row)

    def _remember(self, row: FrozenTrial) -> None:
        """Hold a stored trial in memory."""
        memory, memory_id = self._memory._storage, self._memory._study_id
        for key, value in row.system_attrs.pop(_SAMPLER_STATE, {}).items():
            memory.set_study_system_attr(memory_id, key, value)
        if row.state == TrialState.WAITING:
            row.state = TrialState.RUNNING  # ours to hand out: Optuna's `ask` would take it
        if row.datetime_start is None:
            row.datetime_start = row.datetime_complete
        params, distributions = row.params, row.distributions
        row.params, row.distributions = {}, {}  # what is created is a deep copy
        memory.create_new_trial(memory_id, template_trial=row)
        held = self.trial(row.number)
        held.params, held.distributions = params, distributions
        self._settle(held)

    def _settle(self, trial: FrozenTrial) -> None:
        """Note a trial's state, and drop what only the proposal of a trial needs."""
        if trial.distributions == self._distributions:
            trial.distributions = self._distributions
            trial.params = {name: trial.params[name] for name in self._distributions}
        elif not self._distributions:
            self._distributions = trial.distributions
        trial.system_attrs = {
            k: v for k, v in trial.system_attrs.items() if not k.startswith(_TPE_SHARED)
        }
        self.better.put(trial)

    def __len__(self) -> int:
        return len(self._row_ids)

    def trials(self) -> list[FrozenTrial]:
        """List trials by number; not copies, so not to be changed."""
        return self._memory._storage.get_all_trials(self._memory._study_id, deepcopy=False)

    def trial(self, number: int) -> FrozenTrial:
        """Return a trial; no copy, so not to be changed."""
        return self._memory._storage.get_trial(number)  # in memory a trial's id is its number

    def ask(
        self,
        sampler: BaseSampler,
        distributions: Mapping[str, BaseDistribution],
        fixed: Mapping[str, Any] | None = None,
    ) -> FrozenTrial:
        """Propose a trial and store it as RUNNING.

        A proposal that could not be stored, as the database was away, is stored by the next call,
        which proposes nothing else.

        Args:
            sampler: makes the proposal from the trials so far.
            distributions: the study's whole space; every name gets a value.
            fixed: values that the proposal must have; the sampler fills in the rest.

        Raises:
            StudyConflictError: something else added trials to the study meanwhile.
        """
        if self._unstored is None:
            self._unstored = self._propose(sampler, distributions, fixed)
            row_id = None
        else:
            row_id = self._stored_after_all(self._unstored.number)
        row = self._unstored
        if row_id is None:
            stored = self._storage._create_new_trial(self._study_id, template_trial=row)
            if stored.number != row.number:
                raise StudyConflictError(
                    f"study {self._memory.study_name!r}: the database numbered a trial "
                    f"{stored.number} where {row.number} was next: something else adds trials to "
                    "this study; resume it once that has stopped"
                )
            row_id = stored._trial_id
        self._row_ids.append(row_id)
        self._unstored = None
        return self.trial(row.number)

    def _propose(
        self,
        sampler: BaseSampler,
        distributions: Mapping[str, BaseDistribution],
        fixed: Mapping[str, Any] | None,
    ) -> FrozenTrial:
        """Make the next proposal in memory, and give the row to store."""
        memory = self._memory._storage
        before = dict(memory.get_study_system_attrs(self._memory._study_id))
        if fixed is not None:
            self._memory.enqueue_trial(dict(fixed))
        self._memory.sampler = sampler
        trial_id = self._memory.ask(dict(distributions))._trial_id
        proposal = self.trial(trial_id)
        assert proposal.number == trial_id == len(self._row_ids), (trial_id, len(self._row_ids))
        self._settle(proposal)
        after = memory.get_study_system_attrs(self._memory._study_id)
        row = FrozenTrial(
            number=proposal.number,
            trial_id=proposal._trial_id,
            state=TrialState.RUNNING,
            value=None,
            values=None,
            datetime_start=proposal.datetime_start,
            datetime_complete=None,
            params=proposal.params,
            distributions=proposal.distributions,
            user_attrs=proposal.user_attrs,
            system_attrs=dict(proposal.system_attrs),
            intermediate_values={},
        )
        changed = {k: v for k, v in after.items() if before.get(k) != v}
        if changed:
            row.system_attrs[_SAMPLER_STATE] = changed
        return row

    def _stored_after_all(self, number: int) -> int | None:
        """Return the row of a proposal whose commit went through though its answer was lost."""
        rows = TrialModel.__table__
        with self._storage.engine.connect() as connection:
            found: int | None = connection.execute(
                select(rows.c.trial_id)
                .where(rows.c.study_id == self._study_id)
                .where(rows.c.number == number)
            ).scalar()
        return found

    def tell(self, number: int, state: TrialState, values: Sequence[float] | None = None) -> None:
        """Finish a trial, or do nothing where it is finished already.

        Args:
            number: the trial.
            state: COMPLETE, PRUNED or FAIL.
            values: one finite value per objective for COMPLETE, else None.
        """
        row_id = self._row_ids[number]
        if not self._storage.get_trial(row_id).state.is_finished():
            self._storage.set_trial_state_values(row_id, state, values)
        self._memory.tell(number, values, state=state, skip_if_finished=True)
        self.better.put(self.trial(number))

    def reopen(self, number: int) -> None:
        """Make a PRUNED trial RUNNING again, as Optuna itself never does; do nothing to a RUNNING.

        A process that has the study open with Optuna's own storage goes on to show it as PRUNED,
        for it does not read finished trials again; whoever opens the study later sees it all.
        """
        rows = TrialModel.__table__
        with self._storage.scoped_session() as session, session.begin():
            session.execute(
                update(rows)
                .where(rows.c.trial_id == self._row_ids[number])
                .where(rows.c.state == TrialState.PRUNED)
                .values(state=TrialState.RUNNING, datetime_complete=None)
            )
        # What the storage hands out without a copy is what it holds.
        trial = self.trial(number)
        assert trial.state in (TrialState.PRUNED, TrialState.RUNNING), trial.state
        trial.state = TrialState.RUNNING
        trial.datetime_complete = None
        self.better.put(trial)

    def set_note(self, number: int, key: str, value: str | int) -> None:
        """Leave a user attribute on a trial, for readers with Optuna's own tools.

        Optuna takes none on a trial that is finished: nothing is done then.
        """
        row_id = self._row_ids[number]
        if not self._storage.get_trial(row_id).state.is_finished():
            self._storage.set_trial_user_attr(row_id, f"mlgsearch:{key}", value)

    def queue(self, number: int) -> None:
        """Put an unfinished trial back to WAITING in the database; its next driver adopts it."""
        self._storage.set_trial_state_values(self._row_ids[number], TrialState.WAITING)

    def start(self, number: int) -> None:
        """Mark an adopted trial RUNNING in the database."""
        self._storage.set_trial_state_values(self._row_ids[number], TrialState.RUNNING)


def _open_study(
    storage: RDBStorage,
    name: str,
    directions: Sequence[StudyDirection],
    metric_names: Sequence[str],
) -> int:
    known = {study.study_name: study._study_id for study in storage.get_all_studies()}
    if name not in known:
        study = optuna.create_study(storage=storage, study_name=name, directions=directions)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            study.set_metric_names(list(metric_names))
        return study._study_id
    if storage.get_study_directions(known[name]) != list(directions):
        raise StudyConflictError(
            f"study {name!r}: Optuna's table holds another study of that name, with the directions "
            f"{[d.name for d in storage.get_study_directions(known[name])]}; use another name"
        )
    return known[name]
