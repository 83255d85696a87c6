"""A client that does its worst: `python -m tests.runtime.ipc.hostile SOCKET`, known to the broker as a process.

Each attack is told as it is over, with what the broker said to it; a client that behaves is answered all the while, and
when all is over nothing of it is left in the broker.
"""

from __future__ import annotations

import json
import resource
import socket
import sys
import time
from contextlib import suppress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PATIENCE = 60
CROWD = 200


class Peer:
    """A connection."""

    def __init__(self, path: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(PATIENCE)
        self.socket.connect(path)
        self._lines = self.socket.makefile("rb")

    def push(self, data: bytes) -> bool:
        """Send; False where the broker has closed the connection."""
        try:
            self.socket.sendall(data)
        except OSError:
            return False
        return True

    def ask(self, data: bytes) -> dict[str, object]:
        """Send one frame and read what comes back."""
        self.push(data + b"\n")
        return self.read()

    def read(self) -> dict[str, object]:
        """The next frame; {} at the end of the connection."""
        try:
            found = json.loads(self._lines.readline() or b"{}")
        except OSError:
            return {}
        assert isinstance(found, dict)
        return found

    def close(self) -> None:
        """End it."""
        self._lines.close()
        self.socket.close()


class Hostile:
    """All attacks on the broker at a path."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.peers: list[Peer] = []
        self.well_behaved = Peer(path)

    def crowd(self, count: int = CROWD) -> list[Peer]:
        """So many connections, that the broker knows."""
        made = [Peer(self.path) for _ in range(count)]
        self.peers += made
        for peer in made:
            assert peer.ask(b'{"op":"ping","id":1}')["op"] == "ok"
        return made

    def many_connections(self) -> str:
        """Connect until no more are taken."""
        while True:
            peer = Peer(self.path)
            self.peers.append(peer)
            answer = peer.ask(b'{"op":"ping","id":1}')
            if answer["op"] != "ok":
                return f"{answer['error']} after {len(self.peers)}"

    def never_reading(self) -> str:
        """Subscribe to everything, read nothing, and have much published."""
        for policy in (b"drop-oldest", b"drop-newest", b"disconnect"):
            for peer in self.crowd(CROWD // 3):
                peer.push(b'{"op":"sub","topic":"**","policy":"%b"}\n' % policy)
        (sender,) = self.crowd(1)
        frame = b'{"op":"pub","topic":"t.x","body":"%b"}\n' % (b"x" * 100_000)
        sent = sum(sender.push(frame) for _ in range(500))
        return f"{sent} published"

    def half_frames(self) -> str:
        """Begin frames and do not end them."""
        alive = sum(peer.push(b'{"op":"pub","body":"' + b"x" * 900_000) for peer in self.crowd())
        return f"{alive} begun"

    def giant_frames(self) -> str:
        """A frame that is larger than is taken."""
        (peer,) = self.crowd(1)
        peer.push(b'{"op":"pub","topic":"t","body":"' + b"x" * (2 << 20) + b'"}\n')
        return str(peer.read().get("error", "closed"))

    def deep_and_wide_json(self) -> str:
        """Values that take much more memory than their text."""
        (peer,) = self.crowd(1)
        errors = []
        for body in (
            b"[" * 500_000,
            b'{"a":' * 150_000,
            b"[" * 400_000 + b"]" * 400_000,
            b"[[]" + b",[]" * 300_000,
        ):
            for order in (b'{"op":"pub","topic":"t","body":%b', b'{"body":%b,"op":"pub","topic":"t"}'):
                peer.push(order % body + b"\n")
                answer = peer.ask(b'{"op":"ping","id":1}')
                if answer["op"] == "error":
                    errors.append(str(answer["error"]))
                    peer.read()
        return " ".join(errors)

    def deep_patterns(self) -> str:
        """Subscriptions whose patterns have many words, all different."""
        for number, peer in enumerate(self.crowd(20)):
            for index in range(2_000):
                words = ".".join(f"{number}{index}{word}" for word in range(24))
                answer = peer.ask(b'{"op":"sub","topic":"%b.*","id":2}' % words.encode()[:250])
                if answer["op"] == "error":
                    return f"{answer['error']}: {answer['message']}"
        return "all taken"

    def many_heads(self) -> str:
        """Frames that each have another head, with many subscribers each."""
        peers = self.crowd(CROWD // 4)
        for peer in peers:
            peer.push(b'{"op":"sub","topic":"**"}\n')
        for number, peer in enumerate(peers):
            for index in range(40):
                topic = b"%d.%d.%b" % (number, index, b"x" * 230)
                peer.push(
                    b'{"op":"pub","topic":"%b","body":1}\n{"op":"pub","topic":"%b","body":1}\n'
                    % (topic, topic)
                )
        return "all sent"

    def copies(self) -> str:
        """Ask very many for an answer, with a large body, and let none of them read."""
        members = self.crowd()
        for member in members:
            member.push(b'{"op":"serve"}\n')
        (caller,) = self.crowd(1)
        frame = b'{"op":"call","to":"worker@*","id":3,"body":"%b"}' % (b"x" * 900_000)
        answer = caller.ask(frame)
        return f"{answer['error']}: {answer['message']}"

    def calls_without_answer(self) -> str:
        """Call as often as is taken, and never answer."""
        (member,) = self.crowd(1)
        member.push(b'{"op":"serve"}\n')
        for caller in self.crowd(80):
            caller.push(
                b"".join(
                    b'{"op":"call","to":"worker","id":%d,"body":0}\n' % number for number in range(1100)
                )
            )
        return "all sent"

    def answers_not_read(self) -> str:
        """Ask for much, and read none of it."""
        for peer in self.crowd(3):
            for _ in range(300):
                if not peer.push(b'{"op":"peers","id":1}\n' * 100 + b'{"op":"ping","id":1}\n' * 1000):
                    break
        return "evicted"

    def attacks(self) -> Iterator[tuple[str, str, float]]:
        """Each attack, what it came to, and the seconds that one who behaves waited at most meanwhile."""
        attacks: list[Callable[[], str]] = [
            self.many_connections,
            self.never_reading,
            self.half_frames,
            self.giant_frames,
            self.deep_and_wide_json,
            self.deep_patterns,
            self.many_heads,
            self.copies,
            self.calls_without_answer,
            self.answers_not_read,
        ]
        for attack in attacks:
            outcome = attack()
            begin = time.monotonic()
            assert self.well_behaved.ask(b'{"op":"ping","id":7}') == {"op": "ok", "id": 7, "count": 1}
            yield attack.__name__, outcome, time.monotonic() - begin
            for peer in self.peers:
                peer.close()
            self.peers.clear()
            self.wait_until_forgotten()

    def wait_until_forgotten(self) -> None:
        """Return when the broker holds nothing of those who have gone."""
        deadline = time.monotonic() + PATIENCE
        while True:
            found = self.well_behaved.ask(b'{"op":"peers","id":8}')["body"]
            assert isinstance(found, dict)
            held = {name: found["broker"][name] for name in ("queued", "pending", "subscriptions")}
            if len(found["peers"]) == 1 and not any(held.values()):
                return
            assert time.monotonic() < deadline, held


def main() -> None:
    """Attack, and tell each as a line of JSON."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))
    for name, outcome, seconds in Hostile(sys.argv[1]).attacks():
        print(json.dumps({"attack": name, "outcome": outcome, "waited": seconds}), flush=True)  # noqa: T201 - read by who started it


if __name__ == "__main__":
    main()
