"""What a student learns from: the labels, and the teacher's softened answers."""

from torch import Tensor
from torch.nn import functional

from mlgsearch.train.spec import DistillationSpec


class SoftTargets:
    """An epoch's teacher answers at one temperature, with what does not depend on the student.

    Distillation is after Hinton, Vinyals and Dean, "Distilling the Knowledge in a Neural
    Network" (2015).
    """

    def __init__(
        self, teacher_logits: Tensor, spec: DistillationSpec, label_smoothing: float = 0.0
    ) -> None:
        self._spec = spec
        self._smoothing = label_smoothing
        log_probabilities = functional.log_softmax(teacher_logits / spec.temperature, dim=1)
        self._probabilities = log_probabilities.exp()  # (N, classes)
        self._entropy = -(self._probabilities * log_probabilities).sum(1)  # (N,)

    def loss(self, logits: Tensor, labels: Tensor, positions: Tensor) -> Tensor:
        """Give ``(1 - w) * cross_entropy + w * T**2 * KL(teacher || student)``, means a sample.

        Args:
            logits: the student's, (B, classes).
            labels: (B,).
            positions: the batch's rows of the teacher's logits, (B,).
        """
        weight, temperature = self._spec.weight, self._spec.temperature
        if weight == 0:
            return functional.cross_entropy(logits, labels, label_smoothing=self._smoothing)
        # KL = cross-entropy under the soft targets, less their own entropy.
        soft = functional.cross_entropy(logits / temperature, self._probabilities[positions])
        divergence = soft - self._entropy[positions].mean()
        if weight == 1:
            return temperature**2 * divergence
        hard = functional.cross_entropy(logits, labels, label_smoothing=self._smoothing)
        return (1 - weight) * hard + weight * temperature**2 * divergence
