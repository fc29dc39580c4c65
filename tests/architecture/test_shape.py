"""How the code is cut and described."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.architecture.tree import ROOT, SOURCE, files, modules, relative

MAX_LINES = 300
LONG_BODY = 16

Function = ast.FunctionDef | ast.AsyncFunctionDef


def too_long(path: Path) -> bool:
    return len(path.read_text(encoding="utf-8").splitlines()) > MAX_LINES


def public_functions(tree: ast.Module) -> Iterator[Function]:
    """Functions of the module and methods of its classes that others are meant to call."""
    for node in tree.body:
        members = node.body if isinstance(node, ast.ClassDef) and not node.name.startswith("_") else [node]
        for member in members:
            if isinstance(member, Function) and not member.name.startswith("_"):
                yield member


def implementations(tree: ast.Module) -> set[Function]:
    """Methods of classes that derive from another: the contract is stated there, once."""
    derived = [node for node in tree.body if isinstance(node, ast.ClassDef) and node.bases]
    return {member for node in derived for member in node.body if isinstance(member, Function)}


def unexplained(tree: ast.Module) -> list[str]:
    """Public functions too long to explain themselves that have no docstring."""
    inherited = implementations(tree)
    return [
        function.name
        for function in public_functions(tree)
        if function not in inherited
        and (function.end_lineno or 0) - function.body[0].lineno >= LONG_BODY
        and not ast.get_docstring(function)
    ]


@pytest.mark.parametrize("folder", ["src", "tests"])
def test_no_module_is_longer_than_a_reader_likes(folder: str) -> None:
    long = [relative(path) for path in files(ROOT / folder) if path.suffix == ".py" and too_long(path)]
    assert long == [], f"turn into a folder of the same name: {long}"


def test_every_module_says_what_it_is_for() -> None:
    silent = [relative(path) for path, tree in modules() if not ast.get_docstring(tree)]
    assert silent == []


def test_every_package_of_the_source_is_one() -> None:
    folders = {path.parent for path, _ in modules()}
    assert [relative(folder) for folder in folders if not (folder / "__init__.py").is_file()] == []


def test_public_functions_that_do_much_are_explained() -> None:
    silent = [f"{relative(path)}: {name}" for path, tree in modules() for name in unexplained(tree)]
    assert silent == []


def test_abstract_methods_state_their_contract() -> None:
    """A port without words leaves each implementer to guess."""
    silent = []
    for path, tree in modules():
        for function in public_functions(tree):
            decorators = {ast.unparse(decorator) for decorator in function.decorator_list}
            if decorators == {"abstractmethod"} and not ast.get_docstring(function):
                silent.append(f"{relative(path)}: {function.name}")
    assert [name for name in silent if not name.endswith((": aclose", ": insert"))] == []


def test_the_checks_can_fail(tmp_path: Path) -> None:
    body = "\n".join(f"    x{number} = 1" for number in range(LONG_BODY + 1))
    tree = ast.parse(f"def long():\n{body}\n\ndef short():\n    return 1\n\ndef _own():\n{body}\n")
    assert unexplained(tree) == ["long"]
    file = tmp_path / "long.py"
    file.write_text("\n" * (MAX_LINES + 1))
    assert too_long(file)
    file.write_text("\n" * MAX_LINES)
    assert not too_long(file)


def test_the_source_was_found() -> None:
    assert len([path for path, _ in modules()]) > 20
    assert (SOURCE / "py.typed").is_file()
