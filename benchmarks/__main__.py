"""python -m benchmarks bench|proof [NAME ...]; a name is area.figure, a glob, or an area."""

import sys

from benchmarks.runner import KINDS, run


def main(arguments: list[str]) -> int:
    if not arguments or arguments[0] not in KINDS:
        sys.stderr.write(f"usage: python -m benchmarks {'|'.join(KINDS)} [NAME ...]\n{__doc__}\n")
        return 2
    return run(arguments[0], arguments[1:])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
