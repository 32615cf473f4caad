import pytest
import torch
from torch import nn
from torch.nn import functional

from mlgsearch.errors import UserError
from mlgsearch.train.networks.chain import ChainNet
from mlgsearch.train.networks.models import build_model
from mlgsearch.train.spec import ModelSpec


def build(
    size: tuple[int, int] = (32, 32),
    channels: int = 3,
    classes: int = 10,
    seed: int = 0,
    **spec: object,
) -> nn.Module:
    return build_model(
        ModelSpec.model_validate(spec),
        classes=classes,
        channels=channels,
        image_size=size,
        seed=seed,
    )


def linear_probe(*, classes: int, channels: int, image_size: tuple[int, int]) -> nn.Module:
    height, width = image_size
    return nn.Sequential(nn.Flatten(), nn.Linear(channels * height * width, classes))


def too_few(*, classes: int, channels: int, image_size: tuple[int, int]) -> nn.Module:
    return linear_probe(classes=classes - 1, channels=channels, image_size=image_size)


def not_a_module(*, classes: int, channels: int, image_size: tuple[int, int]) -> int:
    return classes + channels + sum(image_size)


def weighted(network: nn.Module, kernel: int) -> int:
    return sum(
        isinstance(m, nn.Linear) or (isinstance(m, nn.Conv2d) and m.kernel_size == (kernel, kernel))
        for m in network.modules()
    )


@pytest.mark.parametrize(("name", "layers"), [("resnet8", 8), ("resnet20", 20)])
def test_residual_networks_have_their_layers(name: str, layers: int) -> None:
    network = build((8, 8), channels=1, name=name, width=4)
    assert weighted(network, 3) == layers
    # Two 1x1 shortcuts, at the start of the second and third stage.
    assert weighted(network, 1) - 1 == 2
    assert network(torch.zeros(2, 1, 8, 8)).shape == (2, 10)


def test_chain8_has_its_layers_and_parameters() -> None:
    network = build(name="chain8", head_bias=False)
    assert isinstance(network, ChainNet)
    assert weighted(network, 3) - 1 == 6  # and the head
    assert weighted(network, 2) - 1 == 1
    # Jordan 2024: 1.97 M
    assert sum(p.numel() for p in network.parameters()) == 1_972_792
    assert not network.conv1.weight.requires_grad
    assert network(torch.zeros(2, 3, 32, 32)).shape == (2, 10)
    small = build((9, 9), channels=1, name="chain8", width=2)  # the smallest images it takes
    assert small(torch.zeros(2, 1, 9, 9)).shape == (2, 10)


def test_chain8_decorrelates_patches() -> None:
    network = build(name="chain8", width=2)
    assert isinstance(network, ChainNet)
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(40, 3, 16, 16, generator=generator)
    smooth = functional.avg_pool2d(noise, 3, stride=1)  # neighbours are alike
    images = smooth + 0.5 * smooth.roll(1, 1)  # and so are channels
    network.fit_input(images)
    out = network.conv1(images).detach()[:, :12].permute(1, 0, 2, 3).flatten(1)
    covariance = out @ out.T / out.shape[1]
    assert torch.allclose(covariance, covariance.diagonal().diag(), atol=0.01)
    assert ((covariance.diagonal() > 0.9) & (covariance.diagonal() < 1.01)).sum() >= 9
    assert torch.equal(network.conv1.weight[:12], -network.conv1.weight[12:])


def test_resnet20_has_the_parameters_of_the_paper() -> None:
    network = build(name="resnet20", width=16)
    total = sum(p.numel() for p in network.parameters())
    shortcuts = 16 * 32 + 32 * 64 + 2 * (32 + 64)
    # 0.27 M in He et al., table 6, there without shortcut weights.
    assert total - shortcuts == 269_722


def test_width_and_head_bias() -> None:
    network = build(name="resnet8", width=5, head_bias=False)
    assert network.get_submodule("conv1").out_channels == 5
    assert network.get_submodule("fc").in_features == 20
    assert network.get_submodule("fc").bias is None


@pytest.mark.parametrize(
    ("name", "stem", "gone"),
    [("resnet18", "conv1", "maxpool"), ("densenet121", "features.conv0", "features.pool0")],
)
def test_the_cifar_stem(name: str, stem: str, gone: str) -> None:
    network = build(name=name, head_bias=False)
    convolution = network.get_submodule(stem)
    assert isinstance(convolution, nn.Conv2d)
    assert convolution.kernel_size == (3, 3)
    assert convolution.stride == convolution.padding == (1, 1)
    assert convolution.bias is None
    assert isinstance(network.get_submodule(gone), nn.Identity)
    linear = [m for m in network.modules() if isinstance(m, nn.Linear)]
    assert linear[-1].bias is None


@pytest.mark.parametrize("name", ["mobilenet_v2", "mobilenet_v3_small"])
def test_mobilenets_keep_more_resolution(name: str) -> None:
    def strides(stem: str) -> int:
        network = build((64, 64), name=name, stem=stem)
        return sum(isinstance(m, nn.Conv2d) and m.stride == (2, 2) for m in network.modules())

    assert strides("cifar") == strides("imagenet") - 2


def test_a_network_without_a_cifar_stem_says_which_have_one() -> None:
    with pytest.raises(
        UserError, match=r"not known for squeezenet1_1.*ResNet.*model\.stem: imagenet"
    ):
        build(name="squeezenet1_1")
    assert build(name="squeezenet1_1", stem="imagenet").get_submodule("classifier") is not None


def test_the_first_convolution_takes_the_channels_of_the_images() -> None:
    network = build(channels=1, name="resnet18", stem="imagenet", size=(64, 64))
    assert network.get_submodule("conv1").weight.shape == (64, 1, 7, 7)


def test_auxiliary_heads_are_left_out() -> None:
    network = build((96, 96), name="googlenet", stem="imagenet").train()
    assert isinstance(network(torch.zeros(2, 3, 96, 96)), torch.Tensor)


def test_an_unknown_name_gives_the_nearest() -> None:
    with pytest.raises(UserError, match="unknown network 'resnet81', did you mean resnet"):
        build(name="resnet81")


def test_images_that_do_not_fit() -> None:
    with pytest.raises(UserError, match="inception_v3 does not take images of 3x32x32"):
        build(name="inception_v3", stem="imagenet")


def test_a_head_without_a_linear_layer_keeps_its_bias() -> None:
    with pytest.raises(UserError, match="squeezenet1_1 does not end in a linear layer"):
        build((64, 64), name="squeezenet1_1", stem="imagenet", head_bias=False)


def test_a_callable_of_ones_own() -> None:
    network = build((4, 5), channels=2, classes=3, name=f"{__name__}:linear_probe")
    assert network.get_submodule("1").weight.shape == (3, 40)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("no.such.module:thing", "cannot import 'no.such.module'"),
        (f"{__name__}:linear_prob", "no callable 'linear_prob', did you mean linear_probe"),
        (f"{__name__}:not_a_module", "must return a torch.nn.Module, it returned an int"),
        (f"{__name__}:too_few", r"must return logits of shape \(2, 10\).*\(2, 9\)"),
    ],
)
def test_a_callable_that_does_not_serve(name: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        build(name=name)


def test_the_seed_decides_and_the_global_generator_is_left_alone() -> None:
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    first, again, other = (build(name="resnet8", width=4, seed=seed) for seed in (0, 0, 1))
    assert torch.equal(torch.rand(3), expected)
    weights = [n.get_parameter("conv1.weight") for n in (first, again, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
    assert first.training
