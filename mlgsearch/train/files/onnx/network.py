"""A compressed ONNX file again: what it says of itself, and its network in onnxruntime."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from mlgsearch.errors import DataError
from mlgsearch.train.files.onnx.graph import onnx_needed
from mlgsearch.train.files.packed_card import PackedCard

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

#: What a compressed file holds of a packed one, beside ``other.<module>.<name>``.
_STREAMS = ("codes", "numbers", "halves")

#: A larger file is not read.
MOST_FILE_BYTES = 2**31


class OnnxNetwork(nn.Module):
    """Computes logits in onnxruntime, on the CPU, with as many threads as torch has.

    ``card`` and ``tensors`` are those of the packed file of the same student.
    """

    def __init__(
        self, session: "InferenceSession", card: PackedCard, tensors: Mapping[str, Tensor]
    ) -> None:
        super().__init__()
        self._session, self.card, self.tensors = session, card, tensors

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to logits (B, classes)."""
        (logits,) = self._session.run(["logits"], {"images": x.contiguous().numpy()})
        return torch.from_numpy(logits)


def open_onnx(path: Path) -> OnnxNetwork:
    """Read a compressed ONNX file; no code of it runs but ONNX's own operators.

    Raises:
        DataError: it cannot be read, is no ONNX file, or is none that ``export`` wrote compressed.
        UserError: onnx or onnxruntime is not installed.
    """
    with onnx_needed():
        import onnxruntime  # an optional dependency
        from google.protobuf.message import DecodeError
        from onnx import ModelProto, numpy_helper
    try:
        if path.stat().st_size > MOST_FILE_BYTES:
            raise DataError(f"{path}: {path.stat().st_size} bytes are too many for an ONNX file")
        content = path.read_bytes()
        model = ModelProto.FromString(content)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    except DecodeError:
        raise DataError(f"{path}: truncated, or no ONNX file") from None
    texts = {p.key: p.value for p in model.metadata_props}
    if "settings" not in texts:
        raise DataError(f"{path}: no ONNX file that mlgsearch wrote")
    stored = {t.name: t for t in model.graph.initializer}
    if "codes" not in stored:
        raise DataError(f"{path}: a dense ONNX file: only a compressed one can be measured")
    try:
        card = PackedCard.from_metadata(texts)
        tensors = {
            name: torch.from_numpy(np.array(numpy_helper.to_array(tensor)))
            for name, tensor in stored.items()
            if name in _STREAMS or name.startswith("other.")
        }
    except (DataError, ValueError, TypeError) as error:
        raise DataError(f"{path}: {error}") from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3
    failures = onnxruntime.capi.onnxruntime_pybind11_state
    try:
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except (
        failures.Fail,
        failures.InvalidArgument,
        failures.InvalidGraph,
        failures.NotImplemented,
        failures.RuntimeException,
    ) as error:
        first = str(error).splitlines()[0]
        raise DataError(f"{path}: onnxruntime refuses it: {first}") from error
    names = [given.name for given in session.get_inputs()], [o.name for o in session.get_outputs()]
    if names != (["images"], ["logits"]):
        raise DataError(f"{path}: it does not map images to logits")
    return OnnxNetwork(session, card, tensors)
