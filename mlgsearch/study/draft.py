"""A trial's record at its beginning: what a proposal means, and what is known before training."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from optuna.trial import FrozenTrial

from mlgsearch.errors import SettingError
from mlgsearch.mlg.network import NetworkShape, network_sizes
from mlgsearch.mlg.setting import LayerSetting
from mlgsearch.records import TrialRecord, TrialState
from mlgsearch.study.space import Space
from mlgsearch.study.spec import StudySpec
from mlgsearch.train.trial import fingerprint


@dataclass(frozen=True)
class Drafts:
    """Makes the records of a study's trials; what all of them share stands here once."""

    spec: StudySpec
    space: Space
    shape: NetworkShape
    teacher_hash: str
    versions: Mapping[str, str]

    def record(self, trial: FrozenTrial) -> TrialRecord:
        """Draft the record of Optuna's trial: RUNNING, or FAIL where it is no proposal of ours."""
        if trial.distributions != self.space.distributions:
            return self._foreign(trial)
        proposal = self.space.decode(trial.params)
        train = proposal.train_spec(self.spec.train_spec())
        try:
            sizes = network_sizes(
                self.shape, proposal.settings, norm_bits=train.quantisation.norm_bits
            )
        except SettingError as error:
            raise AssertionError(f"trial {trial.number} left its own space") from error
        return TrialRecord(
            number=trial.number,
            state=TrialState.RUNNING,
            settings={name: setting.five for name, setting in proposal.settings.items()},
            hyperparameters=proposal.hyperparameters,
            fingerprint=fingerprint(proposal.settings, train),
            seed=train.seed,
            sizes=sizes,
            epochs_wanted=train.training.epochs,
            versions=self.versions,
            teacher_hash=self.teacher_hash,
            created_at=datetime.now(UTC),
        )

    def _foreign(self, trial: FrozenTrial) -> TrialRecord:
        """Draft the record of a trial that somebody else enqueued, and so failed."""
        plain = dict.fromkeys(self.shape.layers, LayerSetting.plain(32))
        return TrialRecord(
            number=trial.number,
            state=TrialState.FAIL,
            settings={},
            hyperparameters={},
            fingerprint="",
            seed=self.spec.seed,
            sizes=network_sizes(self.shape, plain, norm_bits=self.spec.quantisation.norm_bits),
            epochs_wanted=self.spec.training.epochs,
            versions=self.versions,
            teacher_hash=self.teacher_hash,
            error="added outside mlgsearch, without this study's parameters",
        )
