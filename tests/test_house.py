"""The house rules, as tests (docs/contracts.md tells the layout they keep).

Each rule is a function from a source tree to a list of faults. A fault says where, what and how to
mend it. The second half plants a fault for every rule and asks that the rule finds it.
"""

import ast
import re
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent.parent / "src"

# Imports point down. A new module or package of `gemel` gets its rank here. Declared for later, and
# not there yet: dtdl and testing.
RANKS = {
    "errors": 0, "units": 0, "clock": 0, "hooks": 0, "labels": 0, "fingerprint": 0,
    "records": 1, "dtdl": 1, "notebook": 1,
    "graph": 2, "kernels": 2, "intake": 2,
    "insight": 3,
    "control": 4,
    "store": 5, "connect": 5, "engines": 5,
    "flow": 6,
    "dataset": 7, "fleet": 7, "server": 7, "plant": 7, "testing": 7,
    "checks": 8, "console": 8, "demo": 8, "display": 8, "figure": 8, "letters": 8,
    "starter": 8,
    "cli": 9, "__main__": 9,
}  # fmt: skip
BLIND_RANKS = {1, 2, 5, 7}  # neighbours at these ranks do not see each other ...
NEIGHBOURS = {("server", "dataset")}  # ... but for these
ONLY = {"dtdl": {"errors"}}  # may import nothing of ours but these

# Pure packages: no I/O, no clock, no threads. What they need is handed to them.
PURE = {
    "control", "dtdl", "errors", "fingerprint", "graph", "insight", "intake", "kernels", "labels",
    "notebook", "records", "units",
}  # fmt: skip
IMPURE_IMPORTS = {
    "aiohttp", "amqtt", "asyncio", "concurrent", "deltalake", "duckdb", "fastapi", "glob", "http",
    "httpx", "logging", "multiprocessing", "os", "paho", "pathlib", "random", "requests", "secrets",
    "select", "selectors", "shutil", "signal", "socket", "sqlalchemy", "sqlite3", "ssl",
    "starlette", "subprocess", "tempfile", "threading", "time", "urllib", "uvicorn",
}  # fmt: skip
IMPURE_CALLS = {"open", "print", "input", "exec", "eval", "breakpoint"}
READS_A_CLOCK = {"now", "utcnow", "today"}
WALL_CLOCK = re.compile(r"^(time\.time(_ns)?|(datetime\.)?(datetime|date)\.(now|utcnow|today))$")

# An optional heavy dependency: the one file that may load it, in a function, by name, with an error
# that says which extra to install.
OPTIONAL = {
    "confluent_kafka": "connect/kafka.py", "matplotlib": "figure.py", "pandas": "store/history.py",
    "psycopg": "store/ledger.py",
}  # fmt: skip

MODULE_LINES, FUNCTION_LINES, LINE_WIDTH = 600, 60, 100
NO_NAMES = {"util", "utils", "helper", "helpers", "common", "core", "manager", "managers", "misc"}
# pydantic's own names; FastAPI's `response_model=` is a keyword at a call and is not looked at.
PYDANTIC = {"model_config", "model_post_init", "model_validator", "model_serializer"}
ERRORS = {"Invalid", "NotFound", "Conflict", "Denied", "Unavailable", "Bug"}
CODE = re.compile(r"^[a-z][a-z0-9_]*\.[a-z][a-z0-9_]*$")

# --- reading a tree ------------------------------------------------------------------------------

Function = ast.FunctionDef | ast.AsyncFunctionDef


