"""Where in the source SQLAlchemy is asked for a statement, whatever name it goes by."""

import ast
from collections.abc import Iterator

MAKERS = {
    "delete",
    "except_",
    "except_all",
    "exists",
    "insert",
    "intersect",
    "intersect_all",
    "lambda_stmt",
    "select",
    "table",
    "text",
    "union",
    "union_all",
    "update",
    "values",
}
CLASSES = {"CompoundSelect", "Delete", "Exists", "Insert", "Query", "Select", "Session", "TextClause", "Update"}
"""Named in annotations everywhere; only who calls them makes something."""
OF_TABLES = {"select", "insert", "update", "delete"}
"""Methods of tables."""

Found = tuple[str, str]
"""The class or function at the top of the module, then the method in it; and the code."""


def statements_of(source: str) -> list[Found]:
    tree = ast.parse(source)
    modules, names = _imports(tree)
    return [
        (place, ast.unparse(node))
        for place, node in _with_places(tree)
        if _is_maker(node, modules, names) or _is_hidden(node, modules)
    ]


def _imports(tree: ast.Module) -> tuple[set[str], dict[str, str]]:
    """Names of SQLAlchemy's modules, and names that were taken from them."""
    modules: set[str] = set()
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            modules |= {a.asname or a.name.split(".")[0] for a in node.names if a.name.split(".")[0] == "sqlalchemy"}
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "sqlalchemy":
            names |= {a.asname or a.name: a.name for a in node.names}
    return modules | {own for own, name in names.items() if name in {"sql", "orm", "expression", "dialects"}}, names


def _with_places(tree: ast.Module) -> Iterator[tuple[str, ast.AST]]:
    for top in tree.body:
        if isinstance(top, ast.Import | ast.ImportFrom):
            continue
        members = top.body if isinstance(top, ast.ClassDef) else [top]
        for member in members:
            place = ".".join(name for name in dict.fromkeys((_name(top), _name(member))) if name)
            yield from ((place, node) for node in ast.walk(member))


def _name(node: ast.AST) -> str:
    return getattr(node, "name", "")


def _is_maker(node: ast.AST, modules: set[str], names: dict[str, str]) -> bool:
    match node:
        case ast.Name(id=name, ctx=ast.Load()):
            return names.get(name) in MAKERS
        case ast.Attribute(attr=attribute) if attribute in MAKERS and _root(node) in modules:
            return True
        case ast.Call(func=ast.Name(id=name)):
            return names.get(name) in CLASSES
        case ast.Call(func=ast.Attribute(attr=attribute) as function):
            return attribute in CLASSES and _root(function) in modules
    return False


def _is_hidden(node: ast.AST, modules: set[str]) -> bool:
    """Ways that do not name SQLAlchemy."""
    match node:
        case ast.Attribute(attr="exec_driver_sql"):
            return True
        case ast.Attribute(attr="insert", value=ast.Attribute(attr="_dialect" | "dialect")):
            return True
        case ast.Call(func=ast.Attribute(attr=attribute) as function, keywords=[]) if attribute in OF_TABLES:
            return _root(function) not in {*modules, "self"}
        case ast.Call(func=ast.Name(id="getattr"), args=[ast.Name(id=module), *_]):
            return module in modules
    return False


def _root(node: ast.expr) -> str:
    """`a` of `a.b.c`."""
    while isinstance(node, ast.Attribute):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""
