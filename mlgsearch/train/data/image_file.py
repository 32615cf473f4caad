"""One image to pixels: 8 bits per channel, upright, opaque, of the wanted size."""

import io
from dataclasses import dataclass
from typing import Literal

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

#: Levels of 16 bits per level of 8 bits, exactly.
_16_BIT = 257
#: An image as a source has it: the bytes of a file, rows of numbers, or what Pillow made of them.
Content = bytes | np.ndarray | Image.Image
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


def read_image(content: Content, look: Look) -> np.ndarray:
    """Bring an image to uint8 of shape (H, W, C).

    16-bit values are scaled by the type's range, floats from 0 to 1. The EXIF orientation of a file
    is applied. Of several frames the first is taken. Arrays are (H, W) or (H, W, C): grey, grey and
    alpha, RGB, RGB and alpha.

    Raises:
        OSError, SyntaxError, ValueError: it is no image, damaged, has more pixels than Pillow's
            limit (where its warning is an error), or its values are ambiguous.
    """
    if isinstance(content, np.ndarray):
        return _fitted(_from_array(content, look), look)
    if isinstance(content, Image.Image):
        return _fitted(_plain(content, look), look)
    try:
        file = Image.open(io.BytesIO(content))
    except UnidentifiedImageError as error:
        raise ValueError("no format that Pillow knows") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ValueError(f"more pixels than Pillow's limit, {Image.MAX_IMAGE_PIXELS:,}") from error
    with file as opened:
        opened.load()
        return _fitted(_plain(opened, look), look)


def content_bytes(content: Content) -> bytes:
    """Return bytes that two images have in common only where they are equal, for a hash."""
    if isinstance(content, bytes):
        return content
    if isinstance(content, Image.Image):
        palette = content.getpalette("RGBA") if content.mode in ("P", "PA") else None
        clear = content.info.get("transparency")
        return f"{content.mode}{content.size}{palette}{clear!r}".encode() + content.tobytes()
    return f"{content.dtype.str}{content.shape}".encode() + content.tobytes()


def _plain(opened: Image.Image, look: Look) -> Image.Image:
    """Bring an image to 8 bits per channel, opaque and upright."""
    image = opened
    if opened.mode.startswith("I;16") or (opened.mode == "I" and opened.format == "PPM"):
        image = Image.fromarray(_from_words(np.asarray(opened)))
    elif opened.mode == "I":
        raise ValueError(
            "it has 32-bit whole numbers, whose range is not known: save it with 8 or 16 bits"
        )
    elif opened.mode == "F":
        image = Image.fromarray(_from_range(np.asarray(opened)))
    elif opened.has_transparency_data:
        image = _on_background(opened, look.background)
    orientation = opened.getexif().get(_ORIENTATION, 1)
    if orientation in _TURNS:
        image = image.transpose(_TURNS[orientation])
    return image


def _from_array(values: np.ndarray, look: Look) -> Image.Image:
    if values.ndim == 3 and values.shape[2] == 1:
        values = values[:, :, 0]
    mode = _MODES.get(values.shape[2:]) if values.ndim in (2, 3) else None
    if mode is None:
        raise ValueError(f"an array of shape {values.shape} is none of (H, W) and (H, W, 1 to 4)")
    if values.dtype.kind == "f":
        values = _from_range(values)
    elif values.dtype == bool:
        values = values.astype(np.uint8) * 255
    elif values.dtype.kind == "u" and values.dtype.itemsize == 2:
        values = _from_words(values)
    elif values.dtype != np.uint8:
        raise ValueError(
            f"it has values of type {values.dtype}, whose range is not known: save them as uint8, "
            "as uint16, or as floats from 0 to 1"
        )
    image = Image.fromarray(np.ascontiguousarray(values), mode)
    return _on_background(image, look.background) if mode in ("LA", "RGBA") else image


def _fitted(image: Image.Image, look: Look) -> np.ndarray:
    """Return the pixels of an image in the channels and the size that are asked for."""
    image = image.convert("L" if look.channels == 1 else "RGB")
    side = look.image_size
    if side is not None and image.size != (side, side):
        image = ImageOps.fit(image, (side, side), Image.Resampling.BILINEAR)
    pixels = np.asarray(image)
    return pixels[..., None] if pixels.ndim == 2 else pixels


#: Pillow's modes by what follows height and width in an array's shape.
_MODES: dict[tuple[int, ...], str] = {(): "L", (2,): "LA", (3,): "RGB", (4,): "RGBA"}
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


def _from_words(values: np.ndarray) -> np.ndarray:
    scaled: np.ndarray = ((values.astype(np.int64) + _16_BIT // 2) // _16_BIT).astype(np.uint8)
    return scaled


def _from_range(values: np.ndarray) -> np.ndarray:
    low, high = float(values.min()), float(values.max())
    if not (low >= 0 and high <= 1):  # NaN as well
        raise ValueError(
            f"it has floating-point values from {low:g} to {high:g}, of unknown range: save them "
            "from 0 to 1, or with 8 or 16 bits"
        )
    scaled: np.ndarray = np.rint(values * 255).astype(np.uint8)
    return scaled


def _on_background(image: Image.Image, background: str) -> Image.Image:
    above = image.convert("RGBA")
    below = Image.new("RGBA", above.size, background)
    return Image.alpha_composite(below, above)
