"""What waits for peers whose sockets are full: bounded for each and for all, and dropped by the word of who subscribed."""

from __future__ import annotations

from collections import deque

from pm_native.runtime.ipc.frames import frame

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pm_native.runtime.ipc.limits import Limits

# What a frame costs beside its bytes: the object, and its places in the queues.
OVERHEAD = 200
# Under pressure, with all queues together half full, one queue holds no more than this.
TIGHT = 64 * 1024
DROP_OLDEST, DROP_NEWEST, DISCONNECT = "drop-oldest", "drop-newest", "disconnect"
POLICIES = (DROP_OLDEST, DROP_NEWEST, DISCONNECT)


class Entry:
    """A frame that waits; `backlog` None: not one that may be dropped. Dropped, its frame is b""."""

    __slots__ = ("backlog", "frame")

    def __init__(self, data: bytes, backlog: Backlog | None) -> None:
        self.frame = data
        self.backlog = backlog


class Backlog:
    """What waits of one subscription, and what was dropped of it since its peer was last told.

    `waiting` are its messages in the queue (None: there were none yet, which saves more than all the rest takes).
    """

    __slots__ = ("dropped", "pattern", "policy", "waiting")

    def __init__(self, pattern: str, policy: str = DROP_OLDEST) -> None:
        self.pattern = pattern
        self.policy = policy
        self.dropped = 0
        self.waiting: deque[Entry] | None = None

    def gap(self) -> bytes:
        """The frame that tells what was dropped, which then has been told."""
        count, self.dropped = self.dropped, 0
        return frame({"op": "gap", "topic": self.pattern, "count": count})


class Pool:
    """The bytes that all queues hold together, and how many messages were dropped from them."""

    __slots__ = ("dropped", "limits", "used")

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.used = 0
        self.dropped = 0

    @property
    def room(self) -> int:
        """The bytes that one queue may hold now."""
        return self.limits.queue if self.used < self.limits.queues // 2 else min(TIGHT, self.limits.queue)

    @property
    def is_over(self) -> bool:
        """Whether all together hold more than they may: the largest must go."""
        return self.used > self.limits.queues


class Outbox:
    """The queue of one peer."""

    __slots__ = ("_dead", "_entries", "_is_closed", "_untold", "pool", "size")

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.size = 0
        self._is_closed = False
        self._entries: deque[Entry] = deque()
        self._dead = 0
        self._untold: dict[Backlog, None] = {}

    def is_full(self) -> bool:
        """Whether no further call or message may be queued."""
        return self.size > self.pool.room

    def add(self, data: bytes) -> bool:
        """Queue what must not be lost; False where even that is too much: the peer is to be disconnected."""
        if self._is_closed:
            return True
        self._append(Entry(data, None), len(data) + OVERHEAD)
        return self.size <= 2 * self.pool.limits.queue + self.pool.limits.frame

    def publish(self, data: bytes, backlog: Backlog) -> bool:
        """Queue what is published, or drop by the policy of its subscription; False: disconnect the peer."""
        if self._is_closed:
            self.pool.dropped += 1
            return True
        cost = len(data) + OVERHEAD
        if self.size + cost > self.pool.room:
            if backlog.policy == DISCONNECT:
                return False
            if backlog.policy == DROP_NEWEST:
                self._lose(backlog)
                return True
            while (waiting := backlog.waiting) and self.size + cost > self.pool.room:
                self._drop_oldest(backlog, waiting)
            if self.size + cost > self.pool.room:
                self._lose(backlog)
                return True
        if backlog.dropped and backlog.policy == DROP_NEWEST:
            self.add(backlog.gap())
        entry = Entry(data, backlog)
        if backlog.waiting is None:
            backlog.waiting = deque()
        backlog.waiting.append(entry)
        self._append(entry, cost)
        return True

    def take(self, size: int) -> list[bytes]:
        """The frames to send next, some `size` bytes of them; what was dropped before one is told before it."""
        taken: list[bytes] = []
        entries = self._entries
        while entries and size > 0:
            entry = entries.popleft()
            if (backlog := entry.backlog) is not None:
                if not entry.frame:
                    self._dead -= 1
                    continue
                if backlog.waiting is not None:
                    backlog.waiting.popleft()
                if backlog.dropped and backlog.policy == DROP_OLDEST:
                    taken.append(backlog.gap())
            taken.append(entry.frame)
            size -= len(entry.frame)
            self._release(len(entry.frame) + OVERHEAD)
        if not entries:
            taken += [backlog.gap() for backlog in self._untold if backlog.dropped]
            self._untold.clear()
        return taken

    def close(self) -> None:
        """Its peer has gone: what is queued is dropped, and so is what comes now."""
        lost = 0
        for entry in self._entries:
            if entry.backlog is not None:
                entry.backlog.waiting = None
            lost += bool(entry.frame)
        self._entries.clear()
        self._dead = 0
        self._release(self.size)
        self.pool.dropped += lost
        self._is_closed = True

    def hold(self, size: int) -> None:
        """Count bytes that are kept elsewhere for the peer: in its transport, or of an unfinished frame."""
        if not self._is_closed:
            self.size += size
            self.pool.used += size

    def _append(self, entry: Entry, cost: int) -> None:
        self._entries.append(entry)
        self.hold(cost)

    def _release(self, size: int) -> None:
        self.hold(-size)

    def _lose(self, backlog: Backlog) -> None:
        backlog.dropped += 1
        self.pool.dropped += 1
        self._untold[backlog] = None

    def _drop_oldest(self, backlog: Backlog, waiting: deque[Entry]) -> None:
        entry = waiting.popleft()
        self._release(len(entry.frame) + OVERHEAD)
        entry.frame = b""
        self._lose(backlog)
        self._dead += 1
        if self._dead * 2 > len(self._entries) + 64:
            self._entries = deque(item for item in self._entries if item.frame)
            self._dead = 0
