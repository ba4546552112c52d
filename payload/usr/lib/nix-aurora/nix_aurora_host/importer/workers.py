"""Work on all processors: hashing, reading and cloning let other threads run meanwhile."""

import os
import threading
from collections.abc import Callable, Iterable
from typing import TypeVar

T = TypeVar("T")
_FEWEST = 4  # threads: one that waits for a disk does not keep a processor busy


class Task:
    """A function that runs in parallel to the caller."""

    def __init__(self, function: Callable[[], object]) -> None:
        self._function = function
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._function()
        except BaseException as error:
            self._error = error

    def wait(self) -> None:
        """Wait for its end, and raise its exception."""
        self._thread.join()
        if self._error is not None:
            raise self._error


def each(function: Callable[[T], object], items: Iterable[T]) -> None:
    """Call ``function`` for each item, in a thread for each processor, and some more.

    Raise the first exception, once no thread is running any more.
    """
    wanted = list(items)
    if not wanted:
        return
    pending = iter(wanted)
    lock = threading.Lock()
    failed = threading.Event()

    def work() -> None:
        while not failed.is_set():
            with lock:
                try:
                    item = next(pending)
                except StopIteration:
                    return
            try:
                function(item)
            except BaseException:
                failed.set()
                raise

    tasks = [Task(work) for _ in range(max(_FEWEST, os.cpu_count() or 1))]
    errors = []
    for task in tasks:
        try:
            task.wait()
        except BaseException as error:
            errors.append(error)
    if errors:
        raise errors[0]
