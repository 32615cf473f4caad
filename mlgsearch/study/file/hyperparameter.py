"""Training hyperparameters that may join a search."""

from collections.abc import Mapping
from typing import Annotated, Literal, get_origin

from pydantic import AfterValidator, Field, ValidationError, model_validator

from mlgsearch.study.file.validation_messages import validation_messages
from mlgsearch.train.spec import Spec, TrainSpec


class HyperparameterSpec(Spec):
    """A training hyperparameter that joins the search: a range, or a list of choices."""

    low: float | None = Field(default=None, strict=False)
    high: float | None = Field(default=None, strict=False)
    log: bool = False
    choices: tuple[float | int | str, ...] | None = Field(default=None, strict=False)

    @model_validator(mode="after")
    def _check(self) -> "HyperparameterSpec":
        if self.choices is not None:
            if self.low is not None or self.high is not None or len(self.choices) < 1:
                raise ValueError("give either low and high, or a non-empty list of choices")
        elif self.low is None or self.high is None or not self.low <= self.high:
            raise ValueError("give low and high with low <= high, or a list of choices")
        elif self.log and self.low <= 0:
            raise ValueError(f"low must be positive where log is true, got {self.low}")
        return self

    def bounds(self) -> dict[str, float | int | str]:
        """Return the values in the study file, by their place in it."""
        if self.choices is not None:
            return {f"choices[{i}]": choice for i, choice in enumerate(self.choices)}
        assert self.low is not None
        assert self.high is not None
        return {"low": self.low, "high": self.high}


#: The bits of normalisation, which a kind of space may decide.
NORM_BITS = "quantisation.norm_bits"

#: What may join a search, and where it lies in the training specification.
HYPERPARAMETERS: Mapping[str, tuple[str, str]] = {
    "training.learning_rate": ("training", "learning_rate"),
    "training.weight_decay": ("training", "weight_decay"),
    "training.batch_size": ("training", "batch_size"),
    "training.optimiser": ("training", "optimiser"),
    "training.schedule": ("training", "schedule"),
    "distillation.temperature": ("distillation", "temperature"),
    "distillation.weight": ("distillation", "weight"),
    "quantisation.orthonormality": ("quantisation", "orthonormality"),
    "quantisation.method": ("quantisation", "method"),
    NORM_BITS: ("quantisation", "norm_bits"),
    "quantisation.noise_ratio": ("quantisation", "noise_ratio"),
}


def is_whole(hyperparameter: str) -> bool:
    """Whether a hyperparameter takes whole numbers only."""
    part, key = HYPERPARAMETERS[hyperparameter]
    return _part_model(part).model_fields[key].annotation is int


def _is_one_of_a_few(hyperparameter: str) -> bool:
    part, key = HYPERPARAMETERS[hyperparameter]
    annotation = _part_model(part).model_fields[key].annotation
    return annotation is str or get_origin(annotation) is Literal


def _part_model(part: str) -> type[Spec]:
    model = TrainSpec.model_fields[part].annotation
    assert isinstance(model, type)
    assert issubclass(model, Spec)
    return model


def _is_hyperparameter(name: str) -> str:
    if name not in HYPERPARAMETERS:
        raise ValueError(f"cannot be searched; can be: {', '.join(HYPERPARAMETERS)}")
    return name


def _fit_training(given: dict[str, HyperparameterSpec]) -> dict[str, HyperparameterSpec]:
    """Make sure that a training takes every value: each lies between two bounds, or is one."""
    for name, hyperparameter in given.items():
        part, key = HYPERPARAMETERS[name]
        if hyperparameter.choices is None and _is_one_of_a_few(name):
            raise ValueError(f"{name}: has no range: give a list of choices")
        for place, value in hyperparameter.bounds().items():
            if is_whole(name) and isinstance(value, float) and value.is_integer():
                value = int(value)
            try:
                _part_model(part).model_validate({key: value})
            except ValidationError as error:
                said = validation_messages(error, _part_model(part), place)[0]
                raise ValueError(f"{name}.{said}") from None
    return given


Hyperparameters = Annotated[
    dict[Annotated[str, AfterValidator(_is_hyperparameter)], HyperparameterSpec],
    AfterValidator(_fit_training),
]
