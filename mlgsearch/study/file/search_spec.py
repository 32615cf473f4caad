"""The section ``search`` of a study file: how settings are proposed, how many, and until when."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, field_validator, model_validator

from mlgsearch.errors import SettingError
from mlgsearch.mlg.setting import LayerSetting
from mlgsearch.records import OBJECTIVES
from mlgsearch.train.spec import Positive, Spec, Whole


def _is_setting(five: tuple[int, ...]) -> tuple[int, ...]:
    try:
        LayerSetting.from_five(five)  # type: ignore[arg-type]  # it checks the length
    except SettingError as error:
        raise ValueError(str(error)) from None
    return five


Setting = Annotated[tuple[Whole, ...], Field(strict=False), AfterValidator(_is_setting)]
Sampler = Annotated[str, Field(pattern=r"^(tpe|nsga2|nsga3|random|qmc|\w[\w.]*:\w+)$")]


class FirstTrial(Spec):
    """A setting to try before the sampler's own.

    Every layer gets ``setting``, but those that ``layers`` names get their own;
    ``hyperparameters`` fixes values of those that are searched. ``source`` names the study or file
    that ``search.warm_start`` took the setting from; the search uses of it what its space allows.
    """

    setting: Setting
    layers: dict[str, Setting] = Field(default_factory=dict)
    hyperparameters: dict[str, float | int | str] = Field(default_factory=dict)
    source: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _from_list(cls, value: Any) -> Any:
        return {"setting": value} if isinstance(value, list | tuple) else value


class EarlyStoppingSpec(Spec):
    """When trials are judged and how many go on; see `mlgsearch.study.search.halving.Halving`."""

    factor: int = Field(default=3, ge=2, le=1000)
    first_rung: int = Field(default=1, ge=1, le=10_000)
    rung_factor: int | None = Field(default=None, ge=2, le=1000)
    tolerance: float = Field(default=0.05, ge=0, lt=1)
    min_trials: int = Field(default=12, ge=1, le=1_000_000)


def _early_stopping(value: Any) -> Any:
    if isinstance(value, str):
        if value not in ("on", "off"):
            raise ValueError(f"expected on, off, or keys and values, got {value!r}")
        return {} if value == "on" else None
    return value


class StopSpec(Spec):
    """When a search ends before its total of trials: at the first of these that holds.

    ``no_gain``: the front's hypervolume has not grown by more than the noise of a training in so
    many trials, counted after those written in the file and planned. ``hours``: trials were being
    trained for so long, over all drivers. ``front_reaches``: one student on the front is at least
    so good in each objective.
    """

    no_gain: int | None = Field(default=None, ge=2, le=1_000_000)
    hours: Positive | None = None
    front_reaches: Mapping[str, Annotated[float, Field(strict=False)]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _check(self) -> "StopSpec":
        for name in self.front_reaches:
            if name not in OBJECTIVES:
                raise ValueError(
                    f"front_reaches: {name!r} is not known; known are {', '.join(OBJECTIVES)}"
                )
        if self.no_gain is None and self.hours is None and not self.front_reaches:
            raise ValueError("name at least one of no_gain, hours, front_reaches")
        return self


class SearchSpec(Spec):
    """How settings are proposed, how many trials are wanted in total, and what is optimised.

    ``planned`` is how many settings of the planned front are tried after ``first``; without it 8 in
    an allocation, none elsewhere. ``early_stopping`` is ``off``, ``on``, or on with other numbers
    than its defaults. ``stop`` ends the search before ``n_trials``. ``warm_start`` names studies of
    the same database, and CSV files, whose settings are tried after ``first``.
    """

    sampler: Sampler = "tpe"
    n_trials: int = Field(default=30, ge=1, le=1_000_000)
    seed: int = Field(default=0, ge=0, lt=2**63)
    objectives: tuple[str, ...] = Field(default=("accuracy", "memory_ratio"), strict=False)
    first: tuple[FirstTrial, ...] = Field(default=(), strict=False)
    warm_start: tuple[Annotated[str, Field(min_length=1)], ...] = Field(default=(), strict=False)
    planned: int | None = Field(default=None, ge=0, le=1000)
    early_stopping: Annotated[EarlyStoppingSpec | None, BeforeValidator(_early_stopping)] = None
    stop: StopSpec | None = None

    @field_validator("objectives")
    @classmethod
    def _check_objectives(cls, objectives: tuple[str, ...]) -> tuple[str, ...]:
        for name in objectives:
            if name not in OBJECTIVES:
                raise ValueError(f"{name!r} is not known; known are {', '.join(OBJECTIVES)}")
        if len(set(objectives)) != len(objectives) or len(objectives) < 2:
            raise ValueError("name at least two, each once")
        return objectives

    @model_validator(mode="after")
    def _check(self) -> "SearchSpec":
        if self.early_stopping is not None and "accuracy" not in self.objectives:
            raise ValueError(
                "early_stopping: trials are judged by accuracy, which is not among the objectives "
                f"{', '.join(self.objectives)}: name it, or write off"
            )
        return self


def is_table(name: str) -> bool:
    """Return whether an entry of ``search.warm_start`` is a CSV file's path, not a study's name."""
    return name.lower().endswith(".csv")
