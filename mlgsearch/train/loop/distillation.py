"""What a student learns from: the labels, and the teacher's softened answers."""

from torch import Tensor
from torch.nn import functional

from mlgsearch.train.loop.stored_logits import StoredLogits
from mlgsearch.train.spec import DistillationSpec


class SoftTargets:
    """An epoch's teacher answers at one temperature.

    Distillation is after Hinton, Vinyals and Dean, "Distilling the Knowledge in a Neural
    Network" (2015). Answers are softened batch by batch, so nothing of their size is held.
    """

    def __init__(
        self,
        teacher_logits: Tensor | StoredLogits,
        spec: DistillationSpec,
        label_smoothing: float = 0.0,
    ) -> None:
        self._logits = teacher_logits
        self._spec = spec
        self._smoothing = label_smoothing

    def loss(self, logits: Tensor, labels: Tensor, positions: Tensor) -> Tensor:
        """Return ``(1 - w) * cross_entropy + w * T**2 * KL(teacher || student)``, means per sample.

        Args:
            logits: the student's, (B, classes).
            labels: (B,).
            positions: the batch's rows of the teacher's logits, (B,).
        """
        weight, temperature = self._spec.weight, self._spec.temperature
        if weight == 0:
            return functional.cross_entropy(logits, labels, label_smoothing=self._smoothing)
        softened = functional.log_softmax(self._logits[positions] / temperature, dim=1)
        probabilities = softened.exp()  # (B, classes)
        # KL = cross-entropy under the soft targets, less their own entropy.
        soft = functional.cross_entropy(logits / temperature, probabilities)
        divergence = soft + (probabilities * softened).sum(1).mean()
        if weight == 1:
            return temperature**2 * divergence
        hard = functional.cross_entropy(logits, labels, label_smoothing=self._smoothing)
        return (1 - weight) * hard + weight * temperature**2 * divergence
