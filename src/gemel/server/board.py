"""The work of all live streams, done once: what is asked, and the newest answer to each question.

Owns    the questions that some stream follows, their answers as bytes, and the beat.
Never   does anything while nobody listens, or the same work twice for two that ask alike.
"""

import asyncio
import logging
import threading
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterable
from typing import Any

from anyio import CapacityLimiter, to_thread

from gemel.errors import Bug, GemelError
from gemel.flow.host import Host
from gemel.flow.view import View
from gemel.server.answers import as_json

BEAT = 1.0  # s of wall time from one look to the next
STEP = 0.2  # s until the end of a server is noticed
QUIET = 15.0  # s without an event until a comment keeps the line open
Make = Callable[[Host, View], dict[str, Any]]
_log = logging.getLogger("gemel.server")


class Question:
    """A section and what it is about. Two with the same key are the same question."""

    def __init__(self, name: str, key: Any, make: Make) -> None:
        self.name, self.key, self.make = name, (name, key), make


class Board:
    """Use it from one event loop; `stopping` ends every stream."""

    def __init__(self, host: Host, stopping: threading.Event) -> None:
        self._host, self._stopping = host, stopping
        self._asked: Counter[Any] = Counter()
        self._questions: dict[Any, Question] = {}
        self._events: dict[Any, bytes] = {}
        self._beat = asyncio.Event()
        self._pump: asyncio.Task[None] | None = None
        self._thread = CapacityLimiter(2)  # of its own: long reads of history do not hold it up

    async def follow(self, questions: list[Question]) -> AsyncGenerator[bytes, None]:
        """Each answer now, then those that changed, at most once a beat; a comment when quiet.

        b"" after each beat: so the one who sends them can look whether anybody still listens.
        """
        for question in questions:
            self._asked[question.key] += 1
            self._questions[question.key] = question
        try:
            new = [q for q in questions if q.key not in self._events]
            if new:
                await to_thread.run_sync(self._look, new, limiter=self._thread)
            if self._pump is None or self._pump.done():
                self._beat = asyncio.Event()  # the last one was set when its pump ended
                self._pump = asyncio.create_task(self._turn())
            told: dict[Any, bytes] = {}
            quiet = 0.0
            while not self._stopping.is_set():
                quiet += BEAT
                for question in questions:
                    event = self._events[question.key]
                    if told.get(question.key) is not event:
                        told[question.key], quiet = event, 0.0
                        yield event
                if quiet > QUIET:
                    quiet = 0.0
                    yield b": still here\n\n"
                await self._beat.wait()
                yield b""
        finally:
            for question in questions:
                self._asked[question.key] -= 1
                if not self._asked[question.key]:
                    del self._asked[question.key], self._questions[question.key]
                    self._events.pop(question.key, None)

    async def _turn(self) -> None:
        """Look once a beat, as long as somebody follows."""
        while self._questions and not self._stopping.is_set():
            for _ in range(round(BEAT / STEP)):
                if not self._stopping.is_set():
                    await asyncio.sleep(STEP)
            asked = list(self._questions.values())
            try:
                await to_thread.run_sync(self._look, asked, limiter=self._thread)
            except GemelError as error:  # no picture: those of the last beat stand
                _log.error("live: %s", error.message)
            beat, self._beat = self._beat, asyncio.Event()
            beat.set()

    def _look(self, questions: Iterable[Question]) -> None:
        """Bring the answers up to date; one that did not change stays the same bytes."""
        view = self._host.view()
        for question in questions:
            event = self._answer(question, view)
            if self._events.get(question.key) != event:
                self._events[question.key] = event

    def _answer(self, question: Question, view: View) -> bytes:
        """The event of a question; where there is no answer, the problem."""
        try:
            return _event(question.name, question.make(self._host, view))
        except GemelError as error:
            problem = error
        except Exception as error:  # the other questions go on, and this one is told
            _log.error("live %s", question.name, exc_info=error)
            mend = "report it with the traceback in the log; the plant goes on"
            problem = Bug("server.crashed", type(error).__name__, where="live", mend=mend)
        return _event("problem", {"section": question.name, **problem.as_record()})


def _event(name: str, record: dict[str, Any]) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (name.encode(), as_json(record))
