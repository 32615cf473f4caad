import pytest

from dashboard.parts.values.cells import hyperparameter


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (0.44700667152002665, "0.447"),
        (1.23456e-05, "1.235e-05"),
        (16, "16"),
        ("sgd", "sgd"),
        (True, "True"),
        (None, ""),
    ],
)
def test_a_hyperparameter_is_written_in_four_digits(value: object, written: str) -> None:
    assert hyperparameter(value) == written
