"""How good a network is on samples it was not trained on."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from mlgsearch.mlg.running.generation import generated_once
from mlgsearch.train.data.batches import Normalisation
from mlgsearch.train.data.images import Images, batch_of, blocks
from mlgsearch.train.data.pixel_source import PixelSource

_BATCH = 512


class HeldOutPart:
    """A part of the images that is only looked at, never augmented, on one device."""

    def __init__(self, images: Images, index: Tensor, device: torch.device) -> None:
        self._source = PixelSource(images.pixels, index, device)
        self._batch = batch_of(_BATCH, images.input_shape)
        self._labels = images.labels[index].to(device)  # (N,)
        self._classes = images.classes
        self._judge = images.judge
        self._normalisation = Normalisation(images, device)

    def evaluate(
        self, network: nn.Module, memory_format: torch.memory_format = torch.contiguous_format
    ) -> tuple[float, float]:
        """Return (mean cross-entropy in nats, accuracy in [0, 1]) of a network in eval mode.

        The accuracy is the images' ``judge``: of samples, or balanced, the mean of the classes'
        (of those that the part has). The network's mode is put back afterwards. A NaN logit makes
        the loss NaN.
        """
        was_training = network.training
        network.eval()
        loss = torch.zeros((), dtype=torch.float64, device=self._labels.device)
        correct = torch.zeros(self._classes, dtype=torch.int64, device=self._labels.device)
        with torch.inference_mode(), generated_once(network):
            for positions in blocks(torch.arange(len(self._labels)), self._batch):
                pixels = self._source.take(positions)
                labels = self._labels[positions.to(self._labels.device)]
                inputs = self._normalisation.apply(pixels).contiguous(memory_format=memory_format)
                logits = network(inputs)  # (B, classes)
                loss += functional.cross_entropy(logits, labels, reduction="sum")
                right = labels[logits.argmax(1) == labels]
                correct += torch.bincount(right, minlength=self._classes)
        network.train(was_training)
        return loss.item() / len(self._labels), self._accuracy(correct)

    def _accuracy(self, correct: Tensor) -> float:
        """Return the accuracy that is judged, from how many of each class are right."""
        if self._judge == "accuracy":
            return int(correct.sum()) / len(self._labels)
        counts = torch.bincount(self._labels, minlength=self._classes)
        shares = correct[counts > 0].double() / counts[counts > 0]
        return shares.mean().item()
