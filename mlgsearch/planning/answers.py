"""What a network's outputs are, so that a plan can ask how far they move."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

#: ``classes``: logits, (N, classes) or (N, classes, ...). ``values``: numbers, (N, ...).
OutputKind = Literal["classes", "values"]

#: Answers are compared as distillation compares them, softened.
_TEMPERATURE = 4.0


class Answers(ABC):
    """One kind of outputs."""

    @abstractmethod
    def loss(self, outputs: Tensor, generator: torch.Generator) -> Tensor:
        """Return the loss against targets drawn from the outputs' own distribution.

        It is summed over samples, so that each sample's gradient is that of its own loss; so the
        mean square of its gradients is a Fisher estimate.
        """

    @abstractmethod
    def reference(self, outputs: Tensor) -> Tensor:
        """Return what `distance` compares with."""

    @abstractmethod
    def distance(self, outputs: Tensor, reference: Tensor) -> float:
        """Return how far outputs are from others, summed over samples; larger is farther."""


class Classes(Answers):
    """Logits of classes in dimension 1."""

    def loss(self, outputs: Tensor, generator: torch.Generator) -> Tensor:
        """Return the cross-entropy in nats against classes that are drawn."""
        chances = functional.softmax(outputs.detach().cpu(), dim=1).movedim(1, -1)  # (N, ..., K)
        drawn = torch.multinomial(chances.flatten(0, -2), 1, generator=generator)
        labels = drawn.reshape(chances.shape[:-1]).to(outputs.device)
        return functional.cross_entropy(outputs, labels, reduction="sum")

    def reference(self, outputs: Tensor) -> Tensor:
        """Return the softened chances of the classes."""
        return self._log_chances(outputs).exp()

    def distance(self, outputs: Tensor, reference: Tensor) -> float:
        """Return T**2 * KL(reference || outputs) in nats at temperature T."""
        divergence = functional.kl_div(self._log_chances(outputs), reference, reduction="sum")
        return _TEMPERATURE**2 * float(divergence)

    @staticmethod
    def _log_chances(outputs: Tensor) -> Tensor:
        return functional.log_softmax(outputs / _TEMPERATURE, dim=1)


class Values(Answers):
    """Numbers that are all measured in comparable units, as a regression's."""

    def loss(self, outputs: Tensor, generator: torch.Generator) -> Tensor:
        """Return half the squared error against values with a deviation of 1 about the outputs."""
        noise = torch.randn(outputs.shape, generator=generator).to(outputs.device)
        return (outputs - outputs.detach() - noise).square().sum() / 2

    def reference(self, outputs: Tensor) -> Tensor:
        """Return the outputs themselves."""
        return outputs

    def distance(self, outputs: Tensor, reference: Tensor) -> float:
        """Return half the squared difference."""
        return float((outputs - reference).square().sum()) / 2


ANSWERS: Mapping[OutputKind, Answers] = {"classes": Classes(), "values": Values()}
