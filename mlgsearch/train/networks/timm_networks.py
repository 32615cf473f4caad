"""Networks and weights of timm, which is an optional extra."""

import difflib
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import urlparse

import torch
from torch import nn

from mlgsearch.errors import DataError, UserError

#: What a network of timm's is called by: this, and timm's own name for it.
PREFIX = "timm:"
#: Files that hold a model's weights on the hub, in the order in which they are looked for.
_FILES = ("model.safetensors", "pytorch_model.bin")


def build_timm(name: str, *, classes: int, channels: int, image_size: tuple[int, int]) -> nn.Module:
    """Build a network of timm's, such as ``timm:resnet18.a1_in1k``, with weights of its own.

    Raises:
        UserError: timm is not installed, or has no such network.
    """
    timm = _timm(name)
    model = name.removeprefix(PREFIX)
    options: dict[str, Any] = {"num_classes": classes, "in_chans": channels}
    published = _published(timm, model)
    if getattr(published, "fixed_input_size", False):  # a transformer, made for one size
        options["img_size"] = image_size
    try:
        network: nn.Module = timm.create_model(model, pretrained=False, **options)
    except RuntimeError as error:  # what timm raises for a name that it does not know
        known = timm.list_models() + timm.list_pretrained()
        near = difflib.get_close_matches(model, known, n=1, cutoff=0.0)
        raise UserError(
            f"model.name: {name}: {error}" + (f", did you mean {PREFIX}{near[0]}?" if near else "")
        ) from error
    return network


def timm_version(name: str) -> str:
    """Return timm's version.

    Raises:
        UserError: it is not installed; ``name`` is the network that needs it.
    """
    return str(_timm(name).__version__)


def timm_weights(name: str, *, downloads: bool) -> Path:
    """Return the file of a network's published weights in the caches that timm uses.

    Those are the hub's, and torch's. Where it is in neither it is fetched from the hub, if that is
    wanted.

    Raises:
        UserError: timm is not installed.
        DataError: nothing is published under that name, or it is not there and is not, or cannot
            be, fetched.
    """
    published = _published(_timm(name), name.removeprefix(PREFIX))
    repository, url = getattr(published, "hf_hub_id", None), getattr(published, "url", None)
    if not repository and not url:
        raise DataError(
            f"teacher.checkpoint: timm: {name} has no published weights; name them as in "
            "timm:resnet18.a1_in1k, or name a file"
        )
    if url:
        path = Path(torch.hub.get_dir()) / "checkpoints" / Path(urlparse(url).path).name
        if path.is_file():
            return path
    try:
        import huggingface_hub as hub
    except ModuleNotFoundError:
        repository = None
    if repository:
        for file in _FILES:
            found = hub.try_to_load_from_cache(repository, file)
            if isinstance(found, str):
                return Path(found)
    if not downloads:
        raise DataError(
            f"teacher.checkpoint: timm: the weights of {name} are in no cache of timm's; write "
            "teacher.download: true to fetch them, or name a file"
        )
    if not repository:
        raise DataError(
            f"teacher.download: {name} is not on the hub, or huggingface_hub is not installed; "
            "name a file"
        )
    try:
        return Path(hub.hf_hub_download(repository, _FILES[0]))
    except Exception as error:  # the hub's client does not say what it may raise
        said = " ".join(str(error).split())
        raise DataError(
            f"teacher.download: the weights of {name} cannot be fetched: {said}"
        ) from error


def _timm(name: str) -> ModuleType:
    try:
        import timm
    except ModuleNotFoundError as error:
        raise UserError(f"model.name: {name} needs timm: pip install 'mlgsearch[timm]'") from error
    found: ModuleType = timm
    return found


def _published(timm: ModuleType, model: str) -> object:
    """Return what timm knows of a model's published weights; None where it knows no such model."""
    return timm.models.get_pretrained_cfg(model)
