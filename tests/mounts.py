"""Commands that see other mounts than this machine has, where the system lets a test make them."""

import subprocess

import pytest


def seeing(mounts: str) -> list[str]:
    """Return what runs a command after ``mounts``, lines of sh with the first word as "$0"."""
    return ["unshare", "--mount", "sh", "-c", f'{mounts} && exec "$@"']


def needs(*words: str) -> pytest.MarkDecorator:
    """Skip a test where a command may not be run by these words."""
    done = subprocess.run([*words, "true"], capture_output=True, check=False)
    return pytest.mark.skipif(done.returncode != 0, reason="this user may make no namespace here")
