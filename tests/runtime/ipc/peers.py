"""The router with peers that are not there, and a clock that stands still."""

from __future__ import annotations

import json

from pm_native.runtime.ipc.access import ALL
from pm_native.runtime.ipc.identity import Identity
from pm_native.runtime.ipc.limits import Limits
from pm_native.runtime.ipc.peers import Peer
from pm_native.runtime.ipc.routing import Router

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pm_native.runtime.ipc.access import Rights


class FakePeer(Peer):
    __slots__ = ("dropped", "router")
    router: Router

    def drop(self, reason: str) -> None:
        self.dropped = reason
        self.router.leave(self)


class Stage:
    """A router with a clock that stands still, and peers by name."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.now = 0.0
        self.number = 0
        self.router = Router(limits or Limits(), clock=lambda: self.now)

    def peer(self, name: str, rights: Rights = ALL) -> FakePeer:
        self.number = number = self.number + 1
        process, _, instance = name.partition("@")
        unit = f"shop-{name}.service"
        identity = Identity(pid=number, uid=33, unit=unit, process=process, instance=instance)
        made = FakePeer(self.router, number, identity, rights)
        made.router = self.router
        self.router.join(made)
        return made

    def say(self, peer: Peer, **fields: object) -> None:
        self.router.receive(peer, json.dumps(fields, separators=(",", ":")).encode())

    def heard(self, peer: Peer) -> list[dict[str, object]]:
        found = [json.loads(data) for data in peer.out]
        peer.out.clear()
        self.router.dirty.clear()
        return found


def is_match(pattern: str, topic: str) -> bool:
    """Word by word, as the documentation says it."""
    want, have = pattern.split("."), topic.split(".")
    if topic[0] == "$" and pattern[0] == "*":
        return False
    if want[-1] == "**":
        want = want[:-1]
        return len(have) > len(want) and all(w in ("*", h) for w, h in zip(want, have, strict=False))
    return len(want) == len(have) and all(w in ("*", h) for w, h in zip(want, have, strict=True))
