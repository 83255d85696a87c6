"""Messages between the processes of a project, over its broker's Unix socket.

    from pm_native.runtime import ipc

    with ipc.connect() as client:                       # for programs that wait
        client.call("worker", {"resize": 7}, method="resize", timeout=5)
        client.publish("cache.invalidate", {"key": "user:7"})

    async with ipc.connect_async() as client:           # for asyncio
        async for message in client.subscribe("cache.**"): ...

Needs `ipc = true` in the project's config, which sets PM_NATIVE_IPC to the path of the socket. Only the standard library
is imported; orjson and uvloop make it two to four times faster where they are installed.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pm_native.runtime.ipc.aio import AsyncClient
    from pm_native.runtime.ipc.client import Client


def connect(path: str = "") -> Client:
    """A client for programs that wait for each answer; `path` of the socket, else that of PM_NATIVE_IPC."""
    from pm_native.runtime.ipc.client import Client  # noqa: PLC0415 - a program needs one of the two

    return Client(path)


def connect_async(path: str = "") -> AsyncClient:
    """A client for asyncio, to be entered with `async with`; `path` as in `connect`."""
    from pm_native.runtime.ipc.aio import AsyncClient  # noqa: PLC0415 - as above

    return AsyncClient(path)
