"""pyzmq: a proxy on ipc:// sockets, ROUTER to DEALER for round trips and XSUB to XPUB for what is published."""

from __future__ import annotations

import json

import zmq

from tests.benchmarks.messages import load

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

WINDOW = 1000
TOPIC, ACK = b"bench.topic", b"ack"
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def _socket(kind: int, address: str, *, bind: bool = False) -> zmq.Socket[bytes]:
    socket: zmq.Socket[bytes] = zmq.Context.instance().socket(kind)
    socket.set_hwm(10 * WINDOW)  # nothing is dropped: no more than WINDOW are under way
    if bind:
        socket.bind(address)
    else:
        socket.connect(address)
    return socket


def _frame(**fields: object) -> bytes:
    return _encode(fields).encode()


def _addresses(path: str) -> tuple[str, str]:
    return f"ipc://{path}.front", f"ipc://{path}.back"


def proxy_calls(path: str) -> None:
    """The broker of round trips."""
    front, back = _addresses(path)
    sockets = _socket(zmq.ROUTER, front, bind=True), _socket(zmq.DEALER, back, bind=True)
    load.say(ready=True)
    zmq.proxy(*sockets)


def proxy_topics(path: str) -> None:
    """The broker of what is published."""
    front, back = _addresses(path)
    sockets = _socket(zmq.XSUB, front, bind=True), _socket(zmq.XPUB, back, bind=True)
    load.say(ready=True)
    zmq.proxy(*sockets)


def answer(path: str) -> None:
    """Answer calls."""
    socket = _socket(zmq.DEALER, _addresses(path)[1])
    load.say(ready=True)
    while True:
        who, data = socket.recv_multipart()
        call = json.loads(data)
        socket.send_multipart([who, _frame(op="reply", id=call["id"], body=call["body"])])


def ask(path: str, in_flight: int) -> None:
    """Call one after the other, or many at the same time."""
    socket = _socket(zmq.DEALER, _addresses(path)[0])

    def send(numbers: Iterable[int]) -> None:
        for number in numbers:
            socket.send(_frame(op="call", to="worker", id=number, body=load.BODY))

    def receive() -> list[tuple[int, str]]:
        answers = [json.loads(socket.recv())]
        while len(answers) < in_flight:
            try:
                answers.append(json.loads(socket.recv(zmq.NOBLOCK)))
            except zmq.Again:
                break
        return [(item["id"], item["body"]) for item in answers]

    load.ask_by_number(send, receive, in_flight)


def listen(path: str) -> None:
    """Subscribe, with so many connections."""
    front, back = _addresses(path)
    sockets = [_socket(zmq.SUB, back) for _ in range(load.SUBSCRIBERS)]
    for socket in sockets:
        socket.subscribe(TOPIC)
    acks = _socket(zmq.PUB, front)
    seen = load.Seen(WINDOW, lambda count: acks.send_multipart([ACK, _frame(body=count)]))
    poller = zmq.Poller()
    for socket in sockets:
        poller.register(socket, zmq.POLLIN)
    takers = {socket: seen.taker(index) for index, socket in enumerate(sockets)}
    load.say(ready=True)
    while True:
        for socket, _ in poller.poll():
            take = takers[socket]
            try:
                while True:
                    _, data = socket.recv_multipart(zmq.NOBLOCK)
                    take(json.loads(data)["body"])
            except zmq.Again:
                pass


def publish(path: str) -> None:
    """Publish to them."""
    front, back = _addresses(path)
    acks = _socket(zmq.SUB, back)
    acks.subscribe(ACK)
    out = _socket(
        zmq.XPUB, front
    )  # a PUB that hears of subscriptions: of those of the listener, through the proxy
    out.recv()

    def send(bodies: list[str]) -> None:
        for body in bodies:
            out.send_multipart([TOPIC, _frame(op="pub", body=body)])

    load.publish_in_turn(send, lambda: int(json.loads(acks.recv_multipart()[1])["body"]), WINDOW)
    zmq.Context.instance().destroy(linger=1000)
