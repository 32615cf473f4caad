"""The page for contributors names rooms and files that there are, and every room."""

import re
import tomllib
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "contributing.md").read_text()

#: Rooms that the page does not list: what is inside a room of one kind.
INSIDE = ("migrations", "dashboard/pages/", "dashboard/charts/")
#: The modules by path, with their text.
MODULES = {
    file.relative_to(ROOT).as_posix(): file.read_text()
    for package in ("mlgsearch", "dashboard")
    for file in sorted((ROOT / package).rglob("*.py"))
    if file.name not in ("__init__.py", "__main__.py")
}


def test_every_room_is_on_the_map() -> None:
    listed = re.findall(r"^\| `([\w/]+)/` \|", PAGE, re.MULTILINE)
    rooms = {
        file.parent.relative_to(ROOT).as_posix()
        for package in ("mlgsearch", "dashboard")
        for file in (ROOT / package).rglob("__init__.py")
    }
    inside = {room for room in rooms if any(part in room for part in INSIDE)}
    assert set(listed) == rooms - inside - {"mlgsearch", "dashboard"}
    assert len(listed) == len(set(listed))


def test_the_readme_names_what_ci_runs() -> None:
    run = re.findall(r"(?:make \w+|scripts/(?!fresh)\w+)", _commands(ROOT / ".ci" / "run"))
    (sentence,) = re.findall(
        r"^CI \(.*?;", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL
    )
    assert re.findall(r"`((?:make|scripts/)[\w ]*)`", sentence) == run


def _commands(script: Path) -> str:
    lines = script.read_text().splitlines()
    return "\n".join(line for line in lines if not line.startswith("#"))


def test_every_extra_that_a_user_may_lack_is_tried() -> None:
    """Each is missing from an installed package, and what it is for is asked."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    tried = {"postgres": "postgresql://"}
    commands = _commands(ROOT / "scripts" / "installed")
    for extra in extras["optional-dependencies"].keys() - {"dev"}:
        assert tried.get(extra, extra) in commands.partition("refused() {")[2]


def test_a_room_is_described_as_it_describes_itself() -> None:
    for room, said in re.findall(r"^\| `([\w/]+)/` \| (.*) \|$", PAGE, re.MULTILINE):
        assert f'"""{said}' in (ROOT / room / "__init__.py").read_text(), room


def test_every_file_to_change_is_there() -> None:
    files = re.findall(r"^- `([\w./]+)`", PAGE, re.MULTILINE)
    assert len(files) > 10
    assert [name for name in files if not (ROOT / name).exists()] == []


def test_names_in_the_lists_are_there() -> None:
    for file, said in re.findall(r"^- `([\w./]+\.py)`: (.*)$", PAGE, re.MULTILINE):
        content = (ROOT / file).read_text()
        assert [name for name in re.findall(r"`(\w+)`", said) if name not in content] == [], file


def test_the_table_counts_the_files_of_each_list() -> None:
    reported = {
        name: int(count)
        for name, count in re.findall(r"^\| (an? [\w ]+?) \| (\d+) \|", PAGE, re.MULTILINE)
    }
    lists = re.findall(r"^### (An? .+?)\n(.*?)(?=^### |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    counted = {
        f"{name[0].lower()}{name[1:]}": len(re.findall(r"^- `(?!docs/)", said, re.MULTILINE))
        for name, said in lists
    }
    assert reported == counted


def test_the_tests_that_add_one_are_there() -> None:
    named = re.findall(r"^\|.*\| `(tests/[\w./]+)` \|$", PAGE, re.MULTILINE)
    assert len(named) == 8
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_a_short_module_is_shared_or_of_a_kind_that_the_page_names() -> None:
    (said,) = re.findall(r"^## Short modules\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    places = re.findall(r"`([\w/.]+)`", said)
    assert [place for place in places if not (ROOT / place).exists()] == []
    short = [path for path, text in MODULES.items() if len(text.splitlines()) < 40]
    alone = [path for path in short if _importers(path) < 2]
    assert [path for path in alone if not path.startswith(tuple(places))] == []


def _importers(path: str) -> int:
    """Count the files that import a module, or name it to import it later."""
    room, _, name = path.removesuffix(".py").replace("/", ".").rpartition(".")
    named = re.compile(rf"{re.escape(room)}(?:\.| import (?:\([^)]*|.*)\b){name}\b")
    files = [
        file for package in ("mlgsearch", "dashboard") for file in (ROOT / package).rglob("*.py")
    ]
    return sum(named.search(file.read_text()) is not None for file in files if file != ROOT / path)


def test_no_room_is_crowded() -> None:
    rooms = Counter(path.rpartition("/")[0] for path in MODULES)
    assert [room for room, count in rooms.items() if count > 16 and "migrations" not in room] == []
