"""The source behind a module:callable: what it is made of, as far as the user wrote it."""

import ast
import hashlib
import importlib.util
import json
from collections.abc import Iterator
from importlib.machinery import SOURCE_SUFFIXES, ModuleSpec, all_suffixes
from pathlib import Path

from mlgsearch.train.own_code import is_own, load_callable


def sources_hash(name: str, key: str = "model.name") -> str:
    """Hash the source of a callable's module, and of all that it imports from the user's folder.

    That folder is the one in which the module, or the package that it is in, was found; of what is
    installed, and of mlgsearch, nothing is read. Imports are read from the source, also those
    inside functions; a name that is computed while the program runs is not seen.

    Args:
        name: ``module:callable``.
        key: where the user wrote that, for the message.

    Raises:
        OwnCodeError: there is no such module or callable.
    """
    load_callable(name, key)  # so that what is missing is reported in the same words everywhere
    sources = own_sources(name.partition(":")[0])
    digests = {
        module: hashlib.sha256(path.read_bytes()).hexdigest() for module, path in sources.items()
    }
    return hashlib.sha256(json.dumps(digests, sort_keys=True).encode()).hexdigest()


def own_sources(module: str) -> dict[str, Path]:
    """Return the files of a module and of its imports, as `sources_hash` reads them, by module."""
    folders = _folders_of(module.partition(".")[0])
    found: dict[str, Path] = {}
    waiting = list(_with_packages(module))
    while waiting:
        name = waiting.pop()
        path = None if name in found else _file_of(name)
        if path is None or not is_own(path) or not any(map(path.is_relative_to, folders)):
            continue
        found[name] = path
        if path.suffix in SOURCE_SUFFIXES:
            waiting += _imports(name, path)
    return found


def _folders_of(top: str) -> list[Path]:
    """Return the folders that a module or package of the first level lies in."""
    spec = _spec_of(top)
    if spec is None:
        return []
    if spec.submodule_search_locations:
        return [Path(folder).parent for folder in spec.submodule_search_locations]
    return [Path(spec.origin).parent] if spec.origin else []


def _imports(module: str, path: Path) -> Iterator[str]:
    """Yield every module that a file may import, and the packages that they are in."""
    package = module if path.stem == "__init__" else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from _with_packages(alias.name)
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")
            above = parents[: len(parents) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            yield from _with_packages(base)
            for alias in node.names:
                yield f"{base}.{alias.name}"  # a module of that package, or nothing


def _with_packages(module: str) -> Iterator[str]:
    parts = module.split(".")
    for count in range(1, len(parts) + 1):
        yield ".".join(parts[:count])


def _file_of(module: str) -> Path | None:
    """Return the file that a module comes from, without importing it; None where it has none."""
    first, *rest = module.split(".")
    spec = _spec_of(first)
    if spec is None:
        return None
    if not rest:
        return Path(spec.origin) if spec.has_location and spec.origin else None
    for folder in spec.submodule_search_locations or ():
        place = Path(folder, *rest)
        candidates = [place / f"__init__{suffix}" for suffix in all_suffixes()]
        candidates += [place.with_name(place.name + suffix) for suffix in all_suffixes()]
        for candidate in candidates:
            if candidate.is_file():
                return candidate
    return None


def _spec_of(top: str) -> ModuleSpec | None:
    try:
        return importlib.util.find_spec(top)
    except (ImportError, ValueError):  # ValueError: a module that has no specification
        return None
