"""Code of one's own, which a study or a command names as module:callable."""

import difflib
import functools
import importlib
import inspect
import sys
import sysconfig
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mlgsearch.errors import MlgsearchError, UserError

#: Where this package lies; its frames are not the user's.
_OURS = Path(__file__).parents[1]
#: Folders of what is installed, by their names wherever they lie.
_INSTALLED = ("site-packages", "dist-packages")


class OwnCodeError(UserError):
    """Code of one's own cannot be imported or called, raises, or returns what cannot be used."""


def names_code(name: str) -> bool:
    """Return whether a name is ``module:callable``; ``timm:`` names a network of that library."""
    return ":" in name and not name.startswith("timm:")


def add_code_folder(folder: str | Path) -> None:
    """Add a folder in which imports find modules, behind all others.

    First in the path, a file `queue.py` there would replace the standard library's.
    """
    if str(folder) not in sys.path:
        sys.path.append(str(folder))


def load_callable(name: str, key: str = "model.name") -> Callable[..., object]:
    """Import the callable that ``module:callable`` names.

    Args:
        name: of the module and the callable.
        key: where the user wrote that, for the message.

    Raises:
        OwnCodeError: there is no such module, it raises while it is imported, or it has no such
            callable.
    """
    module_name, _, attribute = name.partition(":")
    try:
        module = importlib.import_module(module_name)
    except UserError:
        raise
    except (Exception, SystemExit) as error:  # a module may raise anything, and scripts may exit
        raise OwnCodeError(
            f"{key}: {name}: cannot import {module_name!r}: {described(error)}"
        ) from error
    target = getattr(module, attribute, None)
    if not callable(target):
        near = difflib.get_close_matches(attribute, dir(module), n=1, cutoff=0.0)
        raise OwnCodeError(
            f"{key}: {name}: {module_name} has no callable {attribute!r}"
            + (f", did you mean {near[0]}?" if near else "")
        )
    called: Callable[..., object] = target
    return called


def call(target: Callable[..., object], name: str, key: str, **arguments: Any) -> object:
    """Call code of one's own with keywords, and return what it returned.

    Raises:
        OwnCodeError: it does not take these keywords, or raises.
    """
    try:
        inspect.signature(target).bind(**arguments)
    except ValueError:  # some callables in C have no signature
        pass
    except TypeError as error:
        given = f"with the keywords {', '.join(arguments)}" if arguments else "without arguments"
        raise OwnCodeError(f"{key}: {name} is called {given}: {error}{place_of(target)}") from error
    try:
        return target(**arguments)
    except MlgsearchError:
        raise
    except (Exception, SystemExit) as error:  # it may raise anything
        raise OwnCodeError(f"{key}: {name}: {described(error, place_of(target))}") from error


@contextmanager
def errors_of(name: str) -> Iterator[None]:
    """Raise what comes out of a network of one's own as `OwnCodeError`, other errors as is.

    An error comes out of it where one of its traceback's frames is in a file of the user's. Nothing
    is changed where ``name`` is not ``module:callable``.
    """
    try:
        yield
    except MlgsearchError:
        raise
    except Exception as error:
        if not names_code(name) or _own_frame(error) is None:
            raise
        raise OwnCodeError(f"model.name: {name}: {described(error)}") from error


def described(error: BaseException, otherwise: str = "") -> str:
    """Return an error in one line, with the last file and line of the user's own in its traceback.

    ``otherwise`` replaces these where all frames are of libraries.
    """
    text = error.msg if isinstance(error, SyntaxError) else str(error)
    said = " ".join(text.split())
    kind = type(error).__name__
    frame = _own_frame(error)
    place = otherwise if frame is None else frame
    return f"{kind}: {said}{place}" if said else f"{kind}{place}"


def place_of(target: object) -> str:
    """Return `` (file:line)`` of a function or a class of the user's, or nothing."""
    while isinstance(target, functools.partial):
        target = target.func
    found: Any = inspect.unwrap(target) if callable(target) else target
    if not (inspect.isclass(found) or inspect.isroutine(found)):
        found = type(found)
    try:
        file = inspect.getsourcefile(found)
        _, line = inspect.findsource(found)
    except (OSError, TypeError):  # made in C, or without a file
        return ""
    if file is None or not is_own(file):
        return ""
    return _place(file, line + 1)


def is_own(file: str | Path) -> bool:
    """Return whether a file is neither of the standard library, nor installed, nor of mlgsearch."""
    path = Path(file)
    standard = (sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib"))
    return (
        path.is_file()
        and not any(part in _INSTALLED for part in path.parts)
        and not path.is_relative_to(_OURS)
        and not any(path.is_relative_to(folder) for folder in standard)
    )


def _own_frame(error: BaseException) -> str | None:
    """Return the last place of the user's own that an error's traceback has."""
    if isinstance(error, SyntaxError) and error.filename and is_own(error.filename):
        return _place(error.filename, error.lineno)
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if is_own(frame.filename)]
    return _place(own[-1].filename, own[-1].lineno) if own else None


def _place(file: str, line: int | None) -> str:
    path, here = Path(file), Path.cwd()
    shown = path.relative_to(here) if path.is_relative_to(here) else path
    return f" ({shown}:{line})"
