"""`python -m gemel COMMAND`: where the command `gemel` is not on the path.

Owns    nothing.
Never   does what `cli.py` does not.
"""

from gemel.cli import main

main()
