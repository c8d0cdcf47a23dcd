"""A program as LLVM's text: one straight line of vector operations inside three loops.

Owns    the shape of compiled code.
Never   optimises mathematics (the graph is already folded) and never lets LLVM do so: operations
        are neither reassociated nor approximated; only a·b + c may become one rounding.

    for every tile of lanes                      a tile's columns stay in the first cache
      for every step                             time, inside the tile
        for every LANES lanes of the tile        one operation, LANES assets

Each column is (address, bytes from lane to lane, bytes from step to step). A column that every tile
shares has 0 bytes from lane to lane and is as long as one tile; a history has bytes from step to
step, or from every so many steps to the next, where a step is cut in parts; a uniform column is one
number a step, spread over the lanes as it is read. The vectors are explicit, so nothing hangs on a
loop vectoriser, and there is no remainder: fleets are padded to LANES, and every lane goes through
the same code.
"""

from typing import Any

import numpy as np

from gemel.kernels.elementary import lower
from gemel.kernels.expression import MIX, Graph, Symbol
from gemel.kernels.program import Program

LANES = 16
TILE = 512  # lanes a tile: 2 kB of each column

_BINARY = {"add": "fadd", "sub": "fsub", "mul": "fmul", "div": "fdiv"}
_COMPARE = {"lt": "olt", "le": "ole", "eq": "oeq", "ne": "une"}
_INTRINSIC = {"sqrt": "sqrt", "abs": "fabs", "floor": "floor", "round": "rint"}
_STORED = {"f": "float", "d": "double", "b": "i8", "k": "i64"}
_BYTES = {"float": 4, "double": 8, "i8": 1, "i64": 8}

_LOOPS = """\
define void @run(
  ptr %table, i64 %first, i64 %last, i64 %tile, i64 %begin, i64 %end, i64 %every
) #0 {{
entry:
  br label %tiles
tiles:
  %low = phi i64 [ %first, %entry ], [ %next.low, %steps.done ]
  %more = icmp slt i64 %low, %last
  br i1 %more, label %tile.begin, label %exit
tile.begin:
  %wanted = add i64 %low, %tile
  %short = icmp slt i64 %wanted, %last
  %next.low = select i1 %short, i64 %wanted, i64 %last
  %width = sub i64 %next.low, %low
{tile}
  br label %steps
steps:
  %step = phi i64 [ %begin, %tile.begin ], [ %next.step, %lanes.done ]
  %step.more = icmp slt i64 %step, %end
  br i1 %step.more, label %step.begin, label %steps.done
step.begin:
  %since = sub i64 %step, %begin
  %past = sdiv i64 %since, %every
{step}
  br label %lanes
lanes:
  %lane = phi i64 [ 0, %step.begin ], [ %next.lane, %lanes ]
{body}
  %next.lane = add i64 %lane, {lanes}
  %lane.more = icmp slt i64 %next.lane, %width
  br i1 %lane.more, label %lanes, label %lanes.done
lanes.done:
  %next.step = add i64 %step, 1
  br label %steps
steps.done:
  br label %tiles
exit:
  ret void
}}
attributes #0 = {{ nounwind "prefer-vector-width"="512" "no-trapping-math"="true" }}
"""


def emit(program: Program, real: str = "f") -> tuple[str, list[tuple[str, str]]]:
    """The text of a module with one function `run`, and its columns (name, LLVM type) in order.

    real: what kind f is, "f" for float32, "d" for float64
    """
    writer = _Writer(program, real)
    for name, symbol in writer.outputs.items():
        writer.store(name, symbol)
    tile, step = writer.addresses()
    body = "\n".join(f"  {line}" for line in writer.lines)
    loops = _LOOPS.format(tile=tile, step=step, body=body, lanes=LANES)
    text = "\n".join([*writer.tables.values(), *sorted(writer.declared), loops])
    return text, list(writer.columns.items())


