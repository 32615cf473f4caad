"""The files that leave a study: packed, dense and ONNX, and their reports."""
