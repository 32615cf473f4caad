"""Small networks that see how far a handwritten digit is turned: a task without classes.

    python examples/regression.py

scikit-learn's digits are turned by up to 45 degrees; a residual network is trained to return the
angle, then `mlgsearch.search` trains a student for each budget. Judged by the mean absolute error
in degrees, which is smaller where better.
"""

import math

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

import mlgsearch

#: Degrees that one unit of the network's output stands for.
UNIT = 15.0


class Block(nn.Module):
    """Two convolutions around a shortcut."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(width)
        self.second = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, width, H, W) to the same shape."""
        made: Tensor = x + self.second(functional.relu(self.norm(self.first(x))))
        return functional.relu(made)


def angle_network(width: int = 24) -> nn.Module:
    """Return a network from (N, 1, 8, 8) to the angle, (N, 1)."""
    return nn.Sequential(
        nn.Conv2d(1, width, 3, padding=1),
        nn.ReLU(),
        Block(width),
        nn.Conv2d(width, width, 3, 2, 1),
        Block(width),
        nn.Flatten(),
        nn.Linear(16 * width, 1),
    )


def turned(part: slice, times: int, seed: int) -> tuple[Tensor, Tensor]:
    """Return digits, each turned ``times`` times, (N, 1, 8, 8), and the angles, (N, 1)."""
    digits = torch.tensor(load_digits().images, dtype=torch.float32)[part, None].repeat(
        times, 1, 1, 1
    )
    generator = torch.Generator().manual_seed(seed)
    degrees = 90 * torch.rand(len(digits), generator=generator) - 45
    cos, sin = (f(degrees * math.pi / 180) for f in (torch.cos, torch.sin))
    turns = torch.stack([cos, -sin, 0 * cos, sin, cos, 0 * cos], 1).reshape(-1, 2, 3)
    grid = functional.affine_grid(turns, list(digits.shape), align_corners=False)
    images = functional.grid_sample(digits, grid, align_corners=False)
    return (images - 5) / 6, degrees[:, None] / UNIT


def loss(outputs: Tensor, targets: Tensor, wanted: Tensor) -> Tensor:
    """Learn the angle, and what the teacher takes it for."""
    return functional.mse_loss(outputs, targets) + functional.mse_loss(outputs, wanted)


class DegreesOff:
    """The mean absolute error in degrees, on batches of images and angles."""

    def __init__(self, batches: DataLoader[tuple[Tensor, ...]]) -> None:
        self.batches = batches

    def __call__(self, network: nn.Module) -> float:
        """Measure a network; smaller is better."""
        errors = [(network(images) - angles).abs() for images, angles in self.batches]
        return UNIT * float(torch.cat(errors).mean())


def trained(model: nn.Module, batches: DataLoader[tuple[Tensor, ...]], epochs: int) -> nn.Module:
    """Train the network that students begin from."""
    optimiser = torch.optim.Adam(model.parameters(), lr=3e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 3e-3, epochs * len(batches))
    for _ in range(epochs):
        for images, angles in batches:
            optimiser.zero_grad()
            torch.autograd.backward(functional.mse_loss(model(images), angles))
            optimiser.step()
            schedule.step()
    return model.eval()


def run(times: int = 3, epochs: int = 10, budgets: int = 5) -> mlgsearch.SearchResult:
    """Train, search, and return what was found."""
    torch.manual_seed(0)
    train = DataLoader(TensorDataset(*turned(slice(1400), times, 0)), batch_size=50, shuffle=True)
    held_out = DataLoader(TensorDataset(*turned(slice(1400, None), 2, 1)), batch_size=200)
    model = trained(angle_network(), train, epochs)
    return mlgsearch.search(
        model,
        train,
        loss,
        mlgsearch.Metric("degrees_off", DegreesOff(held_out), larger_is_better=False),
        budgets=budgets,
        outputs="values",
        training={"epochs": epochs},
    )


if __name__ == "__main__":
    result = run()
    print(f"teacher: {result.teacher_value:.2f} degrees off")
    print(result.front()[["degrees_off", "packed_bytes", "compression", "damage"]])
