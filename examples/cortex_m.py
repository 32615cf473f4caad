"""A student's C program on a Cortex-M: flash, RAM, instructions per image, and its logits.

    python examples/cortex_m.py OUT_DIR [--cpu cortex-m4 | cortex-m7]

OUT_DIR is what ``mlgsearch export --format c`` wrote. GCC for ARM compiles it without an operating
system, and QEMU runs one image: Debian's packages gcc-arm-none-eabi, libnewlib-arm-none-eabi and
qemu-system-arm. QEMU counts instructions, not a board's cycles: under ``-icount shift=0`` each
takes one nanosecond of the board's time, by which its timer of 25 MHz runs.
"""

import argparse
import re
import shutil
import struct
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

FIRMWARE = Path(__file__).with_name("firmware")
TOOLS = ("arm-none-eabi-gcc", "arm-none-eabi-size", "qemu-system-arm")

#: By processor: QEMU's board, and the compiler's name of the floating-point unit.
BOARDS = {"cortex-m4": ("mps2-an386", "fpv4-sp-d16"), "cortex-m7": ("mps2-an500", "fpv5-sp-d16")}

#: Instructions per tick of the boards' timer.
_PER_TICK = 40


@dataclass(frozen=True)
class Figures:
    """What one image took. ``flash`` and ``ram`` are bytes of the student and of mlg.c alone.

    ``firmware_flash`` are those of the whole program: with the start-up code, one image, and what
    it takes of libm and the C library. The stack is not in ``ram``.
    """

    logits: list[float]
    flash: int
    ram: int
    firmware_flash: int
    instructions: int


def run(folder: Path, image: Sequence[float], cpu: str = "cortex-m4") -> Figures:
    """Compile a folder's program for a processor, and run one image in QEMU.

    Args:
        folder: as exported.
        image: its normalised numbers, channels first.
        cpu: one of `BOARDS`.

    Raises:
        RuntimeError: a tool is missing, or the program does not end in time.
    """
    for tool in TOOLS:
        if shutil.which(tool) is None:
            raise RuntimeError(f"{tool} is not installed")
    board, unit = BOARDS[cpu]
    header = (folder / "student.h").read_text()
    classes = re.search(r"^#define CLASSES (\d+)$", header, re.MULTILINE)
    assert classes is not None, "student.h names no number of classes"
    numbers = ", ".join(f"{number:.9e}f" for number in image)
    options = [f"-mcpu={cpu}", "-mthumb", "-mfloat-abi=hard", f"-mfpu={unit}", "-O2", "-std=c99"]
    options += ["-ffunction-sections", "-fdata-sections", "-Wall", "-Wextra"]
    with TemporaryDirectory() as name:
        made = Path(name)
        (made / "image.h").write_text(
            f"enum {{ IMAGE_CLASSES = {classes[1]} }};\n"
            f"static const float IMAGE[] = {{{numbers}}};\n"
        )
        compiler = ["arm-none-eabi-gcc", *options, f"-I{made}"]
        _call(*compiler, "-DMLG_NO_MAIN", "-c", str(folder / "mlg.c"), "-o", str(made / "mlg.o"))
        _call(*compiler, "-c", str(FIRMWARE / "main.c"), "-o", str(made / "main.o"))
        linked = ["-nostartfiles", "-Wl,--gc-sections", f"-T{FIRMWARE / 'cortex_m.ld'}"]
        parts = [str(made / "main.o"), str(made / "mlg.o"), "-lm"]
        _call(*compiler, *linked, *parts, "-o", str(made / "firmware.elf"))
        flash, ram = _sizes(made / "mlg.o")
        firmware_flash, _ = _sizes(made / "firmware.elf")
        printed = _call(
            *("qemu-system-arm", "-machine", board, "-cpu", cpu, "-nographic"),
            *("-monitor", "none", "-serial", "none", "-icount", "shift=0"),
            *("-semihosting-config", "enable=on,target=native"),
            *("-kernel", str(made / "firmware.elf")),
        )
    logits, spent = (line.split() for line in printed.splitlines())
    return Figures(
        [struct.unpack(">f", bytes.fromhex(word))[0] for word in logits],
        flash,
        ram,
        firmware_flash,
        _PER_TICK * int("".join(spent), 16),
    )


def _sizes(path: Path) -> tuple[int, int]:
    """Return the bytes of flash and of RAM in an object or a program."""
    text, data, bss = map(int, _call("arm-none-eabi-size", str(path)).splitlines()[1].split()[:3])
    return text + data, data + bss


def _call(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=240)
    if done.returncode:
        raise RuntimeError(f"{command[0]}: {(done.stderr or done.stdout).strip()}")
    return done.stdout + done.stderr


def main() -> None:
    """Run a black image and print what it took."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--cpu", choices=BOARDS, default="cortex-m4")
    arguments = parser.parse_args()
    header = (arguments.folder / "student.h").read_text()
    sides = [re.search(rf"^#define {name} (\d+)$", header, re.MULTILINE) for name in _SIDES]
    count = 1
    for side in sides:
        assert side is not None, "student.h names no size of an image"
        count *= int(side[1])
    found = run(arguments.folder, [0.0] * count, arguments.cpu)
    print(f"flash: {found.flash:,} bytes; RAM: {found.ram:,} bytes")
    print(f"whole firmware: {found.firmware_flash:,} bytes of flash")
    print(f"one image: {found.instructions:,} instructions")
    print("logits:", *(f"{logit:.6g}" for logit in found.logits))


_SIDES = ("CHANNELS", "HEIGHT", "WIDTH")

if __name__ == "__main__":
    main()
