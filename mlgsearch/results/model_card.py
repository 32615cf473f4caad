"""A model card: what a student's file is, how good, of what, and how to run it.

Markdown with Hugging Face's metadata block in front, so that a folder of the file and the card (as
README.md) is a repository there.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

import yaml
from sqlalchemy import Engine

from mlgsearch.records import ExportFormat, StudyRecord, TrialRecord
from mlgsearch.results.analysis.uncertainty.verification import VerifiedPoint, with_spread
from mlgsearch.results.database.store import ResultStore
from mlgsearch.results.read.study_results import read_results, verified_students
from mlgsearch.words import counted

if TYPE_CHECKING:
    from mlgsearch.results.analysis.uncertainty.expectation import Expectation

#: Hugging Face's names of data sets.
_DATASETS = {
    "CIFAR10": "uoft-cs/cifar10",
    "CIFAR100": "uoft-cs/cifar100",
    "MNIST": "ylecun/mnist",
    "FashionMNIST": "zalando-datasets/fashion_mnist",
    "SVHN": "ufldl-stanford/svhn",
}
_DESCRIBED = {
    "digits": "scikit-learn's handwritten digits (1,797 images of 8x8, 10 classes)",
    "folder": "a folder of images of its user's own",
}
_FORMATS: Mapping[ExportFormat, str] = {
    "packed": "packed file of mlgsearch: codes at their bits",
    "coded": "packed file with its codes entropy-coded",
    "dense": "plain float32 network, its state_dict as safetensors",
    "onnx": "ONNX with the same codes as the packed file",
    "dense_onnx": "ONNX, plain float32 network",
    "c": "C99 program",
}
#: Bits of a kilobyte, of 1,000 bytes.
_KILOBIT = 8000


@dataclass(frozen=True)
class CardFile:
    """The file that a card describes; for ``c`` a folder. ``size`` is in bytes.

    ``rounds_norm`` is true where the file holds batch-norm at 8 bits, at which it was not measured.
    """

    name: str
    format: ExportFormat
    size: int
    rounds_norm: bool = False


def read_model_card(
    engine: Engine, name: str, number: int, file: CardFile, data_license: str | None = None
) -> str:
    """Read what is known of a trial, and return the card of its file.

    Raises:
        StudyNotFoundError: there is no such study.
        TrialNotFoundError: it has no such trial.
    """
    trial = ResultStore(engine).trial(name, number)
    results = read_results(engine, name)
    # A trial that shares another's result was verified as that one.
    source = number if trial.reused_from is None else trial.reused_from
    found = verified_students(engine, results)
    points = [point for point in found if point.trial.number == source]
    as_long = [point for point in points if point.epochs == trial.epochs_wanted]
    return model_card(
        results.record,
        trial,
        file,
        expectation=results.expectations.find(number),
        verified=next(iter(as_long or reversed(points)), None),
        data_license=data_license,
    )


def model_card(
    study: StudyRecord,
    trial: TrialRecord,
    file: CardFile,
    *,
    expectation: "Expectation | None" = None,
    verified: VerifiedPoint | None = None,
    data_license: str | None = None,
) -> str:
    """Return the card of a COMPLETE trial's file.

    Args:
        study: the trial's.
        trial: COMPLETE.
        file: what was exported.
        expectation: what to expect of the trial, where that is known.
        verified: the trial trained under several seeds and measured on the test part.
        data_license: the licence of the data.
    """
    parts = [
        "---\n" + _metadata(study, trial, verified) + "---\n",
        _opening(study, trial, file),
        _accuracy(study, trial, file, expectation, verified),
        _sizes(trial, file),
        _data(study, data_license),
        _training(study, trial),
        _running(study, file),
    ]
    return "\n".join(parts)


def _metadata(study: StudyRecord, trial: TrialRecord, verified: VerifiedPoint | None) -> str:
    data = study.section("data").get("name", "")
    accuracy, name, split = trial.accuracy, "validation accuracy", "validation"
    if verified is not None:
        seeds = f"mean of {len(verified.seeds)} seeds" if len(verified.seeds) > 1 else "one seed"
        accuracy, name, split = verified.test_accuracy, f"test accuracy, {seeds}", "test"
    value = None if accuracy is None else round(accuracy, 6)
    dataset = {"name": data, "type": _DATASETS.get(data, data), "split": split}
    content: dict[str, Any] = {
        "library_name": "mlgsearch",
        "pipeline_tag": "image-classification",
        "tags": ["mlgsearch", "model-compression", "quantization", "knowledge-distillation"],
        "metrics": ["accuracy"],
        "model-index": [
            {
                "name": f"{study.name}-{trial.number}",
                "results": [
                    {
                        "task": {"type": "image-classification"},
                        "dataset": dataset,
                        "metrics": [{"type": "accuracy", "name": name, "value": value}],
                    }
                ],
            }
        ],
    }
    if data in _DATASETS:
        content["datasets"] = [_DATASETS[data]]
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True)


def _opening(study: StudyRecord, trial: TrialRecord, file: CardFile) -> str:
    model = study.section("model")
    return (
        f"# {_plain(study.name)}, student {trial.number}\n\n"
        f"{_code(file.name)} is an image classifier, {_code(model.get('name', ''))}, whose weights "
        "are stored as small low-bit factors "
        "([multi-level in situ generation](https://arxiv.org/abs/2108.11430)): "
        f"{1 / trial.sizes.memory_ratio:.1f} times smaller in memory than at 32 bits. "
        "It was found and trained by mlgsearch, distilled from a teacher of the same "
        "architecture.\n"
    )


def _accuracy(
    study: StudyRecord,
    trial: TrialRecord,
    file: CardFile,
    expectation: "Expectation | None",
    verified: VerifiedPoint | None,
) -> str:
    rows = []
    if verified is not None:
        rows.append(
            (
                f"test part, {verified.test_samples:,} images",
                with_spread(verified.test_accuracy, verified.test_std),
                f"mean{'' if verified.test_std is None else ' ± standard deviation'} of "
                f"{counted(len(verified.seeds), 'training')} of these settings under other seeds "
                f"({', '.join(map(str, verified.seeds))}), {verified.epochs} epochs each",
            )
        )
    if expectation is not None and verified is None:
        rows.append(
            (
                "expected",
                f"{expectation.accuracy:.2%}, {expectation.low:.2%} to {expectation.high:.2%}",
                "a new training on new images, and the range of 90 % of them: an estimate from the "
                "whole search",
            )
        )
    samples = study.validation_samples
    measured = "this very file"
    if file.rounds_norm:
        measured = "this student before the file rounded its batch-norm to 8 bits"
    rows.append(
        (
            "validation part" + ("" if samples is None else f", {samples:,} images"),
            "" if trial.accuracy is None else f"{trial.accuracy:.2%}",
            f"{measured}; the search chose by these images, so it is partly luck",
        )
    )
    for part, accuracy in (
        ("test", study.teacher_test_accuracy),
        ("validation", study.teacher_accuracy),
    ):
        if accuracy is not None:
            rows.append((f"teacher, {part} part", f"{accuracy:.2%}", "32 bits"))
    unknown = (
        ""
        if verified is not None
        else "\nIt was not verified: no accuracy on a test part is known, and no spread over "
        "seeds.\n"
    )
    return f"## Accuracy\n\n{_table(('on', 'accuracy', 'what it is'), rows)}{unknown}"


def _sizes(trial: TrialRecord, file: CardFile) -> str:
    sizes = trial.sizes
    rows = [(_code(file.name), f"{file.size:,} bytes", _FORMATS[file.format])]
    if trial.packed_bytes is not None and file.format != "packed":
        rows.append(("packed file", f"{trial.packed_bytes:,} bytes", _FORMATS["packed"]))
    rows += [
        (
            "factors, normalisation and what is not compressed",
            f"{sizes.bits / _KILOBIT:.2f} KB",
            f"as the paper counts; {sizes.memory_ratio:.4f} of 32 bits for every parameter",
        ),
        (
            "numbers stored",
            f"{sizes.parameters:,}",
            f"{sizes.parameter_ratio:.4f} of all parameters",
        ),
        (
            "multiply-accumulates per image",
            f"{sizes.execution_macs:,}",
            f"and {sizes.generation_macs:,} once to rebuild the weights",
        ),
    ]
    return f"## Size\n\n{_table(('what', 'how much', ''), rows)}"


def _data(study: StudyRecord, data_license: str | None) -> str:
    data = study.section("data")
    name = str(data.get("name", ""))
    said = [f"Trained and judged on {_DESCRIBED.get(name, _plain(name))}."]
    if (limit := data.get("limit")) is not None:
        said.append(f"Of the images {limit:,} were used.")
    if data_license is None:
        said.append("Their licence was not stated: find out before you pass this file on.")
    else:
        said.append(f"Licence of the data: {_plain(data_license)}.")
    return "## Data\n\n" + " ".join(said) + "\n"


def _training(study: StudyRecord, trial: TrialRecord) -> str:
    distillation = study.section("distillation")
    facts = {
        "study": f"{_code(study.name)}, trial {trial.number} of {study.n_trials}",
        "epochs": str(trial.epochs_done),
        "seed": str(trial.seed),
        "searched settings": ", ".join(
            f"{_code(key)} {_plain(str(value))}" for key, value in trial.hyperparameters.items()
        ),
        "distillation": ", ".join(f"{k} {v}" for k, v in distillation.items()),
        "teacher": _code(trial.teacher_hash or study.teacher_hash),
        "versions": ", ".join(f"{k} {v}" for k, v in sorted(trial.versions.items())),
    }
    rows = [(key, value) for key, value in facts.items() if value.strip("`")]
    return f"## Training\n\n{_table(('', ''), rows)}"


def _running(study: StudyRecord, file: CardFile) -> str:
    """Describe how the file is run, and what it takes."""
    name = PurePath(file.name).name
    model = str(study.section("model").get("name", ""))
    is_own = ":" in model and not model.startswith("timm:")
    build = ", build=build  # the callable that makes the network" if is_own else ""
    loaded = _python(
        "import mlgsearch, torch\n\n"
        f"network = mlgsearch.load_packed({name!r}{build})\n"
        "mean = torch.tensor(network.packed.mean)[:, None, None]\n"
        "std = torch.tensor(network.packed.std)[:, None, None]\n"
        "logits = network((pixels / 255 - mean) / std)  # (N, C, H, W) to (N, classes)"
    )
    ways: Mapping[ExportFormat, str] = {
        "packed": loaded,
        "coded": loaded,
        "onnx": _onnx(name),
        "dense_onnx": _onnx(name),
        "dense": "Load it with `safetensors.torch.load_file` into the network of the metadata in "
        "its header.\n",
        "c": f"```console\n$ cc -O2 -std=c99 -o student {name}/mlg.c -lm\n"
        "$ ./student < images.u8   # pixels, one byte each, channels first\n```\n",
    }
    other = (
        "Other forms of the same student come from the study's database: `mlgsearch export` with "
        "`--format packed` (exact, in PyTorch), `--format onnx` (the same codes, any ONNX "
        "runtime), or `--format c` (C99 without dependencies).\n"
    )
    return f"## How to run it\n\n{ways[file.format]}\n{other}"


def _onnx(name: str) -> str:
    return _python(
        "import numpy as np, onnxruntime\n\n"
        f"session = onnxruntime.InferenceSession({name!r})\n"
        "kept = session.get_modelmeta().custom_metadata_map\n"
        'mean, std = (np.array(kept[key].split(), "f")[:, None, None] for key in ("mean", "std"))\n'
        'images = (np.array(pixels, "f") / 255 - mean) / std  # (N, C, H, W)\n'
        '(logits,) = session.run(["logits"], {"images": images})  # (N, classes)'
    )


def _python(code: str) -> str:
    return f"```python\n{code}\n```\n"


def _table(heading: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [heading, ("---",) * len(heading), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _code(text: str) -> str:
    """Write text as code in a table: whatever a study is called, it stays in its cell."""
    return f"`{text.replace('`', chr(39)).replace('|', '/')}`"


def _plain(text: str) -> str:
    """Write text that a user chose so that Markdown takes none of it for markup."""
    return "".join(f"\\{c}" if c in r"\`*_{}[]<>#|!" else c for c in text)
