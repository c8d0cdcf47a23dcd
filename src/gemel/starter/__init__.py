"""`gemel init`: a person's own CSV becomes a first plant in one step."""

from gemel.starter.begin import init, words

__all__ = ["init", "words"]
