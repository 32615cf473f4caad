"""Write the reference part of docs/python.md from the library's types and docstrings.

python -m tests.docs.python_page
"""

import ast
import inspect
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path

import mlgsearch

PAGE = Path(__file__).parents[2] / "docs" / "python.md"
HEADING = "## Reference\n"
_SECTIONS = ("Args", "Returns", "Raises")
_WIDTH = 100


def reference() -> str:
    """Return the part of the page that follows from the code."""
    parts = [HEADING, "Every public name; `python -m tests.docs.python_page` writes this part.\n"]
    for name in mlgsearch.__all__:
        parts += _described(name)
    return "\n".join(parts)


def _described(name: str) -> Iterator[str]:
    thing = getattr(mlgsearch, name)
    tree = _tree(thing)
    yield f"### `{name}`\n"
    if isinstance(tree, ast.FunctionDef):
        yield _signature(tree, name)
        yield _text(tree)
        return
    yield from _constructor(tree, name)
    yield _text(tree)
    for member in tree.body:
        if isinstance(member, ast.FunctionDef) and not member.name.startswith("_"):
            decorators = [ast.unparse(node) for node in member.decorator_list]
            if {"property", "cached_property"} & set(decorators):
                assert member.returns is not None
                yield f"#### `{name}.{member.name}`: `{_annotation(member.returns)}`\n"
            else:
                yield f"#### `{name}.{member.name}`\n"
                yield _signature(member, f"{name}.{member.name}")
            yield _text(member)


def _constructor(tree: ast.ClassDef, name: str) -> Iterator[str]:
    """Yield how an object is made, but of errors and of what only the library makes."""
    fields = [node for node in tree.body if isinstance(node, ast.AnnAssign)]
    if any(ast.unparse(node).startswith("dataclass") for node in tree.decorator_list):
        listed = [f"{ast.unparse(f.target)}: {_annotation(f.annotation)}" for f in fields]
        yield _code(name, listed, "")
        return
    for member in tree.body:
        if isinstance(member, ast.FunctionDef) and member.name == "__init__":
            yield _signature(member, name, is_constructor=True)


def _signature(tree: ast.FunctionDef, name: str, *, is_constructor: bool = False) -> str:
    listed = []
    arguments = tree.args
    first_default = len(arguments.args) - len(arguments.defaults)
    for at, argument in enumerate(arguments.args):
        if argument.arg in ("self", "cls"):
            continue
        default = arguments.defaults[at - first_default] if at >= first_default else None
        listed.append(_argument(argument, default))
    if arguments.kwonlyargs:
        listed.append("*")
    for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        listed.append(_argument(argument, default))
    returns = "" if tree.returns is None or is_constructor else f" -> {_annotation(tree.returns)}"
    return _code(name, listed, returns)


def _argument(argument: ast.arg, default: ast.expr | None) -> str:
    annotation = "" if argument.annotation is None else f": {_annotation(argument.annotation)}"
    return f"{argument.arg}{annotation}" + ("" if default is None else f" = {ast.unparse(default)}")


def _annotation(node: ast.expr) -> str:
    return ast.unparse(node).strip("'\"")


def _code(name: str, listed: list[str], returns: str) -> str:
    line = f"{name}({', '.join(listed)}){returns}"
    if len(line) > _WIDTH:
        line = f"{name}(\n" + "".join(f"    {text},\n" for text in listed) + f"){returns}"
    return f"```text\n{line}\n```\n"


def _text(tree: ast.FunctionDef | ast.ClassDef) -> str:
    """Return a docstring as Markdown: sections as lists, code in single backticks."""
    doc = ast.get_docstring(tree)
    assert doc is not None, tree.name
    lines = []
    for block in re.split(r"\n\n", doc):
        opening, _, rest = block.partition("\n")
        section = opening.removesuffix(":")
        if section not in _SECTIONS:
            lines.append(block)
            continue
        entries = re.split(r"\n(?=\S)", textwrap.dedent(rest))
        if section == "Returns":
            lines.append(f"Returns: {' '.join(textwrap.dedent(rest).split())}")
            continue
        items = []
        for entry in entries:
            what, _, said = " ".join(entry.split()).partition(": ")
            items.append(f"- `{what}`: {said}")
        lines.append(f"{section}:\n\n" + "\n".join(items))
    return "\n\n".join(lines).replace("``", "`") + "\n"


def _tree(thing: object) -> ast.FunctionDef | ast.ClassDef:
    source = textwrap.dedent(inspect.getsource(thing))  # type: ignore[arg-type]
    (node,) = ast.parse(source).body
    assert isinstance(node, ast.FunctionDef | ast.ClassDef)
    return node


if __name__ == "__main__":
    before = PAGE.read_text().partition(HEADING)[0]
    PAGE.write_text(before + reference())
