"""What a command imports: nothing heavy before it is needed."""

import inspect
import subprocess
import sys
from importlib import import_module

import pytest

from mlgsearch.cli.app import COMMANDS
from mlgsearch.cli.lazy_command import LazyCommand
from tests.cli.filled import NAME, Filled
from tests.fresh_process import loaded_by, printed

#: A quarter of a second and more each.
HEAVY = {"torch", "torchvision", "ray", "optuna", "sqlalchemy", "alembic", "numpy", "plotly"}


def loaded_by_command(*arguments: str) -> set[str]:
    """Return every module that is loaded when a command has run in a process of its own."""
    return loaded_by(f"""
import sys
from mlgsearch.cli.app import app
sys.argv = ["search.py", *{arguments!r}]
app(standalone_mode=False)
""")


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_help_and_version_import_no_command(option: str) -> None:
    loaded = loaded_by_command(option)
    assert "mlgsearch.cli.lazy_command" in loaded
    assert not loaded & HEAVY
    assert not loaded & {command.target.partition(":")[0] for command in COMMANDS}
    assert not {name for name in loaded if name.startswith(("mlgsearch.results", "mlgsearch.st"))}


def test_the_help_of_a_command_imports_only_that_command() -> None:
    loaded = loaded_by_command("sizes", "--help")
    assert "mlgsearch.cli.commands.sizes" in loaded
    others = {command.target.partition(":")[0] for command in COMMANDS} - {
        "mlgsearch.cli.commands.sizes"
    }
    assert not loaded & others
    assert not loaded & {"torch", "torchvision", "ray", "optuna"}


@pytest.mark.parametrize("network", ["resnet18", "densenet121", "mobilenet_v3_small", "resnet8"])
def test_sizes_imports_torch_without_its_compiler(network: str) -> None:
    loaded = loaded_by_command("sizes", network, "--classes", "10", "--setting", "2,44,3,6,3")
    assert "torch" in loaded
    assert not loaded & {"torch._dynamo", "torch._inductor", "torch.distributed.fsdp", "triton"}
    assert not loaded & {"ray", "optuna", "sqlalchemy", "alembic", "plotly", "sklearn", "pandas"}


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: str(command.name))
def test_the_list_says_what_a_commands_own_help_says(command: LazyCommand) -> None:
    module, _, function = command.target.partition(":")
    described = inspect.getdoc(getattr(import_module(module), function))
    assert described is not None
    assert command.help == " ".join(described.split("\n\n")[0].splitlines())
    assert command.load().name == command.name


UNMASKED = """
import os, sys
from mlgsearch.cli import main
os.umask(0)
sys.argv = ["mlgsearch", "--version"]
try:
    main()
except SystemExit:
    print(oct(os.umask(0)))
"""


def test_nobody_else_may_write_what_a_command_makes() -> None:
    assert printed(UNMASKED).splitlines()[-1] == "0o22"


def test_reading_commands_load_nothing_heavy(filled: Filled) -> None:
    heavy = {"torch", "torchvision", "ray", "optuna", "sklearn", "alembic", "plotly"}
    heavy |= {f"mlgsearch.study.file.{name}" for name in ("spec", "space_spec", "search_spec")}
    commands = [["list"], ["show", NAME], ["show", NAME, "0"], ["front", NAME]]
    commands.append(["choose", NAME, "--max-ratio", "0.03"])
    script = f"""
import sys
from typer.testing import CliRunner
from mlgsearch.cli.app import app
for command in {commands}:
    done = CliRunner().invoke(app, [*command, "--storage", {filled.url!r}])
    assert done.exit_code == 0, done.output
print(sorted({heavy} & set(sys.modules)))
"""
    assert printed(script).strip() == "[]"


@pytest.mark.parametrize(
    "arguments",
    [
        ("measure", "studies/digits.yaml", "--on", "torch", "--out", "a" * 5_000),
        ("evaluate", "--data", "digits", "a" * 5_000),
    ],
    ids=lambda arguments: arguments[0],
)
def test_a_file_name_that_is_too_long_is_a_line(arguments: tuple[str, ...]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mlgsearch", *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"error: {arguments[-1]}: File name too long\n"