class Module:
    """One file of `gemel`, parsed: its dotted name, its package of rank, its place for messages."""

    def __init__(self, path: Path, source: Path) -> None:
        self.inside = path.relative_to(source / "gemel").as_posix()
        self.place = path.relative_to(source).as_posix()
        parts = path.relative_to(source).with_suffix("").parts
        self.is_package = parts[-1] == "__init__"
        self.name = ".".join(parts[:-1] if self.is_package else parts)
        self.unit = parts[1]  # `kernels` of gemel/kernels/fit.py; `__init__` of gemel/__init__.py
        self.text = path.read_text(encoding="utf-8")
        self.tree = ast.parse(self.text, str(path))

    def imports(self) -> Iterator[tuple[ast.Import | ast.ImportFrom, str, str]]:
        """Each import, as (statement, module, name taken from it or '')."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                yield from ((node, alias.name, "") for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and not node.level:
                yield from ((node, node.module or "", alias.name) for alias in node.names)


def modules(source: Path) -> list[Module]:
    return [Module(path, source) for path in sorted((source / "gemel").rglob("*.py"))]


def walk_named(tree: ast.AST, *kinds: type) -> Iterator[ast.AST]:
    return (node for node in ast.walk(tree) if isinstance(node, kinds))


def dotted(node: ast.AST) -> str:
    """`datetime.datetime.now` of the expression that reads so; '' of any other."""
    if isinstance(node, ast.Attribute):
        return f"{head}.{node.attr}" if (head := dotted(node.value)) else ""
    return node.id if isinstance(node, ast.Name) else ""


# --- the rules -----------------------------------------------------------------------------------


def imports_point_down(source: Path) -> list[str]:
    faults = []
    for module in modules(source):
        here = module.unit
        if here == "__init__":
            continue
        if here not in RANKS:
            mend = "give it one in RANKS of tests/test_house.py, or put it where it belongs"
            faults.append(f"{module.place}: '{here}' has no rank: {mend}")
            continue
        for node, name, taken in module.imports():
            if name.split(".")[0] != "gemel":
                continue
            there = name.split(".")[1] if "." in name else taken
            if fault := _may_not(here, there):
                faults.append(f"{module.place}:{node.lineno}: {fault}")
    return faults


def _may_not(here: str, there: str) -> str:
    """Why `here` may not import `there`; '' when it may."""
    if there not in RANKS:
        if RANKS[here] == max(RANKS.values()):
            return ""
        return (
            f"{here} imports '{there}' from the public face `gemel`, which imports {here} in turn: "
            "import it from the module where it lives"
        )
    if here == there:
        return ""
    if here in ONLY and there not in ONLY[here]:
        return f"{here} may import nothing of ours but {', '.join(sorted(ONLY[here]))}: not {there}"
    up, down = RANKS[here], RANKS[there]
    if down > up:
        return (
            f"{here} (rank {up}) may not import {there} (rank {down}): "
            "pass the value in, or move the code down"
        )
    if down == up and up in BLIND_RANKS and (here, there) not in NEIGHBOURS:
        return (
            f"{here} and {there} (rank {up}) do not see each other: "
            "share a record in `records`, or join them one layer up"
        )
    return ""


def pure_packages_do_no_io(source: Path) -> list[str]:
    faults = []
    for module in modules(source):
        if module.unit not in PURE:
            continue
        for node, name, _ in module.imports():
            if name.split(".")[0] in IMPURE_IMPORTS:
                faults.append(
                    f"{module.place}:{node.lineno}: {module.unit} is pure and imports '{name}': "
                    "take the value as an argument, and do the I/O in store, connect or flow"
                )
        for call in walk_named(module.tree, ast.Call):
            called = dotted(call.func)
            if called in IMPURE_CALLS or called.split(".")[-1] in READS_A_CLOCK:
                faults.append(
                    f"{module.place}:{call.lineno}: {module.unit} is pure and calls {called}(): "
                    "take the text, the answer or the instant as an argument"
                )
    return faults


def only_the_clock_reads_the_wall(source: Path) -> list[str]:
    return [
        f"{module.place}:{call.lineno}: {dotted(call.func)}() reads the wall: ask the plant's "
        "clock (gemel/clock.py), so that a replay sees the replay's instants"
        for module in modules(source)
        if module.unit != "clock"
        for call in walk_named(module.tree, ast.Call)
        if WALL_CLOCK.match(dotted(call.func))
    ]


def imports_are_absolute_and_at_the_top(source: Path) -> list[str]:
    faults = []
    for module in modules(source):
        for node in walk_named(module.tree, ast.ImportFrom):
            if node.level:
                dots = "." * node.level + (node.module or "")
                faults.append(
                    f"{module.place}:{node.lineno}: 'from {dots} import' is relative: "
                    "write the whole name, from gemel..."
                )
        at_the_top = _imports_at_the_top(module.tree)
        for node, name, _ in module.imports():
            root = name.split(".")[0]
            home = OPTIONAL.get(root)
            if home is None and node not in at_the_top:
                faults.append(
                    f"{module.place}:{node.lineno}: '{name}' is imported below the top of the file:"
                    " move it up; if that makes a cycle, one of the two holds code of the other"
                )
            elif home is not None and node in at_the_top and not _only_for_types(module.tree, node):
                faults.append(
                    f"{module.place}:{node.lineno}: '{root}' is an extra and may be missing: load "
                    f"it in a function of {home}, with an error that names the extra"
                )
            elif home is not None and node not in at_the_top and module.inside != home:
                faults.append(
                    f"{module.place}:{node.lineno}: '{root}' is loaded in one place only, "
                    f"gemel/{home}: call that (or change the place in OPTIONAL)"
                )
    return faults


def _is_type_checking(node: ast.stmt) -> bool:
    return isinstance(node, ast.If) and dotted(node.test).endswith("TYPE_CHECKING")


def _imports_at_the_top(tree: ast.Module) -> set[ast.stmt]:
    """Imports before the first statement of another kind; `if TYPE_CHECKING:` may hold some."""
    found: set[ast.stmt] = set()
    for node in tree.body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            found.add(node)
        elif _is_type_checking(node):
            found.update(walk_named(node, ast.Import, ast.ImportFrom))
        elif not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)):
            break
    return found


def _only_for_types(tree: ast.Module, node: ast.stmt) -> bool:
    return any(_is_type_checking(top) and node in ast.walk(top) for top in tree.body)


def no_cycle(source: Path) -> list[str]:
    known = {module.name: module for module in modules(source)}
    edges: dict[str, set[str]] = {name: set() for name in known}
    for name, module in known.items():
        for _, target, taken in module.imports():
            there = f"{target}.{taken}" if f"{target}.{taken}" in known else target
            if there in known and there != name:
                edges[name].add(there)
    done: set[str] = set()

    def search(name: str, trail: list[str]) -> list[str]:
        if name in trail:
            return [*trail[trail.index(name) :], name]
        if name in done:
            return []
        for there in sorted(edges[name]):
            if ring := search(there, [*trail, name]):
                return ring
        done.add(name)
        return []

    for name in sorted(edges):
        if ring := search(name, []):
            mend = "move what both need to the lower one"
            return [f"{known[ring[0]].place}: a cycle, {' -> '.join(ring)}: {mend}"]
    return []


def modules_functions_and_lines_are_short(source: Path) -> list[str]:
    faults = []
    for module in modules(source):
        lines = module.text.splitlines()
        if len(lines) > MODULE_LINES:
            faults.append(
                f"{module.place}: {len(lines)} lines, over {MODULE_LINES}: split it along a noun, "
                "not along a size"
            )
        for number, line in enumerate(lines, 1):
            if len(line) > LINE_WIDTH:
                wide = f"{len(line)} characters, over {LINE_WIDTH}"
                faults.append(f"{module.place}:{number}: {wide}: break the line")
        for function in walk_named(module.tree, ast.FunctionDef, ast.AsyncFunctionDef):
            if (length := _lines_without_docstring(function)) > FUNCTION_LINES:
                faults.append(
                    f"{module.place}:{function.lineno}: {function.name} has {length} lines, over "
                    f"{FUNCTION_LINES} without its docstring: name its steps"
                )
    return faults


def _lines_without_docstring(function: Function) -> int:
    length = (function.end_lineno or function.lineno) - function.lineno + 1
    first = function.body[0]
    if ast.get_docstring(function) is not None:
        length -= (first.end_lineno or first.lineno) - first.lineno + 1
    return length


def every_module_says_what_it_owns(source: Path) -> list[str]:
    faults = []
    for module in modules(source):
        head = ast.get_docstring(module.tree)
        if head is None:
            faults.append(f"{module.place}: no docstring: open with one line that says what it is")
        elif not module.is_package:
            for word, says in (("Owns", "is its own"), ("Never", "it leaves to others")):
                if not re.search(rf"^{word}\b", head, re.MULTILINE):
                    faults.append(
                        f"{module.place}: its docstring has no line '{word} ...': say what {says}"
                    )
    return faults


def names_say_what_a_thing_is(source: Path) -> list[str]:
    faults = []
    for module in modules(source):
        for part in Path(module.inside).with_suffix("").parts:
            if part in NO_NAMES:
                mend = "name it after the noun it holds"
                faults.append(f"{module.place}: '{part}' says nothing: {mend}")
        stem = Path(module.inside).stem
        for line, name in [(1, stem), *_names_given(module.tree)]:
            if _words(name) & {"model", "models"} and name not in PYDANTIC:
                faults.append(
                    f"{module.place}:{line}: '{name}' says 'model', which means four things here: "
                    "kernel (behaviour), interface (definition), twin, or version in the registry"
                )
    return faults


def _words(name: str) -> set[str]:
    apart = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name)
    return set(apart.lower().split("_"))


def _names_given(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Every name that this file gives to something: not those it only uses."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.lineno, node.name
        elif isinstance(node, ast.arg):
            yield node.lineno, node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.attr
        elif isinstance(node, ast.Import | ast.ImportFrom):
            yield from ((node.lineno, alias.asname) for alias in node.names if alias.asname)


def every_code_is_explained(source: Path) -> list[str]:
    raised: dict[str, str] = {}
    written: set[str] = set()
    faults = []
    for module in modules(source):
        strings = walk_named(module.tree, ast.Constant)
        written.update(node.value for node in strings if isinstance(node.value, str))
        for call in walk_named(module.tree, ast.Call):
            if dotted(call.func).split(".")[-1] not in ERRORS or not call.args:
                continue
            code, place = call.args[0], f"{module.place}:{call.lineno}"
            if isinstance(code, ast.JoinedStr):
                mend = "write it out, so that a search finds it"
                faults.append(f"{place}: this error code is put together: {mend}")
            elif isinstance(code, ast.Constant) and isinstance(code.value, str):
                raised.setdefault(code.value, place)
    explained = _explained(source / "gemel" / "codes.toml")
    for code, place in sorted(raised.items()):
        if not CODE.match(code):
            faults.append(f"{place}: the code '{code}' does not read noun.cause, in small letters")
        elif code not in explained:
            mend = "add it to src/gemel/codes.toml, with what it means and how to mend it"
            faults.append(f"{place}: `gemel explain {code}` knows nothing: {mend}")
    for code in sorted(explained - written):
        faults.append(f"gemel/codes.toml: '{code}' is raised nowhere: take it out")
    return faults


def _explained(path: Path) -> set[str]:
    """The codes of codes.toml, written ["noun.cause"], [noun.cause] or under [noun]."""
    codes: set[str] = set()

    def collect(table: dict[str, object], before: str) -> None:
        for key, value in table.items():
            name = f"{before}.{key}" if before else key
            if "." in name:
                codes.add(name)
            elif isinstance(value, dict):
                collect(value, name)

    if path.exists():
        collect(tomllib.loads(path.read_text(encoding="utf-8")), "")
    return codes


RULES: list[Callable[[Path], list[str]]] = [
    imports_point_down,
    pure_packages_do_no_io,
    only_the_clock_reads_the_wall,
    imports_are_absolute_and_at_the_top,
    no_cycle,
    modules_functions_and_lines_are_short,
    every_module_says_what_it_owns,
    names_say_what_a_thing_is,
    every_code_is_explained,
]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_house_keeps_its_rules(rule: Callable[[Path], list[str]]) -> None:
    faults = rule(SOURCE)
    assert not faults, "\n" + "\n".join(faults)


# --- each rule finds a planted fault -------------------------------------------------------------

HEAD = '"""A file.\n\nOwns    itself.\nNever   more.\n"""\n'
LONG = "def f():\n" + "    x = 1\n" * 60
SHORT = 'def f():\n    """' + "Tell.\n    " * 70 + '"""\n' + "    x = 1\n" * 50
CODES = '[unit.unknown]\nmeans = "a"\nmend = "b"\n'

PLANTED: list[tuple[Callable[[Path], list[str]], dict[str, str], str]] = [
    (
        imports_point_down,
        {"kernels/a.py": "from gemel.flow.tick import tick"},
        "gemel/kernels/a.py:6: kernels (rank 2) may not import flow (rank 6): pass the value in",
    ),
    (
        imports_point_down,
        {"intake/a.py": "from gemel import graph"},
        "intake and graph (rank 2) do not see each other",
    ),
    (imports_point_down, {"store/a.py": "import gemel.connect.mqtt"}, "store and connect (rank 5)"),
    (imports_point_down, {"dataset.py": "from gemel.server import app"}, "dataset and server"),
    (
        imports_point_down,
        {"dtdl/a.py": "from gemel.units import Unit"},
        "nothing of ours but errors",
    ),
    (imports_point_down, {"flow/a.py": "from gemel import Kernel"}, "the module where it lives"),
    (imports_point_down, {"wizard.py": ""}, "'wizard' has no rank: give it one in RANKS"),
    (
        pure_packages_do_no_io,
        {"kernels/a.py": "import time"},
        "kernels is pure and imports 'time': take the value as an argument",
    ),
    (pure_packages_do_no_io, {"insight/a.py": "from os import path"}, "imports 'os'"),
    (pure_packages_do_no_io, {"graph/a.py": "text = open('a').read()"}, "is pure and calls open()"),
    (pure_packages_do_no_io, {"control/a.py": "def f(c): return c.now()"}, "calls c.now()"),
    (
        only_the_clock_reads_the_wall,
        {"flow/a.py": "import time\nt = time.time_ns()"},
        "gemel/flow/a.py:7: time.time_ns() reads the wall: ask the plant's clock",
    ),
    (
        only_the_clock_reads_the_wall,
        {"server/a.py": "import datetime\nd = datetime.datetime.now()"},
        "datetime.datetime.now() reads the wall",
    ),
    (imports_are_absolute_and_at_the_top, {"flow/a.py": "from .b import c"}, "'from .b import'"),
    (
        imports_are_absolute_and_at_the_top,
        {"flow/a.py": "def f():\n    import json"},
        "'json' is imported below the top of the file: move it up",
    ),
    (
        imports_are_absolute_and_at_the_top,
        {"store/history.py": "import pandas"},
        "'pandas' is an extra and may be missing: load it in a function of store/history.py",
    ),
    (
        imports_are_absolute_and_at_the_top,
        {"flow/a.py": "def f():\n    import pandas as pd"},
        "'pandas' is loaded in one place only, gemel/store/history.py",
    ),
    (
        no_cycle,
        {"flow/a.py": "from gemel.flow.b import x", "flow/b.py": "from gemel.flow import a"},
        "gemel/flow/a.py: a cycle, gemel.flow.a -> gemel.flow.b -> gemel.flow.a",
    ),
    (modules_functions_and_lines_are_short, {"flow/a.py": "x = 1\n" * 600}, "605 lines, over 600"),
    (modules_functions_and_lines_are_short, {"flow/a.py": LONG}, "f has 61 lines, over 60"),
    (modules_functions_and_lines_are_short, {"flow/a.py": "#" * 101}, "101 characters, over 100"),
    (every_module_says_what_it_owns, {"flow/a.py!": "x = 1"}, "no docstring"),
    (
        every_module_says_what_it_owns,
        {"flow/a.py!": '"""A.\n\nOwns x.\n"""'},
        "no line 'Never ...'",
    ),
    (
        every_module_says_what_it_owns,
        {"flow/a.py!": '"""A.\n\nNever x.\n"""'},
        "no line 'Owns ...'",
    ),
    (names_say_what_a_thing_is, {"flow/utils.py": ""}, "'utils' says nothing"),
    (names_say_what_a_thing_is, {"core/a.py": ""}, "'core' says nothing"),
    (names_say_what_a_thing_is, {"flow/a.py": "def fit_model(x): ..."}, "'fit_model' says 'model'"),
    (names_say_what_a_thing_is, {"flow/a.py": "class ThermalModel: ..."}, "'ThermalModel' says"),
    (names_say_what_a_thing_is, {"flow/a.py": "def f(self, model): ..."}, "gemel/flow/a.py:6"),
    (
        every_code_is_explained,
        {"flow/a.py": "raise Invalid('unit.unknown', 'x')"},
        "`gemel explain unit.unknown` knows nothing: add it to src/gemel/codes.toml",
    ),
    (every_code_is_explained, {"codes.toml!": CODES}, "'unit.unknown' is raised nowhere"),
    (every_code_is_explained, {"flow/a.py": "raise errors.Bug('Oops', 'x')"}, "noun.cause"),
    (every_code_is_explained, {"flow/a.py": "raise Bug(f'a.{b}', 'x')"}, "is put together"),
]

CLEAN = {
    "__init__.py!": '"""The public face."""\n\nfrom gemel.dataset import read\n',
    "clock.py": "import time\n\nNOW = time.time_ns()",
    "server/a.py": "from gemel.dataset import read",
    "store/history.py": "def read():\n    import pandas\n    return pandas",
    "flow/a.py": "import time\n\nfrom gemel.store import b\n\ntime.sleep(0)",
    "store/b.py": "class A(BaseModel):\n    model_config = linear_model(response_model=1)",
    "kernels/a.py": SHORT + "\nimport_of = Invalid('unit.unknown', 'x')",
    "codes.toml!": CODES,
    "cli.py": "from gemel import read",
}


def plant(source: Path, files: dict[str, str]) -> Path:
    """Write a tree of sources, each under a good header unless its name ends in '!'."""
    for name, text in files.items():
        path = source / "gemel" / name.removesuffix("!")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text if name.endswith("!") else HEAD + text, encoding="utf-8")
    return source


@pytest.mark.parametrize(("rule", "files", "message"), PLANTED)
def test_a_planted_fault_is_found_and_told(
    rule: Callable[[Path], list[str]], files: dict[str, str], message: str, tmp_path: Path
) -> None:
    faults = rule(plant(tmp_path, files))
    assert len(faults) == 1, faults
    assert message in faults[0]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_a_clean_tree_and_an_empty_one_have_no_fault(
    rule: Callable[[Path], list[str]], tmp_path: Path
) -> None:
    assert rule(plant(tmp_path / "clean", CLEAN)) == []
    assert rule(tmp_path / "empty") == []


def test_every_rule_has_a_planted_fault() -> None:
    assert {rule for rule, _, _ in PLANTED} == set(RULES)
