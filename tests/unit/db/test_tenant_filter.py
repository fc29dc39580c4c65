"""No statement begins without the tenant, except in what is for the operator and for housekeeping, and what that is
cannot be reached from one tenant's unit.
"""

import ast
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import get_type_hints

import pytest

import retinue.db
from retinue.db.repositories.base import TenantRepository
from retinue.db.unit import OperatorUnit, Unit
from tests.unit.db.statements import statements_of

FOLDER = Path(retinue.db.__file__).parent
SOURCE = FOLDER.parent
STRUCTURE = {"dialects", "tables", "row_security"}
"""Dialects know no tenant's table, tables use `text` for the conditions of indexes, row security asks the catalogue."""

WITHOUT_TENANT = {
    "executor.py": {"Executor"},  # what time it is
    "guard.py": {"PostgreSQLGuard", ""},  # sessions and locks, no table
    "repositories/access.py": {"AccessReads", "ServerSecrets"},
    "repositories/erasure.py": {"Erasures"},
    "repositories/fullness.py": {"_is_full", "_running"},  # conditions of a search that housekeeping begins
    "repositories/housekeeping.py": {"Housekeeping", "_by_turns", "_waits"},
    "repositories/operator.py": {"Locators", "TenantsRepository", "_tenants"},
    "repositories/sealed.py": {"SealedValues"},
    "repositories/summing.py": {"UsageSums", "_levels"},
}
"""Classes and functions that are not about one tenant."""
WITH_TENANT = {
    "repositories/base.py": {
        "TenantRepository._insert",
        "TenantRepository._delete",
        "TenantRepository._held_tenant",
        "TenantRepository._insert_from",
        "TenantRepository._locked_tenant",
        "TenantRepository._require_tenant",
        "TenantRepository._select",
        "TenantRepository._update",
        "is_there",
    },
    "repositories/access.py": {"ApiKeyRepository._after"},  # what time it is
    "repositories/erasure.py": {"ErasureRepository.remove"},  # whichever table it is; asks for the tenant itself
    # They put together, and add up, what was found in tables.
    "repositories/usage.py": {"UsageRepository._calls", "UsageRepository._nth", "UsageRepository._summarized"},
}
"""Methods of one tenant's repositories that build a statement themselves. A longer list is a worse one."""


def checked_files() -> list[str]:
    paths = (path.relative_to(FOLDER) for path in sorted(FOLDER.rglob("*.py")))
    return [str(path) for path in paths if path.parts[0] not in STRUCTURE]


@cache
def found_in(name: str) -> list[tuple[str, str]]:
    return statements_of((FOLDER / name).read_text())


@pytest.mark.parametrize("name", checked_files())
def test_statements_are_built_in_few_places_only(name: str) -> None:
    unbound, bound = WITHOUT_TENANT.get(name, set()), WITH_TENANT.get(name, set())
    strays = [
        f"{place}: {code}"
        for place, code in found_in(name)
        if place not in bound and place.partition(".")[0] not in unbound
    ]
    assert strays == []


def test_no_permission_is_left_over() -> None:
    assert {*WITHOUT_TENANT, *WITH_TENANT} <= set(checked_files())
    for name, places in WITHOUT_TENANT.items():
        assert places <= {place.partition(".")[0] for place, _ in found_in(name)}, name
    for name, places in WITH_TENANT.items():
        assert places <= {place for place, _ in found_in(name)}, name


def test_what_is_not_about_one_tenant_is_no_repository_of_one() -> None:
    for name, places in WITHOUT_TENANT.items():
        module = import_module("retinue.db." + name.removesuffix(".py").replace("/", "."))
        kinds = [vars(module)[place] for place in places if place]
        assert [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, TenantRepository)] == []


def test_a_tenants_unit_reaches_nothing_but_repositories_of_one_tenant() -> None:
    kinds = {name: _made_by(member) for name, member in vars(Unit).items() if hasattr(member, "func")}
    assert len(kinds) > 10
    assert {name for name, kind in kinds.items() if not issubclass(kind, TenantRepository)} == set()
    assert Unit.__mro__[1:-1] == OperatorUnit.__mro__[1:2], "a base of its own could bring more"


def _made_by(member: object) -> type:
    kind: type = get_type_hints(member.func)["return"]  # type: ignore[attr-defined]
    return kind


def test_nobody_else_holds_an_executor() -> None:
    users = [
        str(path.relative_to(SOURCE))
        for path in SOURCE.rglob("*.py")
        if FOLDER not in path.parents and _reaches_in(path.read_text())
    ]
    assert users == []


