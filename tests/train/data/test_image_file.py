"""Image files of every kind of value, against the picture that was drawn."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from mlgsearch.train.data.image_file import Look, content_bytes, read_image
from tests.train.data.pictures import ramp

#: Brightness of the picture that all files here hold, from 0 to 1, (16, 16).
DRAWN = ramp("a", np.random.default_rng(0))
LEVELS = np.rint(255 * DRAWN).astype(np.uint8)
#: The same as RGB, (16, 16, 3).
COLOUR = np.repeat(LEVELS[..., None], 3, axis=2)


def saved(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def png_16_bit_rgb(values: np.ndarray) -> bytes:
    """Write (H, W, 3) as a PNG of 16 bits, which Pillow cannot."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        check = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)

    height, width, _ = values.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    header = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "PPM"])
def test_16_bits_are_scaled_by_their_range(kind: str) -> None:
    values = np.rint(65535 * DRAWN).astype(np.uint16)
    read = read_image(saved(Image.fromarray(values), kind), Look())
    assert np.array_equal(read, COLOUR)


def test_16_bits_of_colour() -> None:
    values = np.rint(65535 * DRAWN).astype(np.uint16)
    read = read_image(png_16_bit_rgb(np.repeat(values[..., None], 3, axis=2)), Look())
    assert np.abs(read.astype(int) - COLOUR).max() <= 1  # Pillow keeps the upper byte


def test_floats_go_from_0_to_1() -> None:
    read = read_image(saved(Image.fromarray(DRAWN.astype(np.float32)), "TIFF"), Look())
    assert np.array_equal(read, COLOUR)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            np.array([[0, 254.5]], np.float32),
            "floating-point values from 0 to 254.5, of unknown range",
        ),
        (np.array([[-0.5, 1]], np.float32), "from -0.5 to 1"),
        (np.array([[0, np.nan]], np.float32), "from nan to nan"),
        (np.array([[0, 70000]], np.int32), "32-bit whole numbers"),
    ],
)
def test_what_is_ambiguous_is_refused(values: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_image(saved(Image.fromarray(values), "TIFF"), Look())


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
@pytest.mark.parametrize("background", ["white", "black"])
def test_what_is_transparent_shows_the_background(mode: str, background: str) -> None:
    hidden = Image.new(mode, (16, 16))
    hidden.putalpha(Image.fromarray(LEVELS))  # black, seen in the alpha channel alone
    look = Look(background="white" if background == "white" else "black")
    expected = 255 - COLOUR if background == "white" else np.zeros_like(COLOUR)
    assert np.array_equal(read_image(saved(hidden), look), expected)


def test_transparent_palette_entries_show_the_background() -> None:
    image = Image.fromarray(np.array([[0, 1]], np.uint8), "P")
    image.putpalette([9, 9, 9, 40, 50, 60])
    read = read_image(saved(image, transparency=0), Look())
    assert read.tolist() == [[[255, 255, 255], [40, 50, 60]]]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_exif_orientation_is_applied(orientation: int) -> None:
    stored = {
        1: COLOUR,
        2: COLOUR[:, ::-1],
        3: COLOUR[::-1, ::-1],
        4: COLOUR[::-1],
        5: COLOUR.transpose(1, 0, 2),
        6: np.rot90(COLOUR, 1),
        7: np.rot90(COLOUR.transpose(1, 0, 2), 2),
        8: np.rot90(COLOUR, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = Image.fromarray(np.ascontiguousarray(stored))
    assert np.array_equal(read_image(saved(image, exif=exif), Look()), COLOUR)
    as_jpeg = read_image(saved(image, "JPEG", quality=100, exif=exif), Look())
    assert np.abs(as_jpeg.astype(int) - COLOUR).max() < 12


def test_cmyk_bilevel_and_animations() -> None:
    cmyk = read_image(saved(Image.fromarray(COLOUR).convert("CMYK"), "JPEG", quality=100), Look())
    assert np.abs(cmyk.astype(int) - COLOUR).max() < 12
    bilevel = Image.fromarray(np.array([[0, 255]], np.uint8)).convert("1")
    assert read_image(saved(bilevel), Look()).tolist() == [[[0] * 3, [255] * 3]]
    frames = [Image.fromarray(LEVELS), Image.new("L", (16, 16))]
    moving = saved(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert np.array_equal(read_image(moving, Look()), COLOUR)


def test_grey_may_stay_one_channel() -> None:
    assert np.array_equal(
        read_image(saved(Image.fromarray(LEVELS)), Look(channels=1)), LEVELS[..., None]
    )
    read = read_image(saved(Image.new("RGB", (2, 1), (200, 100, 50))), Look(channels=1))
    assert read.tolist() == [[[124], [124]]]


def test_the_centre_square_is_resized() -> None:
    image = Image.new("RGB", (40, 20), "red")
    image.paste("blue", (10, 0, 30, 20))
    read = read_image(saved(image), Look(image_size=8))
    assert read.shape == (8, 8, 3)
    assert np.array_equal(
        read[:, 1:-1], np.broadcast_to(np.array([0, 0, 255], np.uint8), (8, 6, 3))
    )


def test_images_that_differ_in_their_palette_alone_are_not_equal() -> None:
    red, blue = (Image.new("P", (4, 4)) for _ in range(2))
    red.putpalette([255, 0, 0])
    blue.putpalette([0, 0, 255])
    assert content_bytes(red) != content_bytes(blue)
    assert content_bytes(red) == content_bytes(red.copy())
    clear = red.copy()
    clear.info["transparency"] = 0
    assert content_bytes(clear) != content_bytes(red)
