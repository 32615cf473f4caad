"""How colours look: contrast by WCAG 2, and distances for readers of every colour vision."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

#: Linear RGB as it is without one kind of cone: Machado, Oliveira and Fernandes, "A
#: Physiologically-based Model for Simulation of Color Vision Deficiency" (2009), severity 1.
VISIONS = {
    "normal": np.eye(3),
    "protanopia": np.array(
        [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ]
    ),
    "deuteranopia": np.array(
        [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881],
        ]
    ),
    "tritanopia": np.array(
        [
            [1.255528, -0.076749, -0.178779],
            [-0.078411, 0.930809, 0.147602],
            [0.004733, 0.691367, 0.303900],
        ]
    ),
}

_LUMINANCE = np.array([0.2126, 0.7152, 0.0722])
#: Linear sRGB to XYZ over the white of D65.
_TO_XYZ = np.array(
    [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
) / np.array([[0.9505], [1.0], [1.089]])


def contrast(one: str, other: str) -> float:
    """Return the contrast of two colours, #RRGGBB, from 1 to 21 (WCAG 2.2)."""
    low, high = sorted(float(_LUMINANCE @ _linear(colour)) for colour in (one, other))
    return (high + 0.05) / (low + 0.05)


def distance(one: str, other: str, vision: str) -> float:
    """Return how far two colours are apart in CIELAB; 2.3 is just to be seen side by side."""
    return float(np.linalg.norm(_lab(one, vision) - _lab(other, vision)))


def _linear(colour: str) -> Floats:
    encoded = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255  # (3,)
    linear: Floats = np.where(
        encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4
    )
    return linear


def _lab(colour: str, vision: str) -> Floats:
    seen = np.clip(VISIONS[vision] @ _linear(colour), 0, 1)
    share = _TO_XYZ @ seen  # of the white's X, Y and Z, (3,)
    x, y, z = np.where(share > (6 / 29) ** 3, np.cbrt(share), share * (29 / 6) ** 2 / 3 + 4 / 29)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])
