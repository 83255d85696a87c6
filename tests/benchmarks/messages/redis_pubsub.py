"""redis-server on a Unix socket with redis-py: its pub/sub, for round trips too, as many use it."""

from __future__ import annotations

import json
import select

import redis

from tests.benchmarks.messages import load

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

WINDOW = 1000
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


class _Channel:
    """A connection that is subscribed to one channel."""

    def __init__(self, client: redis.Redis, name: str) -> None:
        self._pubsub = client.pubsub(ignore_subscribe_messages=True)  # type: ignore[no-untyped-call]
        self._pubsub.subscribe(name)
        self._pubsub.get_message(timeout=5)  # that it is subscribed
        self.socket = self._pubsub.connection._sock  # to wait for several at a time

    def receive(self) -> list[dict[str, object]]:
        """What has come, at least one."""
        found = []
        message = self._pubsub.get_message(timeout=None)
        while message is not None:
            found.append(json.loads(message["data"]))
            message = self._pubsub.get_message(timeout=0)
        return found


def _connect(path: str) -> redis.Redis:
    return redis.Redis(unix_socket_path=path)


def _publish(client: redis.Redis, channel: str, frames: Iterable[dict[str, object]]) -> None:
    """All of them in one write."""
    pipe = client.pipeline(transaction=False)
    for frame in frames:
        pipe.publish(channel, _encode(frame))
    pipe.execute()


def answer(path: str) -> None:
    """Answer calls."""
    client = _connect(path)
    calls = _Channel(client, "worker")
    load.say(ready=True)
    while True:
        _publish(client, "web", [{"id": item["id"], "body": item["body"]} for item in calls.receive()])


def ask(path: str, in_flight: int) -> None:
    """Call one after the other, or many at the same time."""
    client = _connect(path)
    answers = _Channel(client, "web")

    def send(numbers: Iterable[int]) -> None:
        _publish(client, "worker", [{"op": "call", "id": number, "body": load.BODY} for number in numbers])

    def receive() -> list[tuple[int, str]]:
        return [(int(str(item["id"])), str(item["body"])) for item in answers.receive()]

    load.ask_by_number(send, receive, in_flight)


def listen(path: str) -> None:
    """Subscribe, with so many connections."""
    client = _connect(path)
    channels = [_Channel(client, "bench.topic") for _ in range(load.SUBSCRIBERS)]
    seen = load.Seen(WINDOW, lambda count: client.publish("ack", _encode({"body": count})))
    poller = select.poll()
    takers = {}
    for index, channel in enumerate(channels):
        poller.register(channel.socket, select.POLLIN)
        takers[channel.socket.fileno()] = channel, seen.taker(index)
    load.say(ready=True)
    while True:
        for descriptor, _ in poller.poll():
            channel, take = takers[descriptor]
            for item in channel.receive():
                take(str(item["body"]))


def publish(path: str) -> None:
    """Publish to them."""
    client = _connect(path)
    acks = _Channel(client, "ack")

    def send(bodies: list[str]) -> None:
        _publish(client, "bench.topic", [{"op": "pub", "body": body} for body in bodies])

    load.publish_in_turn(send, lambda: int(str(acks.receive()[-1]["body"])), WINDOW)