def _reaches_in(source: str) -> bool:
    """Whether it imports the executor or the connections behind it, or takes them out of a unit."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom | ast.Import):
            names = [getattr(node, "module", "") or "", *(alias.name for alias in node.names)]
            if any(name.startswith(("sqlalchemy", "retinue.db.executor", "retinue.db.dialects")) for name in names):
                return True
        if isinstance(node, ast.Attribute) and node.attr in {"_executor", "exec_driver_sql"}:
            return True
    return False


def test_every_start_in_the_base_has_the_tenant() -> None:
    tree = ast.parse((FOLDER / "repositories/base.py").read_text())
    starts = {
        function.name: ast.unparse(function)
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        and function.name in {"_select", "_update", "_delete", "_store", "_storing", "_is_own", "_refuse_others"}
    }
    assert len(starts) == 7
    tied = ("self._tenant_id", "self._is_own(", "self._refuse_others(")
    assert [name for name, code in starts.items() if not any(word in code for word in tied)] == []
    assert "self._tenant_id" in starts["_refuse_others"]
    assert "self._tenant_id" in starts["_is_own"]


def inserts_past_the_check(source: str) -> list[str]:
    """Inserts that go neither through `_store` nor `_storing`, which see to it that a row is the tenant's own."""
    tree = ast.parse(source)
    inserting = {"_insert"} | {
        function.name
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef) and "self._insert(" in ast.unparse(function)
    }
    return [
        ast.unparse(call)
        for call in ast.walk(tree)
        if isinstance(call, ast.Call) and ast.unparse(call.func) in {"self._executor.change", "Change"}
        if any(f"self.{name}(" in ast.unparse(argument) for argument in call.args for name in inserting)
    ]


@pytest.mark.parametrize("name", [name for name in checked_files() if name.startswith("repositories/")])
def test_no_insert_goes_past_the_check_of_its_rows(name: str) -> None:
    assert inserts_past_the_check((FOLDER / name).read_text()) == []


@pytest.mark.parametrize(
    "insert", ["self._insert(t.Run)", "self._added(1).setting({})", "refine(self._insert(t.Run))", "self._added()"]
)
def test_the_check_sees_an_insert_past_it(insert: str) -> None:
    source = f"""
class X(TenantRepository):
    @prepared
    def _added(self):
        return self._insert(t.Run).on_conflict_do_nothing()

    async def f(self):
        await self._executor.change({insert}, row)
        await self._store({insert}, row)
        await self._executor.carry_out(Change({insert}, has_changed))
        await self._executor.carry_out(self._storing({insert}, row))
"""
    assert len(inserts_past_the_check(source)) == 2


PLANTED = [
    "import sqlalchemy as sa\nclass X(TenantRepository):\n    def f(self):\n        return sa.select(t.Run)",
    "import sqlalchemy\nsqlalchemy.text('x')",
    "import sqlalchemy as sa\nsa.sql.select(t.Run)",
    "import sqlalchemy as sa\npick = sa.select\npick(t.Run)",
    "import sqlalchemy as sa\ngetattr(sa, 'select')(t.Run)",
    "import sqlalchemy as sa\nsa.Select(t.Run)",
    "from sqlalchemy import delete as away\naway(x)",
    "from sqlalchemy import delete as away\nrun(away, x)",
    "from sqlalchemy import sql\nsql.select(x)",
    "from sqlalchemy.dialects.sqlite import insert\ninsert(x)",
    "from sqlalchemy.orm import Session\nSession(bind)",
    "t.Run.__table__.select()",
    "table = t.Base.metadata.tables['runs']\ntable.delete()",
    "connection.exec_driver_sql('x')",
    "self._dialect.insert(t.Run)",
]


@pytest.mark.parametrize("source", PLANTED)
def test_the_check_sees_a_bypass(source: str) -> None:
    assert len(statements_of(source)) == 1


@pytest.mark.parametrize(
    "source",
    [
        "import sqlalchemy as sa\ndef f() -> sa.Select[int]:\n    return self._select(t.Run)",
        "import sqlalchemy as sa\nx = sa.func.count() + sa.case((a, b), else_=sa.false())",
    ],
)
def test_the_check_lets_through_what_begins_with_the_tenant(source: str) -> None:
    assert statements_of(source) == []


@pytest.mark.parametrize(
    "source",
    [
        "from retinue.db.executor import Executor",
        "import sqlalchemy",
        "unit._executor.rows(x)",
        "database._engine.sync_engine.connect().exec_driver_sql('x')",
    ],
)
def test_the_check_sees_an_executor_elsewhere(source: str) -> None:
    assert _reaches_in(source)
