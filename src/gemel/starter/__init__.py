"""`gemel init`: a person's own CSV becomes a first plant in one step; limits from any history."""

from gemel.starter.begin import init, words
from gemel.starter.propose import evidence, propose

__all__ = ["evidence", "init", "propose", "words"]
