"""A trial's record at its beginning: what a proposal means, and what is known before training."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from optuna.trial import FrozenTrial

from mlgsearch.errors import SettingError
from mlgsearch.mlg.network import NetworkShape, network_sizes
from mlgsearch.mlg.setting import LayerSetting, LayerShape
from mlgsearch.planning.network_tables import Tables
from mlgsearch.records import FiveNumbers, LayerRecord, TrialRecord, TrialState
from mlgsearch.study.file.spec import StudySpec
from mlgsearch.study.space.space import Space
from mlgsearch.train.student.trial import fingerprint
from mlgsearch.words import TIMES


@dataclass(frozen=True)
class NewTrials:
    """Makes the records of a study's trials; what all of them share is here once.

    ``tables`` predict layers' damage, where the study has any.
    """

    spec: StudySpec
    space: Space
    shape: NetworkShape
    teacher_hash: str
    versions: Mapping[str, str]
    tables: Tables | None = None

    def layers(self) -> list[LayerRecord]:
        """Describe the network's layers for readers of the database, in the model's order."""
        return [
            described(name, layer, is_searched=name in self.space.searched)
            for name, layer in self.shape.layers.items()
        ]

    def record(self, trial: FrozenTrial) -> TrialRecord:
        """Make the record of Optuna's trial: RUNNING, or FAIL where it is no proposal of ours."""
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
        latency = self.space.latency
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
            layer_bits={
                name: setting.bits(self.shape.layers[name])
                for name, setting in proposal.settings.items()
            },
            layer_damage=self._damage(proposal.settings),
            latency_ms=None if latency is None else latency.network_ms(proposal.settings),
            peak_activation_bytes=None
            if self.space.packed is None
            else self.space.packed.peak_activation_bytes(proposal.settings, train.quantisation),
        )

    def _damage(self, settings: Mapping[str, LayerSetting]) -> dict[str, float]:
        """Look up what was predicted; tables have only what is worth choosing."""
        return {
            name: self._damages[name][setting.five]
            for name, setting in settings.items()
            if setting.five in self._damages.get(name, {})
        }

    @cached_property
    def _damages(self) -> dict[str, dict[FiveNumbers, float]]:
        if self.tables is None:
            return {}
        return {
            name: {table.setting(i).five: damage for i, damage in enumerate(table.damage.tolist())}
            for name, table in self.tables.layers.items()
        }

    def _foreign(self, trial: FrozenTrial) -> TrialRecord:
        """Make the record of a trial that somebody else enqueued, and so failed."""
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


def described(name: str, layer: LayerShape, *, is_searched: bool) -> LayerRecord:
    """Describe a layer of a network for the readers of a study."""
    return LayerRecord(
        name=name,
        kind="depthwise" if layer.is_depthwise else layer.kind,
        shape=TIMES.join(map(str, layer.weight_shape)),
        weights=layer.weight_numel,
        plain_bits=LayerSetting.plain(32).bits(layer),
        is_searched=is_searched,
    )
