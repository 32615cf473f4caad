"""What a command imports: nothing heavy before it is needed."""

import inspect
import subprocess
import sys
from importlib import import_module

import pytest

from mlgsearch.cli.app import COMMANDS
from mlgsearch.cli.lazy_command import LazyCommand

#: A quarter of a second and more each.
HEAVY = {"torch", "torchvision", "ray", "optuna", "sqlalchemy", "alembic", "numpy", "plotly"}


def loaded_by(*arguments: str) -> set[str]:
    """Return every module that is loaded when a command has run in a process of its own."""
    script = f"""
import sys
from mlgsearch.cli.app import app
sys.argv = ["search.py", *{arguments!r}]
app(standalone_mode=False)
print("loaded", *sorted(sys.modules))
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    return set(done.stdout.splitlines()[-1].removeprefix("loaded ").split())


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_help_and_version_import_no_command(option: str) -> None:
    loaded = loaded_by(option)
    assert "mlgsearch.cli.lazy_command" in loaded
    assert not loaded & HEAVY
    assert not loaded & {command.target.partition(":")[0] for command in COMMANDS}
    assert not {name for name in loaded if name.startswith(("mlgsearch.results", "mlgsearch.st"))}


def test_the_help_of_a_command_imports_only_that_command() -> None:
    loaded = loaded_by("sizes", "--help")
    assert "mlgsearch.cli.commands.sizes" in loaded
    others = {command.target.partition(":")[0] for command in COMMANDS} - {
        "mlgsearch.cli.commands.sizes"
    }
    assert not loaded & others
    assert not loaded & {"torch", "torchvision", "ray", "optuna"}


@pytest.mark.parametrize("network", ["resnet18", "densenet121", "mobilenet_v3_small", "resnet8"])
def test_sizes_imports_torch_without_its_compiler(network: str) -> None:
    loaded = loaded_by("sizes", network, "--classes", "10", "--setting", "2,44,3,6,3")
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
    done = subprocess.run(
        [sys.executable, "-c", UNMASKED], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "0o22"
