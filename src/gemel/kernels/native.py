"""The native back end: a program compiled for this processor, run over columns in place.

Owns    compilation by LLVM, once per program, and the call.
Never   starts a thread: a call lets other Python threads run, and who has some cuts the fleet
        (`engines/local.py`). Nothing depends on where it is cut.

A compiled program is remembered by its content, so two kernels with the same graph share it. It
pickles as the program alone and is compiled again where it arrives; it lives on in a forked child.
"""

import ctypes
import hashlib
from dataclasses import dataclass, field
from typing import Any

import llvmlite
import llvmlite.binding as llvm
import numpy as np
from numpy.typing import NDArray

from gemel.errors import Bug, Invalid
from gemel.kernels.emit import LANES, TILE, emit
from gemel.kernels.program import Program

_DTYPES = {"float": np.float32, "double": np.float64, "i8": np.bool_, "i64": np.uint64}
_RUN = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] + [ctypes.c_int64] * 6)
_compiled: dict[tuple[str, str], "_Code"] = {}


@dataclass(frozen=True)
class _Code:
    """Machine code: the engine that owns it, its entry, and its columns."""

    engine: Any
    call: Any
    columns: tuple[tuple[str, str], ...]


@dataclass
class Native:
    """A program that runs at the speed of the machine.

    real: what kind f is, "f" for float32, "d" for float64
    """

    program: Program
    real: str = "f"
    _code: _Code | None = field(default=None, repr=False, compare=False)

    @property
    def code(self) -> _Code:
        if self._code is None:
            key = (self.program.hash, self.real)
            code = _compiled.get(key)
            self._code = code or _compiled.setdefault(key, compile_(self.program, self.real))
        return self._code

    @property
    def columns(self) -> dict[str, type]:
        """Every column by name, and its type."""
        return {name: _DTYPES[kind] for name, kind in self.code.columns}

    def table(
        self, columns: dict[str, NDArray[Any]], lanes: int, steps: int = 1
    ) -> NDArray[np.int64]:
        """Where each column is, as the compiled loop reads it: (columns, 3) int64.

        A column (lanes,) belongs to the lanes; one of shape (steps, lanes) also to the step; one
        of length TILE, when that is not `lanes`, and (steps, TILE), is shared by all tiles.
        A uniform column is (1,) or (steps, 1).
        Raises `native.column` when one is missing, or has the wrong type or length, has rows but
        fewer than `steps`, or is to be written and may not be.
        """
        if lanes % LANES:
            raise Bug(
                "native.lanes",
                f"{lanes} lanes are not a multiple of {LANES}",
                where=self.program.name,
                mend="make columns of padded(count) lanes",
            )
        rows, written = [], dict(self.program.outputs)
        for name, dtype in self.columns.items():
            column = columns.get(name)
            if column is None or not _fits(column, dtype, name in written):
                raise Invalid(
                    "native.column",
                    f"column '{name}' must be a contiguous array of {np.dtype(dtype)}"
                    + (", to write to" if name in written else ""),
                    where=self.program.name,
                    mend="take columns from Rows, or make them with np.ascontiguousarray",
                )
            width = 1 if name in self.program.uniform else TILE
            shared = width == 1 or column.shape[-1] != lanes
            if shared and column.shape[-1] != width:
                raise Invalid(
                    "native.column",
                    f"column '{name}' has {column.shape[-1]} lanes, not {lanes}",
                    where=self.program.name,
                    mend=f"give every lane its number, or {width} that all share",
                )
            history = column.ndim == 2 and len(column) > 1
            if history and len(column) < steps:
                raise Invalid(
                    "native.column",
                    f"column '{name}' has {len(column)} steps, not {steps}",
                    where=self.program.name,
                    mend="give it a row for every step, or one for all",
                )
            ahead = column.strides[0] if history else 0
            rows.append((column.ctypes.data, 0 if shared else column.itemsize, ahead))
        return np.array(rows, np.int64)

    def run(
        self,
        table: NDArray[np.int64] | int,
        first: int,
        last: int,
        *,
        steps: tuple[int, int] = (0, 1),
        every: int = 1,
    ) -> None:
        """Run lanes [first, last) over steps [begin, end), in place. Bounds are multiples of LANES.

        The columns of `table` must outlive the call. A history's first row is that of `begin`;
        it moves on by a row `every` so many steps.
        A table that is run often may be given by its address.
        """
        address = table if isinstance(table, int) else table.ctypes.data
        self.code.call(address, first, last, TILE, *steps, every)

    def apply(
        self, columns: dict[str, NDArray[Any]], lanes: int, steps: tuple[int, int] = (0, 1)
    ) -> None:
        """Run all lanes of some columns, in place."""
        self.run(self.table(columns, lanes, steps[1] - steps[0]), 0, lanes, steps=steps)

    def assembly(self) -> str:
        """What the processor is told, to read."""
        target = _target()
        return str(target.emit_assembly(_parsed(emit(self.program, self.real)[0], target)))

    def __getstate__(self) -> dict[str, Any]:
        return {"program": self.program, "real": self.real}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc]


def _fits(column: Any, dtype: type, written: bool) -> bool:
    """Whether it is an array of that type in which lane follows lane."""
    if not isinstance(column, np.ndarray) or column.ndim not in (1, 2) or column.dtype != dtype:
        return False
    packed = column.shape[-1] == 1 or column.strides[-1] == column.itemsize
    return packed and (column.flags.writeable or not written)


def shared(value: Any, dtype: Any = np.float32) -> NDArray[Any]:
    """One number for all lanes, as a column: (TILE,)."""
    return np.full(TILE, value, dtype)


def padded(count: int) -> int:
    """The lanes that `count` rows take: the next multiple of LANES."""
    return -(-count // LANES) * LANES


def build() -> str:
    """What the same bits hang on besides the program: compiler, processor, instruction set."""
    features = hashlib.sha256(llvm.get_host_cpu_features().flatten().encode()).hexdigest()[:8]
    return f"llvmlite {llvmlite.__version__} {llvm.get_host_cpu_name()} {features}"


def compile_(program: Program, real: str) -> _Code:
    """Machine code of a program, not remembered."""
    text, columns = emit(program, real)
    target = _target()
    engine = llvm.create_mcjit_compiler(_parsed(text, target), target)
    engine.finalize_object()
    return _Code(engine, _RUN(engine.get_function_address("run")), tuple(columns))


def _parsed(text: str, target: Any) -> Any:
    module = llvm.parse_assembly(text)
    module.triple, module.data_layout = target.triple, str(target.target_data)
    return module


def _target() -> Any:
    """The machine that code is made for: this one, with all it can do.

    Made anew each time: an engine takes its target along when it is let go.
    """
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    return llvm.Target.from_default_triple().create_target_machine(
        cpu=llvm.get_host_cpu_name(),
        features=llvm.get_host_cpu_features().flatten(),
        opt=2,
        jit=True,
    )
