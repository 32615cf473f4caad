"""`sizes`: the paper's table, through the command."""

import re
from functools import partial

import pytest

from mlgsearch.errors import SettingError, UserError
from tests.cli import running

# Gu et al. 2021 (arXiv 2108.11430): network, classes, setting, parameter ratio, memory ratio.
PAPER = [
    ("resnet18", 10, "2,44,3,6,3", "0.0497", "0.0080"),
    ("densenet121", 100, "1,25,4,6,6", "0.2091", "0.0422"),
]


invoke, printed = partial(running.invoke, "sizes"), partial(running.printed, "sizes")


@pytest.mark.parametrize(("model", "classes", "five", "parameters", "memory"), PAPER)
def test_the_papers_table(
    model: str, classes: int, five: str, parameters: str, memory: str
) -> None:
    done = invoke(model, "--classes", str(classes), "--setting", five, "--no-head-bias")
    assert f"parameter_ratio {parameters}, memory_ratio {memory}, packed_bytes " in done.stdout


@pytest.mark.parametrize("five", ["2,44,32,32,32", "2,44,8,8,8", "2,44,3,6,3"])
def test_a_file_is_little_more_than_what_is_counted(five: str) -> None:
    fields = printed("resnet18", "--classes", "10", "--setting", five)
    assert fields["bits"] / 8 < fields["packed_bytes"] <= 1.03 * fields["bits"] / 8


def test_a_heads_bias_counts() -> None:
    arguments = ("resnet18", "--classes", "10", "--setting", "2,44,3,6,3")
    with_bias, without = printed(*arguments), printed(*arguments, "--no-head-bias")
    assert with_bias["bits"] - without["bits"] == 10 * 32
    assert with_bias["not_compressed"] == {"fc": 10}
    assert 32 <= with_bias["packed_bytes"] - without["packed_bytes"] <= 48


def test_norms_in_half_precision_take_half() -> None:
    arguments = ("resnet20", "--classes", "10", "--setting", "2,8,3,6,3")
    full, half = printed(*arguments), printed(*arguments, "--norm-bits", "16")
    counted = [*full["not_compressed"].values(), *(x["parameters"] for x in full["layers"])]
    norms = full["parameters"] - sum(counted)
    assert full["bits"] - half["bits"] == 16 * norms
    assert half["memory_ratio"] < full["memory_ratio"]
    assert abs(full["packed_bytes"] - half["packed_bytes"] - 2 * norms) < 100


def test_layers_add_up_to_the_network() -> None:
    fields = printed("mobilenet_v2", "--classes", "10", "--setting", "2,16,4,6,4")
    layers = fields["layers"]
    kinds = {layer["kind"] for layer in layers}
    assert kinds == {"conv 3x3", "conv 1x1", "depthwise 3x3", "linear"}
    norms = fields["parameters"] - sum(layer["parameters"] for layer in layers)
    assert fields["bits"] == sum(layer["bits"] for layer in layers) + 32 * norms
    assert layers[0]["layer"] == "features.0.0"
    assert layers[0]["setting"] == [0, 0, 4, 0, 0]  # factors of a stem this small cost more
    assert layers[-2]["setting"] == [0, 16, 4, 0, 4]


def test_the_table_shows_every_layer() -> None:
    done = invoke("resnet20", "--classes", "10", "--setting", "2,8,3,6,3", "--width", "8")
    rows = re.findall(r"^ +(\S+) +(?:conv|linear)", done.stdout, re.MULTILINE)
    assert len(rows) == 22
    assert "packed_bytes" in done.stdout


@pytest.mark.parametrize(
    "model", ["resnet34", "resnet50", "mobilenet_v3_small", "mobilenet_v3_large"]
)
def test_a_stem_changes_what_is_executed(model: str) -> None:
    arguments = (model, "--classes", "10", "--setting", "2,44,3,6,3")
    cifar, imagenet = printed(*arguments), printed(*arguments, "--stem", "imagenet")
    assert cifar["execution_macs"] < imagenet["execution_macs"]


def test_an_image_has_a_size_and_channels() -> None:
    arguments = ("resnet8", "--classes", "10", "--setting", "2,44,3,6,3")
    digits = printed(*arguments, "--image-size", "8", "--channels", "1")
    assert digits["execution_macs"] < printed(*arguments)["execution_macs"] / 8


@pytest.mark.parametrize(
    ("model", "five", "message"),
    [
        ("resnet19", "2,44,3,6,3", "unknown network 'resnet19', did you mean resnet18"),
        ("resnet18", "2,44,3,6", "'2,44,3,6' is not five whole numbers"),
        ("resnet18", "2,44,3,6,x", "is not five whole numbers"),
        ("resnet18", "2,44,3,6,9", "q_coeff_out is 9, expected one of"),
        ("resnet18", "-2,44,3,6,3", "base_in is -2"),
        ("vgg11", "2,44,3,6,3", "cifar is not known for vgg11"),
        ("nowhere:network", "2,44,3,6,3", "cannot import 'nowhere'"),
        ("", "2,44,3,6,3", "MODEL: name: string should have at least 1 character, got ''"),
        (".:network", "2,44,3,6,3", "is neither a network's name nor module:callable"),
    ],
)
def test_a_mistake_is_told_in_a_line(model: str, five: str, message: str) -> None:
    done = invoke(model, "--classes", "10", "--setting", five)
    assert isinstance(done.exception, UserError | SettingError)
    assert message in str(done.exception)
    assert "\n" not in str(done.exception)


def test_a_transformer_is_compressed() -> None:
    done = invoke("vit_b_16", "--classes", "10", "--setting", "2,44,3,6,3", "--stem", "imagenet")
    assert "memory_ratio 0.0104" in done.stdout
    assert "self_attention.in_proj_weight" in "".join(done.stdout.split())
    assert "not compressed" not in done.stdout


def test_what_nothing_compresses_is_counted_and_named() -> None:
    own = "tests.cli.commands.test_plan:with_a_table"
    done = invoke(own, "--classes", "10", "--setting", "2,4,3,6,3", "--image-size", "8")
    assert "8.8% of this network's parameters are not compressed and stay at 32" in " ".join(
        done.stdout.split()
    )
    fields = printed(own, "--classes", "10", "--setting", "2,4,3,6,3", "--image-size", "8")
    assert fields["not_compressed"] == {"1": 512}
