"""ONNX files: a student as a graph that decodes and computes it."""
