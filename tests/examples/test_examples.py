"""The examples of other tasks: students of a twentieth of the size are nearly as good."""

import torch

from examples import regression, segmentation


def test_segmentation() -> None:
    torch.set_num_threads(1)
    result = segmentation.run(samples=1000, epochs=6, budgets=2)
    front = result.front()
    assert result.teacher_value > 0.85
    assert front["mean_iou"].iloc[-1] > result.teacher_value - 0.05
    assert front["compression"].iloc[-1] > 10
    assert (front["mean_iou"].diff().dropna() > 0).all()


def test_regression() -> None:
    torch.set_num_threads(1)
    result = regression.run(times=1, epochs=4, budgets=2)
    front = result.front()
    assert result.teacher_value < 4.5
    assert front["degrees_off"].iloc[-1] < result.teacher_value + 1
    assert front["compression"].iloc[-1] > 10
    assert (front["degrees_off"].diff().dropna() < 0).all()
