"""python -m benchmarks.peers [NAME ...]: measure the peers alone."""

import sys

from benchmarks.peers import main

main(sys.argv[1:])