class _Writer:
    """Lines of the loop's body, each value written when it is first needed."""

    def __init__(self, program: Program, real: str) -> None:
        self.graph: Graph
        self.graph, self.outputs = lower(program, real)
        self.real = real
        kinds = dict(program.kinds)
        self.columns = {name: self.stored(kind) for name, kind in kinds.items()}
        self.inputs = {n.value: k for k, n in enumerate(self.graph.nodes) if n.op == "input"}
        self.alike = program.uniform
        self.lines: list[str] = []
        self.values: dict[int, str] = {}
        self.tables: dict[Any, str] = {}
        self.declared: set[str] = set()
        self.fresh = 0

    def stored(self, kind: str) -> str:
        return _STORED[self.real if kind == "f" else kind]

    def scalar(self, kind: str) -> str:
        return "i1" if kind == "b" else self.stored(kind)

    def vector(self, kind: str) -> str:
        return f"<{LANES} x {self.scalar(kind)}>"

    def line(self, text: str) -> str:
        """A new value, by its instruction."""
        self.fresh += 1
        name = f"%v{self.fresh}"
        self.lines.append(f"{name} = {text}")
        return name

    def call(self, name: str, result: str, *args: str) -> str:
        """A value, by LLVM's own function; declared as it is used."""
        types = ", ".join(a.split(" splat")[0].removesuffix(f" {a.split()[-1]}") for a in args)
        self.declared.add(f"declare {result} @{name}({types})")
        return self.line(f"call {result} @{name}({', '.join(args)})")

    def addresses(self) -> tuple[str, str]:
        """Where each column is at the start of a tile, and at a step."""
        tile, step = [], []
        for k in range(len(self.columns)):
            for part, name in enumerate(("address", "lane", "step")):
                tile.append(f"  %{name}.p.{k} = getelementptr i64, ptr %table, i64 {3 * k + part}")
                kind = "ptr" if part == 0 else "i64"
                tile.append(f"  %{name}.{k} = load {kind}, ptr %{name}.p.{k}")
            tile.append(f"  %skip.{k} = mul i64 %low, %lane.{k}")
            tile.append(f"  %tile.{k} = getelementptr i8, ptr %address.{k}, i64 %skip.{k}")
            step.append(f"  %ahead.{k} = mul i64 %past, %step.{k}")
            step.append(f"  %at.{k} = getelementptr i8, ptr %tile.{k}, i64 %ahead.{k}")
        return "\n".join(tile), "\n".join(step)

    def place(self, name: str) -> tuple[str, str]:
        """Pointer and type of a column at this lane."""
        number, kind = list(self.columns).index(name), self.columns[name]
        return self.line(f"getelementptr {kind}, ptr %at.{number}, i64 %lane"), kind

    def store(self, name: str, symbol: Symbol) -> None:
        value, kind = self.value(symbol.index), symbol.kind
        old = self.inputs.get(name)
        if old == symbol.index:
            return
        if old is not None:
            self.value(old)  # who else reads it reads what was there before
        where, stored = self.place(name)
        if kind == "b":
            value = self.line(f"zext {self.vector('b')} {value} to <{LANES} x i8>")
        self.lines.append(
            f"store <{LANES} x {stored}> {value}, ptr {where}, align {_BYTES[stored]}"
        )

    def value(self, root: int) -> str:
        """The name of a node's value; what it needs is written first, depth first."""
        todo = [root]
        while todo:
            index = todo[-1]
            missing = [a for a in self.graph.nodes[index].args if a not in self.values]
            if index in self.values:
                todo.pop()
            elif missing:
                todo.extend(reversed(missing))
            else:
                self.values[index] = self.write(index)
                todo.pop()
        return self.values[root]

    def write(self, index: int) -> str:
        op, args, kind, value = self.graph.nodes[index]
        names = [self.values[a] for a in args]
        first = self.graph.nodes[args[0]].kind if args else kind
        type_ = self.vector(kind)
        if op == "constant":
            return self.constant(kind, value)
        if op == "input":
            return self.load(value, kind)
        if op in _BINARY:
            return self.line(f"{_BINARY[op]} contract {type_} {names[0]}, {names[1]}")
        if op == "neg":
            return self.line(f"fneg {type_} {names[0]}")
        if op in _COMPARE:
            return self.line(f"fcmp {_COMPARE[op]} {self.vector(first)} {names[0]}, {names[1]}")
        if op in ("max", "min"):
            test = "ogt" if op == "max" else "olt"
            flag = self.line(f"fcmp {test} {type_} {names[0]}, {names[1]}")
            return self.select(flag, type_, *names)
        if op == "where":
            return self.select(names[0], type_, *names[1:])
        if op in ("and", "or"):
            return self.line(f"{op} {type_} {names[0]}, {names[1]}")
        if op == "not":
            return self.line(f"xor {type_} {names[0]}, splat (i1 true)")
        if op in _INTRINSIC:
            name = f"llvm.{_INTRINSIC[op]}.v{LANES}{'f32' if 'float' in type_ else 'f64'}"
            return self.call(name, type_, f"{type_} {names[0]}")
        return str(getattr(self, f"_{op}")(kind, names, value))

    def select(self, flag: str, type_: str, yes: str, no: str) -> str:
        return self.line(f"select {self.vector('b')} {flag}, {type_} {yes}, {type_} {no}")

    def constant(self, kind: str, value: Any) -> str:
        if kind == "b":
            return f"splat (i1 {'true' if value else 'false'})"
        scalar = self.scalar(kind)
        with np.errstate(over="ignore"):
            exact = np.float64(np.float32(value) if scalar == "float" else value)
        return f"splat ({scalar} 0x{exact.view(np.uint64):016X})"

    def load(self, name: str, kind: str) -> str:
        if name in self.alike:
            number = list(self.columns).index(name)
            loaded = self.line(f"load {self.columns[name]}, ptr %at.{number}")
            return self.spread(loaded, kind)
        where, stored = self.place(name)
        loaded = self.line(f"load <{LANES} x {stored}>, ptr {where}, align {_BYTES[stored]}")
        if kind == "b":
            return self.line(f"icmp ne <{LANES} x i8> {loaded}, zeroinitializer")
        return loaded

    # ---- operations on the bits of a number --------------------------------------------------

    def bits(self, kind: str) -> tuple[str, int, int]:
        """The integer vector of a real, how far its exponent is shifted, and its bias."""
        if self.scalar(kind) == "float":
            return f"<{LANES} x i32>", 23, 127
        return f"<{LANES} x i64>", 52, 1023

    def splat(self, kind: str, number: int) -> str:
        return f"splat ({'i32' if self.scalar(kind) == 'float' else 'i64'} {number})"

    def _cast(self, kind: str, names: list[str], value: Any) -> str:
        if self.real == "d":
            return names[0]
        if kind == "d":
            return self.line(f"fpext {self.vector('f')} {names[0]} to {self.vector('d')}")
        return self.line(f"fptrunc {self.vector('d')} {names[0]} to {self.vector('f')}")

    def _power2(self, kind: str, names: list[str], value: Any) -> str:
        whole, shift, bias = self.bits(kind)
        type_ = self.vector(kind)
        n = self.line(f"fptosi {type_} {names[0]} to {whole}")
        n = self.line(f"add {whole} {n}, {self.splat(kind, bias)}")
        n = self.line(f"shl {whole} {n}, {self.splat(kind, shift)}")
        return self.line(f"bitcast {whole} {n} to {type_}")

    def _exponent(self, kind: str, names: list[str], value: Any) -> str:
        whole, shift, bias = self.bits(kind)
        n = self.line(f"bitcast {self.vector(kind)} {names[0]} to {whole}")
        n = self.line(f"lshr {whole} {n}, {self.splat(kind, shift)}")
        n = self.line(f"sub {whole} {n}, {self.splat(kind, bias)}")
        return self.line(f"sitofp {whole} {n} to {self.vector(kind)}")

    def _mantissa(self, kind: str, names: list[str], value: Any) -> str:
        whole, shift, bias = self.bits(kind)
        n = self.line(f"bitcast {self.vector(kind)} {names[0]} to {whole}")
        n = self.line(f"and {whole} {n}, {self.splat(kind, (1 << shift) - 1)}")
        n = self.line(f"or {whole} {n}, {self.splat(kind, bias << shift)}")
        return self.line(f"bitcast {whole} {n} to {self.vector(kind)}")

    def _pick(self, kind: str, names: list[str], value: Any) -> str:
        scalar, type_ = self.scalar(kind), self.vector(kind)
        key = (scalar, value)
        if key not in self.tables:
            items = ", ".join(
                self.constant(kind, v).removeprefix("splat (").removesuffix(")") for v in value
            )
            name = f"@table.{len(self.tables)}"
            self.tables[key] = f"{name} = internal constant [{len(value)} x {scalar}] [{items}]"
        name = self.tables[key].split(" ", 1)[0]
        k = self.line(f"fptosi {type_} {names[0]} to <{LANES} x i32>")
        at = self.line(f"getelementptr {scalar}, ptr {name}, <{LANES} x i32> {k}")
        short = "f32" if scalar == "float" else "f64"
        return self.call(
            f"llvm.masked.gather.v{LANES}{short}.v{LANES}p0", type_, f"<{LANES} x ptr> {at}",
            f"i32 {_BYTES[scalar]}", f"<{LANES} x i1> splat (i1 true)", f"{type_} zeroinitializer",
        )  # fmt: skip

    # ---- time and random words ----------------------------------------------------------------

    def _step(self, kind: str, names: list[str], value: Any) -> str:
        now = self.line(f"sitofp i64 %step to {self.scalar(kind)}")
        return self.spread(now, kind)

    def spread(self, name: str, kind: str) -> str:
        """One number in every lane."""
        type_ = self.vector(kind)
        one = self.line(f"insertelement {type_} poison, {self.scalar(kind)} {name}, i32 0")
        zeros = f"<{LANES} x i32> zeroinitializer"
        return self.line(f"shufflevector {type_} {one}, {type_} poison, {zeros}")

    def _word(self, kind: str, names: list[str], value: Any) -> str:
        """SplitMix64 of key + (64 step + draw) · golden ratio."""
        type_ = self.vector("k")
        count = self.line("mul i64 %step, 64")
        count = self.line(f"add i64 {count}, {value}")
        count = self.line(f"mul i64 {count}, {_signed(MIX[2])}")
        z = self.line(f"add {type_} {names[0]}, {self.spread(count, 'k')}")
        for shift, factor in ((30, MIX[0]), (27, MIX[1]), (31, None)):
            high = self.line(f"lshr {type_} {z}, splat (i64 {shift})")
            z = self.line(f"xor {type_} {z}, {high}")
            if factor is not None:
                z = self.line(f"mul {type_} {z}, splat (i64 {_signed(factor)})")
        return z

    def _high(self, kind: str, names: list[str], value: Any) -> str:
        high = self.line(f"lshr {self.vector('k')} {names[0]}, splat (i64 32)")
        return self.uniform(high, kind)

    def _low(self, kind: str, names: list[str], value: Any) -> str:
        return self.uniform(names[0], kind)

    def uniform(self, word: str, kind: str) -> str:
        """The lower 32 bits as a number in (0, 1]."""
        type_ = self.vector(kind)
        half = self.line(f"trunc {self.vector('k')} {word} to <{LANES} x i32>")
        number = self.line(f"uitofp <{LANES} x i32> {half} to {type_}")
        number = self.line(f"fadd {type_} {number}, {self.constant(kind, 0.5)}")
        return self.line(f"fmul {type_} {number}, {self.constant(kind, 2.0**-32)}")


def _signed(word: int) -> int:
    """A 64-bit word as LLVM writes it."""
    return word - 2**64 if word >= 2**63 else word
