"""Conformance checks that ship: what a thing of yours must keep to work with Gemel.

from gemel.testing import kernel_checks


def test_my_kernel_keeps_its_promises():
    kernel_checks(MyKernel)
"""

from gemel.testing.decoders import decoder_checks
from gemel.testing.journals import journal_checks
from gemel.testing.kernels import kernel_checks
from gemel.testing.sources import sink_checks, source_checks

__all__ = ["decoder_checks", "journal_checks", "kernel_checks", "sink_checks", "source_checks"]
