"""The paper's uniform setting: the same five numbers for every convolution."""

from mlgsearch.mlg.network import NetworkShape
from mlgsearch.mlg.setting import LayerSetting
from mlgsearch.records import FiveNumbers


def uniform_settings(
    shape: NetworkShape, five: FiveNumbers, *, head_bits: int | None = None
) -> dict[str, LayerSetting]:
    """Spread five numbers over a network; the settings returned are canonical.

    On a 1x1 convolution a B_out at or above min(C_out, C_in) becomes int(0.9*min(C_out, C_in)),
    so that such a layer is compressed too; any other matrix is treated like it. The head is plain,
    at ``head_bits``; without it at 8 bits where any factor is quantised, at 32 otherwise.

    Raises:
        SettingError: a number is malformed.
    """
    wanted = LayerSetting.from_five(five)
    if head_bits is None:
        # 0 bits mean a factor that is absent, not for one that is quantised.
        widths = (wanted.q_basis, wanted.q_coeff_in, wanted.q_coeff_out)
        head_bits = 8 if any(0 < width < 32 for width in widths) else 32
    head = LayerSetting.plain(head_bits)
    settings = {}
    for name, layer in shape.layers.items():
        if name == shape.head:
            settings[name] = head
            continue
        base_out = wanted.base_out
        smaller = min(layer.c_out, layer.c_in)
        if layer.kernel_area == 1 and base_out >= smaller:
            base_out = int(0.9 * smaller)
        setting = LayerSetting(
            wanted.base_in, base_out, wanted.q_basis, wanted.q_coeff_in, wanted.q_coeff_out
        )
        settings[name] = setting.canonical(layer)
    return settings
