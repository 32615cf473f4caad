"""What driver and workers send each other: each message has one writer and one reader.

Ray flattens and prints what is nested, so the contents travel as JSON text.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

from mlgsearch.mlg.setting import LayerSetting
from mlgsearch.records import EpochRecord
from mlgsearch.study.space.space import Proposal
from mlgsearch.train.student.trial import TrialSummary


@dataclass(frozen=True)
class Assignment:
    """A trial for a worker: its number, which attempt at it this is, and what to train."""

    number: int
    attempt: int
    proposal: Proposal

    def to_config(self) -> dict[str, Any]:
        """Write it as a part of Ray's configuration of a trial."""
        settings = {name: setting.five for name, setting in self.proposal.settings.items()}
        return {
            "number": self.number,
            "attempt": self.attempt,
            "settings": json.dumps(settings),
            "hyperparameters": json.dumps(self.proposal.hyperparameters),
        }

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Read what `to_config` wrote."""
        settings = {
            name: LayerSetting.from_five(tuple(five))
            for name, five in json.loads(config["settings"]).items()
        }
        proposal = Proposal(settings, json.loads(config["hyperparameters"]))
        return cls(int(config["number"]), int(config["attempt"]), proposal)


@dataclass(frozen=True)
class Report:
    """What a worker has to say after a step.

    ``epochs`` are those that finished since the last report. The last report of an attempt carries
    ``summary``; or ``error`` where the training cannot go on; or ``disk_full`` where it could, had
    it room or its store.
    """

    attempt: int
    epochs: tuple[EpochRecord, ...] = ()
    summary: TrialSummary | None = None
    error: str | None = None
    disk_full: str | None = None

    @property
    def is_last(self) -> bool:
        """Whether the worker has done with the trial."""
        return any(said is not None for said in (self.summary, self.error, self.disk_full))

    def to_result(self) -> dict[str, Any]:
        """Write it as a result of Ray's; what there is nothing of is left out."""
        content = {name: value for name, value in asdict(self).items() if value is not None}
        return {"payload": json.dumps(content), "done": self.is_last}

    @classmethod
    def from_result(cls, result: Mapping[str, Any] | None) -> Self | None:
        """Read what `to_result` wrote; None where the result carries no report, as Ray's own."""
        if not result or "payload" not in result:
            return None
        content = json.loads(result["payload"])
        content["epochs"] = tuple(EpochRecord(**epoch) for epoch in content["epochs"])
        if "summary" in content:
            content["summary"] = TrialSummary(**content["summary"])
        return cls(**content)
