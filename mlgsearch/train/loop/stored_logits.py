"""A teacher's logits in few bytes: half precision, and of many classes the largest alone."""

import torch
from torch import Tensor

from mlgsearch.train.spec import DistillationSpec

#: Classes up to which all logits are kept.
MOST_CLASSES = 100
#: Logits kept of each sample where there are more classes.
LARGEST = 32
#: The temperature at which the classes that are not kept get the probability they had, together.
_TEMPERATURE = DistillationSpec().temperature
#: Half precision ends at 65,504.
_MOST = 60_000.0


class StoredLogits:
    """Logits of N samples, read batch by batch.

    Up to `MOST_CLASSES` classes they are float16, (N, classes). Above that each row is int16,
    (N, 2 * LARGEST + 1): the largest logits and the one that replaces each of the others, in half
    precision, then the classes of the largest. This is what Fast Knowledge Distillation stores
    (Shen and Xing 2022, arXiv 2112.01528, "marginal re-norm"), for logits.

    Args:
        stored: as above, on any device; a mapped file will do.
        classes: how many classes there are.
    """

    def __init__(self, stored: Tensor, classes: int) -> None:
        self.stored = stored
        self._classes = classes

    def __len__(self) -> int:
        return len(self.stored)

    def __getitem__(self, positions: Tensor) -> Tensor:
        """Return the logits at positions (B,), (B, classes) float32."""
        rows = self.stored[positions]
        if self._classes <= MOST_CLASSES:
            return rows.float()
        numbers = rows[:, : LARGEST + 1].contiguous().view(torch.float16).float()
        classes = rows[:, LARGEST + 1 :].long()
        others = numbers[:, LARGEST:].repeat(1, self._classes)
        return others.scatter_(1, classes, numbers[:, :LARGEST])


def layout(classes: int) -> tuple[int, str]:
    """Return the columns and the type in which logits of so many classes are stored."""
    return (classes, "float16") if classes <= MOST_CLASSES else (2 * LARGEST + 1, "int16")


def pack(logits: Tensor) -> Tensor:
    """Bring logits (B, classes) into the form that `StoredLogits` reads."""
    logits = logits.float().clamp(-_MOST, _MOST)
    classes = logits.shape[1]
    if classes <= MOST_CLASSES:
        return logits.half()
    largest, where = logits.topk(LARGEST, dim=1)
    others = logits.scatter(1, where, -torch.inf) / _TEMPERATURE
    mean = torch.logsumexp(others, 1, keepdim=True) - torch.tensor(classes - LARGEST).log()
    numbers = torch.cat([largest, _TEMPERATURE * mean], 1).clamp(-_MOST, _MOST).half()
    return torch.cat([numbers.view(torch.int16), where.to(torch.int16)], 1)
