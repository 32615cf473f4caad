"""What waits while the database is away: a trial's record with its epochs, or a verification's."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Protocol, Self

from mlgsearch.records import EpochRecord, Sizes, TrialRecord, TrialState, VerificationRecord

_MOMENTS = ("created_at", "finished_at")


class PendingWrite(Protocol):
    """The newest that is known of one thing; of each thing at most one waits."""

    @property
    def key(self) -> str:
        """The thing's name, fit for a file."""

    def behind(self, earlier: Self) -> Self:
        """Return one entry instead of this and of an earlier one of the same thing."""

    def to_json(self) -> dict[str, Any]:
        """Write it down as what JSON can hold."""

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """Read what `to_json` wrote."""


@dataclass(frozen=True)
class PendingTrial:
    """A trial's record, and epochs of it that are not delivered."""

    record: TrialRecord
    epochs: tuple[EpochRecord, ...] = ()

    @property
    def key(self) -> str:
        """The trial's number."""
        return f"{self.record.number:06d}"

    def behind(self, earlier: Self) -> Self:
        """Return the newer record with the epochs of both."""
        return type(self)(self.record, (*earlier.epochs, *self.epochs))

    def to_json(self) -> dict[str, Any]:
        """Write it down as what JSON can hold."""
        epochs = [asdict(epoch) for epoch in self.epochs]
        return {"record": _fields(self.record), "epochs": epochs}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """Read what `to_json` wrote."""
        fields = _read(content["record"])
        fields["settings"] = {name: tuple(five) for name, five in fields["settings"].items()}
        fields["sizes"] = Sizes(**fields["sizes"])
        epochs = tuple(EpochRecord(**epoch) for epoch in content["epochs"])
        return cls(TrialRecord(**fields), epochs)


@dataclass(frozen=True)
class PendingVerification:
    """The record of one training of a verification."""

    record: VerificationRecord

    @property
    def key(self) -> str:
        """The trial's number, the seed and the length."""
        return f"{self.record.trial:06d}-{self.record.seed}-{self.record.epochs}"

    def behind(self, earlier: Self) -> Self:
        """Return this one, which knows all that the earlier did."""
        return self

    def to_json(self) -> dict[str, Any]:
        """Write it down as what JSON can hold."""
        return _fields(self.record)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """Read what `to_json` wrote."""
        return cls(VerificationRecord(**_read(content)))


def _fields(record: TrialRecord | VerificationRecord) -> dict[str, Any]:
    fields = asdict(record)
    for name in _MOMENTS:
        fields[name] = None if fields[name] is None else fields[name].isoformat()
    return fields


def _read(content: Mapping[str, Any]) -> dict[str, Any]:
    fields = {**content, "state": TrialState(content["state"])}
    for name in _MOMENTS:
        if fields[name] is not None:
            fields[name] = datetime.fromisoformat(fields[name])
    return fields
