"""`scripts/fresh` runs a command as a machine that never saw the project would."""

import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[1]

SEEN = """
echo "home $HOME: $(ls -A "$HOME")"
echo "temporary: $(ls -A "${TMPDIR:-/tmp}")"
echo "caches: ${XDG_CACHE_HOME-}${MLGSEARCH_CACHE-}${MLGSEARCH_STORAGE-}${RAY_TMPDIR-}"
pwd
touch "$HOME/left" "${TMPDIR:-/tmp}/left"
exit 7
"""


def test_home_temporary_folder_and_caches_are_empty_and_gone_afterwards(tmp_path: Path) -> None:
    (tmp_path / "scripts").mkdir()
    script = tmp_path / "scripts" / "fresh"
    script.write_bytes((ROOT / "scripts" / "fresh").read_bytes())
    script.chmod(0o755)
    settings = {name: str(tmp_path) for name in ("XDG_CACHE_HOME", "MLGSEARCH_CACHE", "RAY_TMPDIR")}
    done = subprocess.run(
        [script, "sh", "-c", SEEN],
        env={**os.environ, **settings, "MLGSEARCH_STORAGE": "sqlite:///a.db"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 7, done.stderr
    home, temporary, caches, folder = done.stdout.splitlines()
    where, _, found = home.partition(": ")
    assert found == ""
    # A project in the temporary folder is put into the empty one, at its place.
    assert temporary.removeprefix("temporary: ") in ("", tmp_path.relative_to("/").parts[1])
    assert caches == "caches: "
    assert folder == str(tmp_path)
    assert not Path(where.removeprefix("home ")).exists()
    assert not Path("/tmp/left").exists()
