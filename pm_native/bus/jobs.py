"""The waiters of jobs: who waits for which job path, and what ended before anybody could wait."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager

from pm_native.bus.manager import BusLostError, JobEnd, JobResult

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping

    from pm_native.bus.manager import JobHandle


class QueuedJob:
    """`JobHandle`: a job in the queue, and the future of its end."""

    def __init__(
        self,
        unit: str,
        job_id: int,
        end: asyncio.Future[JobEnd],
        cancel: Callable[[int], Awaitable[None]],
        others: Mapping[str, JobHandle] | None = None,
    ) -> None:
        self.unit = unit
        self.job_id = job_id
        self.others = others or {}
        self._end = end
        self._cancel = cancel

    async def result(self) -> JobEnd:
        """See `JobHandle`."""
        return await asyncio.shield(self._end)  # a caller that gives up waiting may come back

    async def cancel(self) -> None:
        """See `JobHandle`."""
        await self._cancel(self.job_id)


class JobTable:
    """Brings each JobRemoved to all who wait for that job.

    The signal can overtake the reply that names the job (it does so nearly always), and systemd answers several
    requests with one and the same job where it merges them: hence `early`, and lists of waiters.
    """

    def __init__(self) -> None:
        self._waiters: dict[str, list[asyncio.Future[JobEnd]]] = {}
        self._early: dict[str, JobEnd] = {}
        self._asking = 0
        self._lost: BusLostError | None = None

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Hold this from before a job is asked for until `waiter` was called for it."""
        self._asking += 1
        try:
            yield
        finally:
            self._asking -= 1
            if not self._asking:  # nobody can still be told a path whose end was seen
                self._early.clear()

    def waiter(self, path: str) -> asyncio.Future[JobEnd]:
        """A future of the job's end; call it inside `asking`, once for each who asked."""
        future: asyncio.Future[JobEnd] = asyncio.get_running_loop().create_future()
        if self._lost is not None:
            _fail(future, self._lost)
        elif (end := self._early.get(path)) is not None:
            future.set_result(end)
        else:
            self._waiters.setdefault(path, []).append(future)
        return future

    def removed(self, path: str, raw: str) -> None:
        """A job left the queue: systemd sent JobRemoved with its path and result."""
        end = JobEnd(result=JobResult(raw), raw=raw)
        if self._asking:
            self._early[path] = end
        for future in self._waiters.pop(path, ()):
            if not future.done():
                future.set_result(end)

    def lose(self, error: BusLostError) -> None:
        """Nothing will be heard from now on: end every wait, and those to come."""
        self._lost = self._lost or error
        waiters, self._waiters = self._waiters, {}
        for futures in waiters.values():
            for future in futures:
                if not future.done():
                    _fail(future, self._lost)

    @property
    def waiting(self) -> int:
        """How many jobs are waited for."""
        return len(self._waiters)


def _fail(future: asyncio.Future[JobEnd], error: BusLostError) -> None:
    # Each waiter gets an exception of its own: one that is raised twice collects both tracebacks.
    future.set_exception(BusLostError(error.message, hint=error.hint))
    future.exception()  # read here, so that asyncio does not complain about a handle nobody awaits
