# mypy: ignore-errors
"""A client by docs/messages-protocol.md alone, with nothing of pm-native: what a stranger writes in an afternoon.

As `worker` it answers: `double`, and `sell`, which fails by a name of its own. As `web` it asks, publishes and listens,
and prints what it got.
"""

import json
import os
import socket
import sys
from itertools import count


class Client:
    def __init__(self):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(os.environ["PM_NATIVE_IPC"])
        self.lines = self.socket.makefile("rb")
        self.numbers = count(1)
        self.arrived = []

    def tell(self, **frame):
        self.socket.sendall(json.dumps(frame).encode() + b"\n")

    def next(self):
        return self.arrived.pop(0) if self.arrived else json.loads(self.lines.readline())

    def ask(self, **frame):
        """The frames with the id of the request, up to the one that is not marked with `more`."""
        number = next(self.numbers)
        self.tell(**frame, id=number)
        found = []
        while not found or found[-1].get("more"):
            frame = json.loads(self.lines.readline())
            if frame.get("id") == number and frame["op"] not in ("call", "send", "pub"):
                found.append(frame)
            else:
                self.arrived.append(frame)
        return found


def worker(client):
    client.ask(op="hello", version=1, serve=True)
    while True:
        frame = client.next()
        if frame["op"] == "call" and frame.get("method") == "double":
            client.tell(op="reply", id=frame["id"], body=frame["body"] * 2)
        elif frame["op"] == "call":
            client.tell(op="error", id=frame["id"], error="shop.SoldOut", message="none left")
        elif frame["op"] == "send":
            client.tell(
                op="pub", topic="heard.by." + os.environ["STAGE_NAME"].replace("@", "."), body=frame["body"]
            )


def web(client):
    print(client.ask(op="hello", version=1)[0]["you"]["name"])
    print(client.ask(op="call", to="worker", method="double", body=21, timeout=30)[0]["body"])
    print(client.ask(op="call", to="worker", method="sell", body=1)[0]["error"])
    *answers, end = client.ask(op="call", to="worker@*", method="double", body=1)
    print(sorted((item["from"]["instance"], item["body"]) for item in answers), end["op"], end["count"])
    print(client.ask(op="sub", topic="heard.**")[0]["op"])
    print(client.ask(op="send", to="worker@*", body="hello")[0]["count"])
    print(sorted((frame["topic"], frame["body"]) for frame in (client.next(), client.next())))
    print(client.ask(op="call", to="mail", body=1)[0]["error"])


if __name__ == "__main__":
    {"worker": worker, "web": web}[sys.argv[1]](Client())
