"""One encoded image to pixels: 8 bits per channel, upright, opaque, of the wanted size."""

import io
from dataclasses import dataclass
from typing import Literal

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

#: Levels of 16 bits per level of 8 bits, exactly.
_16_BIT = 257
#: What `read_image` raises; SyntaxError and ValueError come from within some of Pillow's decoders.
UNREADABLE = (OSError, SyntaxError, ValueError)


@dataclass(frozen=True)
class Look:
    """How images are brought into one form.

    ``image_size``: the shorter side is resized to it (antialiased) and the centre square is taken;
    None leaves the size. ``channels``: 1 for grey, 3 for RGB. ``background``: what shows through
    where an image is transparent.
    """

    image_size: int | None = None
    channels: Literal[1, 3] = 3
    background: Literal["white", "black"] = "white"


def read_image(content: bytes, look: Look) -> np.ndarray:
    """Decode an image file; returns uint8 of shape (H, W, C).

    16-bit values are scaled by the type's range, floats from 0 to 1. The EXIF orientation is
    applied. Of several frames the first is taken.

    Raises:
        OSError, SyntaxError, ValueError: it is no image, damaged, has more pixels than Pillow's
            limit (where its warning is an error), or its values are ambiguous.
    """
    try:
        file = Image.open(io.BytesIO(content))
    except UnidentifiedImageError as error:
        raise ValueError("no format that Pillow knows") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ValueError(f"more pixels than Pillow's limit, {Image.MAX_IMAGE_PIXELS:,}") from error
    with file as opened:
        opened.load()
        image: Image.Image = opened
        if opened.mode.startswith("I;16") or (opened.mode == "I" and opened.format == "PPM"):
            image = _from_16_bit(opened)
        elif opened.mode == "I":
            raise ValueError(
                "it has 32-bit whole numbers, whose range is not known: save it with 8 or 16 bits"
            )
        elif opened.mode == "F":
            image = _from_float(opened)
        elif opened.has_transparency_data:
            image = _on_background(opened, look.background)
        orientation = opened.getexif().get(_ORIENTATION, 1)
        if orientation in _TURNS:
            image = image.transpose(_TURNS[orientation])
        image = image.convert("L" if look.channels == 1 else "RGB")
    side = look.image_size
    if side is not None and image.size != (side, side):
        image = ImageOps.fit(image, (side, side), Image.Resampling.BILINEAR)
    pixels = np.asarray(image)
    return pixels[..., None] if pixels.ndim == 2 else pixels


_ORIENTATION = 0x0112
#: What makes an image of an EXIF orientation upright.
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def _from_16_bit(image: Image.Image) -> Image.Image:
    values = np.asarray(image).astype(np.int64)
    return Image.fromarray(((values + _16_BIT // 2) // _16_BIT).astype(np.uint8))


def _from_float(image: Image.Image) -> Image.Image:
    values = np.asarray(image)
    low, high = float(values.min()), float(values.max())
    if not (low >= 0 and high <= 1):  # NaN as well
        raise ValueError(
            f"it has floating-point values from {low:g} to {high:g}, of unknown range: save them "
            "from 0 to 1, or with 8 or 16 bits"
        )
    return Image.fromarray(np.rint(values * 255).astype(np.uint8))


def _on_background(image: Image.Image, background: str) -> Image.Image:
    above = image.convert("RGBA")
    below = Image.new("RGBA", above.size, background)
    return Image.alpha_composite(below, above)
