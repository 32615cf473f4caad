"""Small networks that colour the pixels of handwritten digits: a task of one's own.

    python examples/segmentation.py

Two digits of scikit-learn's lie on a noisy canvas; each pixel is background, ink of a digit from 0
to 4, or ink of one from 5 to 9. A small encoder and decoder is trained, then `mlgsearch.search`
trains a student for each budget. Judged by the mean intersection over union of the three classes.
"""

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

import mlgsearch

SIDE, CLASSES = 16, 3


class Colourer(nn.Module):
    """Maps (N, 1, 16, 16) to logits (N, 3, 16, 16)."""

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        self.before = self._block(1, width)
        self.down = self._block(width, 2 * width, stride=2)
        self.inside = self._block(2 * width, 2 * width)
        self.up = nn.ConvTranspose2d(2 * width, width, 2, stride=2)
        self.after = self._block(2 * width, width)
        self.head = nn.Conv2d(width, CLASSES, 1)

    @staticmethod
    def _block(channels_in: int, channels_out: int, stride: int = 1) -> nn.Sequential:
        return nn.Sequential(
            nn.Conv2d(channels_in, channels_out, 3, stride, 1, bias=False),
            nn.BatchNorm2d(channels_out),
            nn.ReLU(),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Colour every pixel."""
        fine = self.before(images)
        coarse = self.up(self.inside(self.down(fine)))
        logits: Tensor = self.head(self.after(torch.cat([fine, coarse], 1)))
        return logits


def canvases(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Draw images (N, 1, 16, 16) and the class of each of their pixels, (N, 16, 16)."""
    generator = torch.Generator().manual_seed(seed)
    found = load_digits()
    digits = torch.tensor(found.images, dtype=torch.float32) / 16
    images = torch.rand(count, SIDE, SIDE, generator=generator) * 0.4
    masks = torch.zeros(count, SIDE, SIDE, dtype=torch.int64)
    for half in (0, 8):  # one in the left half, one in the right
        which = torch.randint(len(digits), (count,), generator=generator)
        tops = torch.randint(SIDE - 7, (count,), generator=generator)
        for at in range(count):
            ink, top = digits[which[at]], int(tops[at])
            place = (at, slice(top, top + 8), slice(half, half + 8))
            images[place] = torch.maximum(images[place], ink)
            masks[place] = torch.where(ink > 0.4, 1 + int(found.target[which[at]] > 4), 0)
    return images[:, None] - 0.3, masks


def pixels(outputs: Tensor, targets: Tensor) -> Tensor:
    """Return the cross-entropy of the pixels, the rare ink weighted up."""
    return functional.cross_entropy(outputs, targets, torch.tensor([0.4, 1.0, 1.0]))


def loss(outputs: Tensor, targets: Tensor, wanted: Tensor) -> Tensor:
    """Learn from the labels, and from how sure the teacher is of each pixel."""
    soft = functional.kl_div(outputs.log_softmax(1), wanted.softmax(1), reduction="none").sum(1)
    return 0.5 * pixels(outputs, targets) + 0.5 * soft.mean()


class MeanIou:
    """The mean over the classes of intersection over union, on batches of images and masks."""

    def __init__(self, batches: DataLoader[tuple[Tensor, ...]]) -> None:
        self.batches = batches

    def __call__(self, network: nn.Module) -> float:
        """Measure a network; larger is better."""
        both = either = torch.zeros(CLASSES)
        for images, masks in self.batches:
            found = functional.one_hot(network(images).argmax(1), CLASSES).bool()
            true = functional.one_hot(masks, CLASSES).bool()
            both = both + (found & true).sum((0, 1, 2))
            either = either + (found | true).sum((0, 1, 2))
        return float((both / either).mean())


def trained(model: nn.Module, batches: DataLoader[tuple[Tensor, ...]], epochs: int) -> nn.Module:
    """Train the network that students begin from."""
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 1e-2, epochs * len(batches))
    for _ in range(epochs):
        for images, masks in batches:
            optimiser.zero_grad()
            torch.autograd.backward(pixels(model(images), masks))
            optimiser.step()
            schedule.step()
    return model.eval()


def run(samples: int = 2000, epochs: int = 10, budgets: int = 5) -> mlgsearch.SearchResult:
    """Train, search, and return what was found."""
    torch.manual_seed(0)
    train = DataLoader(TensorDataset(*canvases(samples, 0)), batch_size=50, shuffle=True)
    held_out = DataLoader(TensorDataset(*canvases(500, 1)), batch_size=250)
    model = trained(Colourer(), train, epochs)
    return mlgsearch.search(
        model,
        train,
        loss,
        mlgsearch.Metric("mean_iou", MeanIou(held_out), larger_is_better=True),
        budgets=budgets,
        training={"epochs": epochs},
    )


if __name__ == "__main__":
    result = run()
    print(f"teacher: mean IoU {result.teacher_value:.4f}")
    print(result.front()[["mean_iou", "packed_bytes", "compression", "damage"]])
