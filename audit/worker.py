"""One child process for what needs the model: saliency on demand. The parent never imports torch.

The child is started by the first request and stopped when none came for a while. Requests wait in line, a bounded
number of them; what waits too long, or makes the child die, is an error of its own request alone.
"""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any

import numpy as np

from faces.errors import InputError


class Worker:
    """Answers from any thread, one request at a time.

    ``idle_s``: how long the child is kept without requests; ``waiting``: how many may stand in line; ``timeout_s``: how
    long one may take, the child's start included.
    """

    def __init__(self, idle_s: float = 300.0, waiting: int = 8, timeout_s: float = 120.0) -> None:
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
    ) -> np.ndarray:
        """Raw map float32 (h, w) of one sample of the run in the folder ``run``; see audit.saliency.of_run.

        Raises InputError, also where too many requests wait or this one took too long.
        """
        found: np.ndarray = self.ask("audit.saliency.of_run", "answer", run, sample_id, method, target, data, model)
        return found

    def ask(self, module: str, function: str, *arguments: Any) -> Any:
        """What a function of a module gives when the child calls it. Arguments and answer are pickled."""
        if not self._places.acquire(blocking=False):
            raise InputError("Too many maps are being computed; ask again in a moment.")
        try:
            with self._turn:
                return self._exchange((module, function, arguments))
        finally:
            self._places.release()

    @property
    def running(self) -> bool:
        """Whether there is a child now."""
        return self._child is not None and self._child[0].is_alive()

    def close(self) -> None:
        """Stop the child, if there is one; a later request starts another."""
        with self._turn:
            self._stop()

    def _exchange(self, request: tuple[str, str, tuple[Any, ...]]) -> Any:
        if self._idle is not None:
            self._idle.cancel()
        _, pipe = self._started()
        try:
            pipe.send(request)
            if not pipe.poll(self.timeout_s):
                self._stop()
                raise InputError(f"The map took longer than {self.timeout_s:.0f} s and was given up.")
            fine, answer = pipe.recv()
        except (EOFError, OSError):
            self._stop()
            raise InputError("The process that computes maps ended (was there enough memory?); ask again.") from None
        self._idle = threading.Timer(self.idle_s, self._stop_if_idle)
        self._idle.daemon = True
        self._idle.start()
        if not fine:
            raise InputError(answer)
        return answer

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


def serve_requests(pipe: Connection) -> None:
    """The child's life: answer until the parent hangs up."""
    from importlib import import_module

    while True:
        try:
            module, name, arguments = pipe.recv()
        except (EOFError, OSError, KeyboardInterrupt):
            return
        function: Callable[..., Any] = getattr(import_module(module), name)
        try:
            pipe.send((True, function(*arguments)))
        except InputError as error:
            pipe.send((False, str(error)))
        except Exception as error:  # the child must outlive any one request
            pipe.send((False, f"The map cannot be computed ({type(error).__name__}: {error})."))
