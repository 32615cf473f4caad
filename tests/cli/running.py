"""Commands in the tests' own process."""

import json
from typing import Any

from typer.testing import CliRunner, Result

from mlgsearch.cli.app import app


def invoke(command: str, *arguments: object) -> Result:
    """Run a command; what it raises is in its result."""
    return CliRunner().invoke(app, [command, *map(str, arguments)])


def printed(command: str, *arguments: object) -> Any:
    """Return what a command prints as JSON; it must end well."""
    done = invoke(command, *arguments, "--json")
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)
