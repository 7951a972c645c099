"""One child process for what needs the model: saliency on demand. The parent never imports torch.

The child is started by the first request and stopped when none came for a while. Requests wait in line, a bounded
number of them; what takes too long, or makes the child die, is an error of its own request alone.
"""

from __future__ import annotations

import multiprocessing
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any

import numpy as np

from faces.errors import InputError

WAITING = 6
"""Requests at once, as many as a browser makes. A server needs more threads than that, or slow maps hold every page."""


class Busy(InputError):
    """Too many requests wait."""


class Worker:
    """Answers from any thread, one request at a time.

    ``idle_s``: how long the child is kept without requests; ``waiting``: how many may stand in line; ``timeout_s``: how
    long one may take, its time in line and the child's start included.
    """

    def __init__(self, idle_s: float = 300.0, waiting: int = WAITING, timeout_s: float = 120.0) -> None:
        self.idle_s, self.timeout_s = idle_s, timeout_s
        self._places = threading.BoundedSemaphore(waiting)
        self._turn = threading.Lock()
        self._child: tuple[SpawnProcess, Connection] | None = None
        self._idle: threading.Timer | None = None

    def saliency(
        self,
        run: Path,
        sample_id: str,
        method: str,
        target: str,
        data: Path | None = None,
        model: str | None = None,
        allow_pickle: bool = False,
    ) -> np.ndarray:
        """Raw map float32 (h, w) of one sample of the run in the folder ``run``; see audit.saliency.of_run.

        Raises InputError, also where this took too long; Busy where too many requests wait.
        """
        arguments = run, sample_id, method, target, data, model, allow_pickle
        found: np.ndarray = self.ask("audit.saliency.of_run", "answer", *arguments)
        return found

    def ask(self, module: str, function: str, *arguments: Any) -> Any:
        """What a function of a module gives when the child calls it. Arguments and answer are pickled."""
        deadline = time.monotonic() + self.timeout_s
        if not self._places.acquire(blocking=False):
            raise Busy("Too many maps are being computed; ask again in a moment.")
        turn = False
        try:
            turn = self._turn.acquire(timeout=self.timeout_s)
            if not turn or time.monotonic() >= deadline:
                raise InputError(f"The map's turn did not come within {self.timeout_s:.0f} s; ask again in a moment.")
            return self._exchange((module, function, arguments), deadline)
        finally:
            if turn:
                self._turn.release()
            self._places.release()

    @property
    def running(self) -> bool:
        """Whether there is a child now."""
        return self._child is not None and self._child[0].is_alive()

    def close(self) -> None:
        """Stop the child, if there is one; a later request starts another."""
        with self._turn:
            self._stop()

    def _exchange(self, request: tuple[str, str, tuple[Any, ...]], deadline: float) -> Any:
        if self._idle is not None:
            self._idle.cancel()
        process, pipe = self._started()
        try:
            with _killed_at(deadline, process):  # not a poll: a child that does not read can hold up the sending too
                pipe.send(request)
                fine, answer = pipe.recv()
        except (EOFError, OSError):
            self._stop()
            if time.monotonic() >= deadline:
                raise InputError(f"The map took longer than {self.timeout_s:.0f} s and was given up.") from None
            raise InputError("The process that computes maps ended (was there enough memory?); ask again.") from None
        if time.monotonic() >= deadline:  # the answer came, and the child may have been killed all the same
            self._stop()
            return _given(fine, answer)
        self._idle = threading.Timer(self.idle_s, self._stop_if_idle)
        self._idle.daemon = True
        self._idle.start()
        return _given(fine, answer)

    def _started(self) -> tuple[SpawnProcess, Connection]:
        if not self.running:
            context = multiprocessing.get_context("spawn")
            ours, theirs = context.Pipe()
            process = context.Process(target=serve_requests, args=(theirs,), daemon=True, name="saliency")
            process.start()
            theirs.close()
            self._child = process, ours
        assert self._child is not None
        return self._child

    def _stop_if_idle(self) -> None:
        if self._turn.acquire(blocking=False):
            try:
                self._stop()
            finally:
                self._turn.release()

    def _stop(self) -> None:
        if self._child is None:
            return
        process, pipe = self._child
        self._child = None
        pipe.close()
        process.terminate()
        process.join(5)
        if process.is_alive():
            process.kill()
            process.join()
        process.close()


@contextmanager
def _killed_at(deadline: float, process: SpawnProcess) -> Iterator[None]:
    """Kill the process at the deadline, unless this is left before."""
    timer = threading.Timer(max(0.0, deadline - time.monotonic()), process.kill)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()


def _given(fine: bool, answer: Any) -> Any:
    if not fine:
        raise InputError(answer)
    return answer


def serve_requests(pipe: Connection) -> None:
    """The child's life: answer until the parent hangs up."""
    from importlib import import_module

    while True:
        try:
            module, name, arguments = pipe.recv()
        except (EOFError, OSError, KeyboardInterrupt):
            return
        try:
            function: Callable[..., Any] = getattr(import_module(module), name)
            pipe.send((True, function(*arguments)))
        except InputError as error:
            pipe.send((False, str(error)))
        except Exception as error:  # the child must outlive any one request
            pipe.send((False, f"The map cannot be computed ({type(error).__name__}: {error})."))
