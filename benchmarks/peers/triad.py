"""STREAM's triad: how fast this machine's memory is, the limit of a fleet's tick.

Owns    the loop a = b + s c over float64, in LLVM, split over threads of its own.
Never   needs a C compiler. It runs in Gemel's own environment, in the run of what it limits.

    rate = 24 B × elements / seconds          two reads and a write, as STREAM counts them

An ordinary store reads its line before it writes it, so the memory really moves 32 B. A loop that
updates in place does not pay that, and may pass 1 of this figure, up to 4/3.

STREAM asks for arrays of four times the last cache. Where a virtual machine shows the whole host's
cache (480 MiB here) that is more than its memory; the default, 3 × 400 MB, is what fits.

Source: McCalpin, "Memory bandwidth and machine balance in current high performance computers"
(1995).
"""

import ctypes
import time
from concurrent.futures import ThreadPoolExecutor

import llvmlite.binding as llvm
import numpy as np
from numpy.typing import NDArray

BYTES = 24  # an element, as STREAM counts
BLOCK = 8  # elements of one vector
LOOP = """
define void @triad(ptr noalias %a, ptr noalias %b, ptr noalias %c, double %s, i64 %count) {
entry:
  %one = insertelement <8 x double> poison, double %s, i64 0
  %all = shufflevector <8 x double> %one, <8 x double> poison, <8 x i32> zeroinitializer
  br label %loop
loop:
  %i = phi i64 [ 0, %entry ], [ %next, %loop ]
  %at.a = getelementptr double, ptr %a, i64 %i
  %at.b = getelementptr double, ptr %b, i64 %i
  %at.c = getelementptr double, ptr %c, i64 %i
  %vb = load <8 x double>, ptr %at.b, align 8
  %vc = load <8 x double>, ptr %at.c, align 8
  %product = fmul <8 x double> %vc, %all
  %sum = fadd <8 x double> %vb, %product
  store <8 x double> %sum, ptr %at.a, align 8
  %next = add nuw i64 %i, 8
  %more = icmp ult i64 %next, %count
  br i1 %more, label %loop, label %done
done:
  ret void
}
"""


class Triad:
    """Three arrays of `megabytes` (10⁶ B) each, and the loop over them on `threads` threads.

    Made once and asked between the ticks that it is held against: both then see the same machine.
    """

    def __init__(self, threads: int = 2, megabytes: float = 400.0) -> None:
        share = int(megabytes * 1e6 / 8 / threads) // BLOCK * BLOCK
        self.elements = share * threads
        self._arrays = [np.full(self.elements, value) for value in (0.0, 1.0, 2.0)]
        self._engine = _compiled()
        kind = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 3, ctypes.c_double, ctypes.c_int64)
        self._loop = kind(self._engine.get_function_address("triad"))
        self._parts = [slice(k * share, (k + 1) * share) for k in range(threads)]
        self._pool = ThreadPoolExecutor(threads)
        self.seconds()  # every page is touched by the thread's own loop once

    def seconds(self) -> float:
        """Wall seconds of one pass."""
        began = time.perf_counter()
        list(self._pool.map(self._run, self._parts))
        return time.perf_counter() - began

    def rate(self, passes: int = 10) -> float:
        """Bytes a second of the best pass, as STREAM reports it."""
        return BYTES * self.elements / min(self.seconds() for _ in range(passes))

    def result(self) -> NDArray[np.float64]:
        """a, after a pass: 1 + 3 × 2."""
        return self._arrays[0]

    def _run(self, part: slice) -> None:
        a, b, c = (array[part].ctypes.data for array in self._arrays)
        self._loop(a, b, c, 3.0, part.stop - part.start)


def _compiled() -> llvm.ExecutionEngine:
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    machine = llvm.Target.from_default_triple().create_target_machine(
        cpu=llvm.get_host_cpu_name(), features=llvm.get_host_cpu_features().flatten(), opt=3
    )
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(LOOP), machine)
    engine.finalize_object()
    return engine
