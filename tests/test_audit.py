"""`scripts/audit`, with a stand-in for the tool that asks the vulnerability service."""

import os
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "scripts" / "audit"
#: Writes the given text to the file after --output; prints and returns what it is given.
TOOL = """#!/bin/sh
for word; do [ "${last:-}" = --output ] && printf %s "$FOUND" > "$word"; last=$word; done
echo "$SAID" >&2
exit "$CODE"
"""
UNKNOWN = "".join(
    f"{name} Dependency not found on PyPI and could not be audited: {name} (1.0)\n"
    for name in ("torch", "ray")
)
NO_ANSWER = "requests.exceptions.ConnectionError: nobody is there"


def audit(tmp_path: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    tool = tmp_path / "pip-audit"
    tool.write_text(TOOL)
    tool.chmod(0o755)
    given = {"AUDIT": str(tool), "FOUND": "", "SAID": "", "CODE": "1", "AUDIT_REQUIRED": ""}
    return subprocess.run(
        [str(SCRIPT)],
        env={**os.environ, **given, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("environment", "code", "reported"),
    [
        ({"CODE": "0"}, 0, "no known vulnerability in constraints.txt\n"),
        ({"CODE": "0", "FOUND": UNKNOWN}, 0, "not audited: the service does not know 2 of the "),
        ({"CODE": "0", "FOUND": UNKNOWN, "AUDIT_REQUIRED": "1"}, 1, "not audited: "),
        ({"FOUND": "torch 1.0 CVE-1\n"}, 1, "torch 1.0 CVE-1\n"),
        ({"SAID": NO_ANSWER}, 0, f"not audited: no vulnerability service answered: {NO_ANSWER}\n"),
        ({"SAID": NO_ANSWER, "AUDIT_REQUIRED": "1"}, 1, "not audited: "),
        ({"SAID": "error: constraints.txt: line 3"}, 2, "error: constraints.txt: line 3\n"),
    ],
)
def test_what_is_found_fails_and_what_cannot_be_known_is_reported(
    tmp_path: Path, environment: dict[str, str], code: int, reported: str
) -> None:
    done = audit(tmp_path, **environment)
    assert done.returncode == code
    assert (done.stdout + done.stderr).startswith(reported)
