"""Networks as people write them for ``module:callable``, and every way to get one wrong.

Tests import it by name from a folder that they put on the path, as a user's own module.
"""

SOURCE = """\
import warnings

import torch
from torch import nn

from parts.layers import head


def good(classes, channels, image_size):
    return nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten(), head(4 * channels, classes))


def noargs():
    return nn.Identity()


def positional(num_classes):
    return nn.Identity()


def raises(classes, channels, image_size):
    raise ValueError("my own\\n  mistake")


def keyerr(classes, channels, image_size):
    return {}["x"]


def exits(classes, channels, image_size):
    raise SystemExit(3)


def returns_dict(classes, channels, image_size):
    return {"network": nn.Identity()}


instance = nn.Identity()


class Wrong(nn.Module):
    def __init__(self, kind, classes):
        super().__init__()
        self.kind = kind
        self.head = nn.Linear(3, classes)

    def forward(self, x):
        out = self.head(x.mean((2, 3)))
        if self.kind == "key":
            return {}["missing"]
        if self.kind == "dict":
            return {"logits": out}
        if self.kind == "training" and self.training:
            return {"logits": out}
        if self.kind == "shape":
            return out[:, 1:]
        if self.kind == "assert":
            assert out.shape[0] == 7
        if self.kind == "numbers" and float(x.sum()) > 0:
            return out + 1
        if self.kind == "later" and len(x) > 2:
            raise ValueError("not so many")
        return out


def forward_key(classes, channels, image_size):
    return Wrong("key", classes)


def forward_dict(classes, channels, image_size):
    return Wrong("dict", classes)


def training_dict(classes, channels, image_size):
    return Wrong("training", classes)


def forward_shape(classes, channels, image_size):
    return Wrong("shape", classes)


def forward_assert(classes, channels, image_size):
    return Wrong("assert", classes)


def numbers(classes, channels, image_size):
    return Wrong("numbers", classes)


def later(classes, channels, image_size):
    return Wrong("later", classes)


def scripted(classes, channels, image_size):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.jit.script(nn.Sequential(nn.Flatten(), nn.Linear(192, classes)))


def softmax(classes, channels, image_size):
    return nn.Sequential(good(classes, channels, image_size), nn.Softmax(1))


def misfit(classes, channels, image_size):
    return nn.Sequential(nn.Conv2d(channels + 1, 4, 3), nn.Flatten(), nn.Linear(4, classes))
"""

LAYERS = """\
from torch import nn


def head(features, classes):
    from . import sizes

    return nn.Linear(features, classes, bias=sizes.BIAS)
"""


def line_of(text: str) -> int:
    """Return the line of `SOURCE` that contains a text."""
    return 1 + next(n for n, line in enumerate(SOURCE.splitlines()) if text in line)
