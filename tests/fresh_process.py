"""Scripts that a fresh interpreter runs."""

import subprocess
import sys


def printed(script: str, *arguments: str) -> str:
    """Return what a script prints, which must end well."""
    words = [sys.executable, "-c", script, *arguments]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def loaded_by(script: str) -> set[str]:
    """Return every module that is loaded when a script has run."""
    found = printed(f"{script}\nimport sys; print(*sorted(sys.modules))")
    return set(found.splitlines()[-1].split())
