"""Plain data that crosses rooms: trials, epochs, studies, objectives; Python alone."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal

from mlgsearch.words import TIMES

#: A layer's five numbers on the wire: (B_in, B_out, q_basis, q_coeff_in, q_coeff_out) in the
#: paper's order, canonical; 0 means that a level is absent, as for its bits.
FiveNumbers = tuple[int, int, int, int, int]

#: What the five numbers are called, in a study file and everywhere else.
FIVE_NAMES = ("B_in", "B_out", "q_basis", "q_coeff_in", "q_coeff_out")

#: What a student may be exported as.
ExportFormat = Literal["packed", "coded", "dense", "onnx", "dense_onnx", "c"]


class TrialState(StrEnum):
    """A trial's state; the first two are unfinished. Names are Optuna's.

    A PRUNED trial was stopped early and is finished, but may be taken up again: RUNNING once more.
    """

    WAITING = "WAITING"
    RUNNING = "RUNNING"
    COMPLETE = "COMPLETE"
    PRUNED = "PRUNED"
    FAIL = "FAIL"

    @property
    def is_finished(self) -> bool:
        """Whether the trial is neither trained nor queued; COMPLETE and FAIL are final."""
        return self in (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)


@dataclass(frozen=True)
class Objective:
    """One axis of the front.

    ``larger_is_better`` gives the direction of the value as shown. ``is_log10`` says that the
    sampler and the hypervolume see log10 of it. ``reference`` is the worst value, as the sampler
    sees it, that a new study counts its hypervolume from (``StudyRecord.hypervolume_reference``).
    """

    name: str
    label: str
    larger_is_better: bool
    is_log10: bool
    reference: float

    def to_search(self, value: float) -> float:
        """Return the value the sampler optimises.

        Raises:
            ValueError: the value is not finite, or not positive where log10 is taken.
        """
        if not math.isfinite(value) or (self.is_log10 and value <= 0):
            raise ValueError(f"{self.name}: {value!r} is not a usable value")
        return math.log10(value) if self.is_log10 else value


#: Every objective a study may name. Operations are referred to 1e12, bytes to 1e9, times to 10 s.
OBJECTIVES: Mapping[str, Objective] = {
    o.name: o
    for o in (
        Objective("accuracy", "validation accuracy", True, False, 0.0),
        Objective("memory_ratio", "memory ratio", False, True, 0.0),
        Objective("parameter_ratio", "parameter ratio", False, True, 0.0),
        Objective("packed_bytes", "packed file in bytes", False, True, 9.0),
        Objective("generation_macs", "MACs to rebuild the weights", False, True, 12.0),
        Objective("execution_macs", "MACs of one forward pass", False, True, 12.0),
        Objective("latency_ms", "predicted latency in ms", False, True, 4.0),
        Objective("peak_activation_bytes", "peak activation memory in bytes", False, True, 9.0),
        Objective("loss", "validation loss", False, False, 10.0),
    )
}


@dataclass(frozen=True)
class EpochRecord:
    """What one finished epoch gave.

    ``epoch`` counts from 1. Losses are means per sample in nats (``train_loss`` is the whole
    training objective), accuracies are fractions in [0, 1], ``epoch_s`` is seconds.
    """

    epoch: int
    train_loss: float
    train_accuracy: float
    validation_loss: float
    validation_accuracy: float
    learning_rate: float
    epoch_s: float


@dataclass(frozen=True)
class Sizes:
    """What a network's settings cost, known before any training.

    Bits and parameters follow the paper's rule (see ``mlgsearch.mlg.network``); ratios are against
    the same network at 32 bits; MACs are multiply-accumulates, execution for one sample.
    """

    parameters: int
    bits: int
    parameter_ratio: float
    memory_ratio: float
    generation_macs: int
    execution_macs: int


@dataclass(frozen=True)
class Measure:
    """A number that a full training measures of its student, in the trial record's field ``name``.

    It is None until it is known, and where it was not finite. ``label`` names it for readers,
    ``unit`` follows the number. One that ``is_predicted`` is no result of the training: it is known
    when a trial is proposed.
    """

    name: str
    label: str
    meaning: str
    unit: str = ""
    is_integer: bool = False
    is_predicted: bool = False


#: Every measure. The column of the database, rows, what a trial shares with its duplicates, JSON,
#: CSV, the API and what is printed of a trial follow from it (see docs/contributing.md).
MEASURES = (
    Measure("accuracy", "validation accuracy", "on the validation part, after the last epoch"),
    Measure("loss", "validation loss", "on the validation part, after the last epoch"),
    Measure(
        "packed_bytes",
        "packed file",
        "size of the packed file, once the training is finished",
        unit="bytes",
        is_integer=True,
    ),
    Measure(
        "latency_ms",
        "predicted latency",
        "of one image on the target, by the study's table",
        unit="ms",
        is_predicted=True,
    ),
    Measure(
        "peak_activation_bytes",
        "peak activation memory",
        "most bytes of activations alive at once, of one image",
        unit="bytes",
        is_integer=True,
        is_predicted=True,
    ),
)


@dataclass(frozen=True)
class TrialRecord:
    """One trial as the database holds it.

    ``settings`` maps every compressible layer's name to its canonical five numbers; ``fingerprint``
    hashes settings and training hyperparameters, so equal fingerprints are equal trainings.
    ``accuracy`` and ``loss`` are of the last epoch, on the validation part, and are None until
    then; a PRUNED trial has those of the last epoch it was trained. ``packed_bytes`` is the size of
    the packed file, None until the training is finished. ``latency_ms`` is predicted by the study's
    table, and None where it has none; ``peak_activation_bytes`` is None in trials of versions that
    did not count it. ``reused_from`` is the number of the trial
    whose result this one shares; ``attempts`` counts how often a worker began on it. Times are UTC.

    ``layer_bits`` gives what each layer's factors take, by the paper's rule. ``layer_damage`` is
    what the plan predicted for a layer's setting, a fraction of the layer's energy (smaller is
    better); it has only layers whose setting is in a table, and is empty where nothing is
    planned. Both are empty for trials of versions that did not keep them.
    """

    number: int
    state: TrialState
    settings: Mapping[str, FiveNumbers]
    hyperparameters: Mapping[str, float | int | str]
    fingerprint: str
    seed: int
    sizes: Sizes
    epochs_wanted: int
    epochs_done: int = 0
    accuracy: float | None = None
    loss: float | None = None
    packed_bytes: int | None = None
    latency_ms: float | None = None
    peak_activation_bytes: int | None = None
    projection_error: Mapping[str, float] = field(default_factory=dict)
    stage_seconds: Mapping[str, float] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    teacher_hash: str = ""
    reused_from: int | None = None
    attempts: int = 0
    error: str | None = None
    created_at: datetime | None = None
    finished_at: datetime | None = None
    layer_bits: Mapping[str, int] = field(default_factory=dict)
    layer_damage: Mapping[str, float] = field(default_factory=dict)

    def objective_value(self, name: str) -> float | None:
        """Return the value of an objective as shown, or None where it is not known yet."""
        if hasattr(self.sizes, name):
            return float(getattr(self.sizes, name))
        value: float | None = getattr(self, name)
        return value


#: The parameter of an allocation space that Optuna's table has of each trial: a network's bytes
#: by the paper's count, in KB of 1,000.
BUDGET_KB = "budget_kb"


@dataclass(frozen=True)
class LayerRecord:
    """A layer that can be compressed, as a study's readers need it.

    ``kind`` is ``conv``, ``depthwise`` or ``linear``; ``shape`` is the weight's as a text (C_out,
    C_in of a group, height, width, with multiplication signs between). ``weights`` counts them;
    ``plain_bits`` is what they take at 32 bits each. A layer that is not searched has the same
    setting in every trial.
    """

    name: str
    kind: str
    shape: str
    weights: int
    plain_bits: int
    is_searched: bool

    @property
    def sides(self) -> tuple[int, ...]:
        """Return the numbers that ``shape`` is the text of."""
        return tuple(map(int, self.shape.split(TIMES)))


@dataclass(frozen=True)
class PlannedStudent:
    """A point of a planned front: sizes, and the predicted loss of what layers do in [0, 1].

    ``packed_bytes`` is the exact size of its packed file; ``damage`` is the weighted mean over the
    layers, smaller is better.
    """

    packed_bytes: int
    memory_ratio: float
    damage: float


@dataclass(frozen=True)
class ReferencePoint:
    """A student that somebody else reports, to draw beside a study's own.

    ``accuracy`` is a fraction; ``source`` says who reports it, ``protocol`` how it was trained and
    on which images it was judged.
    """

    name: str
    memory_ratio: float
    accuracy: float
    source: str
    protocol: str


@dataclass(frozen=True)
class StudyRecord:
    """A study as the database holds it.

    ``content`` is the study file's whole validated content (JSON-able, defaults written out) and
    ``content_hash`` its hash; ``source`` is the text of the file as its author wrote it. The
    teacher's accuracy is on the validation part; on the test part it is known once a trial was
    verified. ``hypervolume_reference`` maps each objective to the worst value, as the sampler sees
    it, that hypervolumes of this study are counted from. ``layers`` are in the model's order, and
    ``planned`` is the predicted front, smallest first; both are known once a driver has begun, and
    ``planned`` stays empty where nothing is planned. ``lineage`` lists what changed since the study
    began and was accepted, oldest first: ``at`` (ISO 8601, UTC), ``trials`` (how many there were),
    and ``changes``, a line each; or ``began_with``, the studies and tables that the first settings
    were taken from. ``validation_samples`` counts the images of the validation part;
    None until a driver has begun, and of a study that no version that keeps it resumed or verified.
    ``ended`` says why the search ended before the total that was asked for (``search.stop``);
    ``n_trials`` is then what it had. None for all others.
    ``uncompressed`` says in a sentence what share of the network nothing compresses, and where;
    None where that is next to nothing, or not known.
    """

    name: str
    content: Mapping[str, object]
    content_hash: str
    source: str
    objectives: tuple[str, ...]
    n_trials: int
    teacher_hash: str = ""
    teacher_accuracy: float | None = None
    teacher_test_accuracy: float | None = None
    versions: Mapping[str, str] = field(default_factory=dict)
    created_at: datetime | None = None
    hypervolume_reference: Mapping[str, float] = field(default_factory=dict)
    layers: tuple[LayerRecord, ...] = ()
    planned: tuple[PlannedStudent, ...] = ()
    data_hash: str = ""
    lineage: tuple[Mapping[str, object], ...] = ()
    validation_samples: int | None = None
    ended: str | None = None
    uncompressed: str | None = None

    @property
    def limits(self) -> Mapping[str, float]:
        """The most that a student may be, by objective; empty in files of earlier versions."""
        return self.section("limits")

    def section(self, name: str) -> Mapping[str, Any]:
        """Return a part of the study file; empty in files of versions that have it not."""
        found = self.content.get(name, {})
        return found if isinstance(found, Mapping) else {}

    @property
    def references(self) -> tuple[ReferencePoint, ...]:
        """The reference points of the study file, to draw; none in files of earlier versions."""
        listed = self.content.get("references", ())
        assert isinstance(listed, list | tuple)
        return tuple(ReferencePoint(**point) for point in listed)


@dataclass(frozen=True)
class VerificationRecord:
    """A trial's student trained once more, under another seed, and looked at with the test part.

    A study has at most one for each (``trial``, ``seed``, ``epochs``). ``seed`` is the training's,
    ``epochs`` its full length. Accuracies are fractions, after the last epoch: ``test_accuracy`` of
    the student as it was trained, ``packed_accuracy`` of its packed file, opened again; both are on
    the ``test_samples`` of the test part, and None until the run is COMPLETE. ``seconds`` counts
    the work on it, from building to packing. Times are UTC.
    """

    trial: int
    seed: int
    epochs: int
    state: TrialState
    epochs_done: int = 0
    validation_accuracy: float | None = None
    test_accuracy: float | None = None
    packed_accuracy: float | None = None
    test_samples: int | None = None
    packed_bytes: int | None = None
    seconds: float | None = None
    versions: Mapping[str, str] = field(default_factory=dict)
    error: str | None = None
    created_at: datetime | None = None
    finished_at: datetime | None = None


@dataclass(frozen=True)
class LeaseRecord:
    """Who drives a study: one driver at a time. Times are UTC, by the database's clock.

    ``waits_for`` says in a sentence what keeps its driver from training, as that no node has room
    for a trial; empty where nothing does.
    """

    study: str
    holder: str
    host: str
    pid: int
    #: Distinguishes the process from others of its machine; empty where that is not known.
    process: str
    token: int
    acquired_at: datetime
    expires_at: datetime
    waits_for: str = ""
