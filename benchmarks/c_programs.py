"""What a student's C program takes: flash, RAM, time per image, and how far its logits are off.

    python benchmarks/c_programs.py [--networks NAME ...]

The students of ``onnx_files.py``, untrained, compiled by this machine's compiler with -O2.
"""

import argparse

import torch
from onnx_files import NETWORKS, a_student

from mlgsearch.mlg.packing.packed import pack_network
from mlgsearch.train.device import memory_format
from mlgsearch.train.files.c.c_folder import c_files
from mlgsearch.train.files.c.network import CNetwork
from mlgsearch.train.files.packed_file import to_bytes


@torch.no_grad()
def main() -> None:
    """Measure and print one row of docs/c.md per network."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    torch.set_num_threads(1)
    for name in parser.parse_args().networks:
        network, card = a_student(name)
        tensors = pack_network(network, card.method)
        program = CNetwork(network, card, tensors)
        program.compile(c_files(network, card, tensors))
        images = torch.randn(2, *card.input_shape)
        images = images.contiguous(memory_format=memory_format(card.input_shape))
        expected = network(images)
        error = (program(images) - expected).abs().max() / expected.abs().max()
        made = program.figures()
        print(
            f"| {name} | {len(to_bytes(network, card)):,} | {made.flash_bytes:,} | "
            f"{made.code_bytes:,} | {made.scratch_bytes:,} | {made.activation_bytes:,} | "
            f"{made.image_ms:.2f} | {error:.0e} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
