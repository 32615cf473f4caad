"""`launch` and `resume`: what is printed at the end."""

import shlex

from typer.testing import CliRunner

from mlgsearch.cli.app import app
from mlgsearch.cli.commands.driving import _next_commands
from tests.cli.filled import NAME, Filled


def test_the_end_of_a_study_reports_what_to_do_next(filled: Filled) -> None:
    lines = list(_next_commands(filled.study, filled.store.trials(NAME), filled.url))
    verbs = ("show", "choose", "verify", "export", "resume")
    assert len(lines) == len(verbs)
    assert all(f" {verb} '{NAME}'" in line for verb, line in zip(verbs, lines, strict=True))
    words = shlex.split(lines[1])
    done = CliRunner().invoke(app, words[words.index("choose") :])
    assert done.exit_code == 0, done.output
    (only,) = _next_commands(filled.study, [], filled.url)
    assert " resume " in only
