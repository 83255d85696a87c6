"""A broker for tests that need no systemd: `python -m tests.runtime.ipc.stage SOCKET`.

Who a peer is comes from STAGE_NAME in its environment (`worker@1`), as the kernel tells it of the peer's pid.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
from pathlib import Path

if os.environ.get("STAGE_SSL") != "1":
    sys.modules.setdefault("ssl", None)  # type: ignore[arg-type]  # as the broker's own start does

from pm_native.runtime.ipc import codec, serve
from pm_native.runtime.ipc.access import access_from
from pm_native.runtime.ipc.broker import Broker
from pm_native.runtime.ipc.identity import Identifier
from pm_native.runtime.ipc.limits import limits_from

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pm_native.runtime.ipc.identity import Identity

NAME = "STAGE_NAME"


class StageIdentifier(Identifier):
    """Tells peers by a variable of their environment."""

    def identify(self, peer: socket.socket) -> Identity:
        identity = super().identify(peer)
        variables = Path(f"/proc/{identity.pid}/environ").read_bytes().split(b"\0")
        name = dict(item.decode().split("=", 1) for item in variables if b"=" in item).get(NAME, "")
        identity.process, _, identity.instance = name.partition("@")
        identity.unit = f"shop-{name}.service" if name else identity.unit
        return identity


def main() -> None:
    """Serve on the socket whose path is the argument; a line on stdout says when."""
    if name := os.environ.get("STAGE_CODEC"):
        codec.use(name)
    rules = os.environ.get("PM_NATIVE_IPC_ACCESS", f'{{"users": ["{os.getuid()}"]}}')
    broker = Broker(access_from(rules, serve.uid_of), StageIdentifier("shop", "shop.slice"), limits_from())
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(sys.argv[1])
    listener.listen(4096)
    print("listening", flush=True)  # noqa: T201 - who started it waits for this line
    serve.runner()(serve.run(broker, listener))


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    main()
