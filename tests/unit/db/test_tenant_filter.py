"""No statement begins without the tenant, except where the operator, housekeeping or the base of the repositories
builds it.
"""

import ast
from pathlib import Path

import pytest

import retinue.db

FOLDER = Path(retinue.db.__file__).parent
STATEMENTS = {
    "select",
    "insert",
    "update",
    "delete",
    "text",
    "exists",
    "union",
    "union_all",
    "exec_driver_sql",
    "values",
}
ALLOWED = {
    "executor.py",
    "guard.py",
    "repositories/base.py",
    "repositories/housekeeping.py",
    "repositories/operator.py",
}
"""The guard asks the server about sessions and locks, the executor what time it is; neither asks a table."""
STRUCTURE = {"dialects", "tables"}
"""Dialects know no tenant's table; tables use `text` for the conditions of indexes."""


def statements_of(source: str) -> list[str]:
    """Where SQLAlchemy is asked for a statement, whatever name it was imported under."""
    tree = ast.parse(source)
    modules: set[str] = set()
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            modules |= {alias.asname or alias.name for alias in node.names if alias.name.startswith("sqlalchemy")}
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("sqlalchemy"):
            names |= {alias.asname or alias.name for alias in node.names if alias.name in STATEMENTS}
    return [
        f"line {node.lineno}: {ast.unparse(node.func)}"
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and _builds(node.func, modules, names)
    ]


def _builds(function: ast.expr, modules: set[str], names: set[str]) -> bool:
    match function:
        case ast.Name(id=name):
            return name in names
        case ast.Attribute(attr="exec_driver_sql"):
            return True
        case ast.Attribute(value=ast.Attribute(attr="_dialect" | "dialect"), attr="insert"):
            return True
        case ast.Attribute(value=ast.Name(id=module), attr=attribute):
            return module in modules and attribute in STATEMENTS
    return False


def checked_files() -> list[Path]:
    return [path for path in sorted(FOLDER.rglob("*.py")) if path.relative_to(FOLDER).parts[0] not in STRUCTURE]


@pytest.mark.parametrize("path", checked_files(), ids=lambda path: str(path.relative_to(FOLDER)))
def test_statements_are_built_in_few_places_only(path: Path) -> None:
    found = statements_of(path.read_text())
    if str(path.relative_to(FOLDER)) in ALLOWED:
        assert found, "this file needs no permission any more"
    else:
        assert found == []


@pytest.mark.parametrize(
    "source",
    [
        "import sqlalchemy as sa\nsa.select(x)",
        "import sqlalchemy\nsqlalchemy.text('x')",
        "from sqlalchemy import delete as away\naway(x)",
        "from sqlalchemy.dialects.sqlite import insert\ninsert(x)",
        "connection.exec_driver_sql('x')",
        "self._dialect.insert(t.Run)",
    ],
)
def test_the_check_sees_a_bypass(source: str) -> None:
    assert len(statements_of(source)) == 1


def test_every_start_in_the_base_has_the_tenant() -> None:
    tree = ast.parse((FOLDER / "repositories/base.py").read_text())
    starts = {
        function.name: ast.unparse(function)
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        and function.name in {"_select", "_update", "_delete", "_add"}
    }
    assert len(starts) == 4
    assert [name for name, code in starts.items() if "self._tenant_id" not in code] == []
