"""The life of a broker: what systemd gives it, what it tells systemd, and how it ends."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import pwd
import signal
import socket
import sys

from pm_native.runtime.ipc.access import access_from
from pm_native.runtime.ipc.broker import Broker
from pm_native.runtime.ipc.identity import Identifier
from pm_native.runtime.ipc.limits import limits_from

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping, Sequence

log = logging.getLogger(__name__)
FIRST_FD = 3  # SD_LISTEN_FDS_START
CONFIG_ERROR = 78


def main(arguments: Sequence[str]) -> int:
    """Run the broker of the project that the one argument names; the exit code."""
    # The journal takes the level from the number (sd-daemon(3)).
    logging.basicConfig(format="<%(levelno)d>%(message)s", stream=sys.stderr)
    for level, number in ((logging.WARNING, 4), (logging.ERROR, 3)):
        logging.addLevelName(level, str(number))
    logging.getLogger().handlers[0].setFormatter(logging.Formatter("<%(levelname)s>%(message)s"))
    if len(arguments) != 1:
        log.error("it takes one argument, the name of the project")
        return CONFIG_ERROR
    try:
        broker = broker_from(arguments[0], os.environ)
        listener = inherited_socket(os.environ)
    except (ValueError, KeyError, OSError) as error:
        log.error("%s", error)  # noqa: TRY400 - the words are enough
        return CONFIG_ERROR
    # What was imported lives as long as the process: no collection looks at it again.
    gc.collect()
    gc.freeze()
    runner()(run(broker, listener))
    return 0


def broker_from(project: str, environ: Mapping[str, str]) -> Broker:
    """The broker that the environment describes; ValueError where it makes no sense."""
    user = environ.get("PM_NATIVE_IPC_SCOPE", "system") == "user"
    rules = environ.get("PM_NATIVE_IPC_ACCESS") or "{}"
    access = access_from(rules, uid_of)
    if user:
        access.users |= {os.getuid()}
    slice_name = environ.get("PM_NATIVE_IPC_SLICE") or f"{project}.slice"
    identifier = Identifier(project, slice_name, user=user)
    return Broker(access, identifier, limits_from(environ), installed_version())


def installed_version() -> str:
    """The version of what is installed around this file, by its metadata, or by pyproject.toml in a checkout; else ""."""
    # Packages have a link to it where units look for it.
    folder = os.path.abspath(f"{os.path.realpath(__file__)}/../../../..")  # noqa: PTH100 - pathlib is heavy
    for name in os.listdir(folder):  # noqa: PTH208 - as above
        if name.startswith("pm_native-") and name.endswith(".dist-info"):
            return name.removeprefix("pm_native-").removesuffix(".dist-info")
        if name == "pyproject.toml":
            with open(f"{folder}/{name}", encoding="utf-8") as file:  # noqa: PTH123 - as above
                words = next((line.split() for line in file if line.startswith("version = ")), ['""'])
            return words[-1].strip('"')
    return ""


def uid_of(name: str) -> int:
    """The uid of a user; ValueError where there is none."""
    if name.isdecimal():
        return int(name)
    try:
        return pwd.getpwnam(name).pw_uid
    except KeyError as error:
        raise ValueError(f"there is no user {name!r}") from error


def inherited_socket(environ: Mapping[str, str]) -> socket.socket:
    """The listening socket from systemd (sd_listen_fds(3)); ValueError where there is not exactly one."""
    if environ.get("LISTEN_PID") != str(os.getpid()) or environ.get("LISTEN_FDS") != "1":
        raise ValueError("it is started by its socket unit: systemctl start pm-native-ipc@PROJECT.socket")
    return socket.socket(fileno=FIRST_FD)


def notify(*assignments: str) -> None:
    """Tell systemd (sd_notify(3)), where it listens. By hand: the broker runs where sdnotify may not be installed."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if address:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
            channel.sendto(
                "\n".join(assignments).encode(),
                address.replace("@", "\0", 1) if address[0] == "@" else address,
            )


async def run(broker: Broker, listener: socket.socket) -> None:
    """Serve until SIGTERM or SIGINT."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        # Not by the loop's own way, which loads inspect for a look at the handler.
        signal.signal(number, lambda *_: loop.call_soon_threadsafe(stop.set))
    await broker.listen(listener)
    notify("READY=1", "STATUS=serving")
    alive = asyncio.create_task(keep_alive(broker))
    await stop.wait()
    notify("STOPPING=1", "STATUS=answering what is pending")
    alive.cancel()
    await broker.close()


async def keep_alive(broker: Broker) -> None:
    """Tell the watchdog that the loop turns, and the status what goes through."""
    usec = int(os.environ.get("WATCHDOG_USEC", "0"))
    while True:
        await asyncio.sleep(usec / 2_000_000 if usec else 30)
        figures = broker.router.figures()
        text = f"{len(broker.connections)} connections, {figures['subscriptions']} subscriptions, {figures['dropped']} dropped"
        notify("WATCHDOG=1", f"STATUS={text}")


def runner() -> Callable[[Coroutine[object, object, None]], object]:
    """What runs the loop: uvloop's where that is installed, and not refused by PM_NATIVE_IPC_UVLOOP=0."""
    if os.environ.get("PM_NATIVE_IPC_UVLOOP", "1") != "0":
        try:
            # It imports ssl, which the broker alone keeps out.
            if sys.modules.get("ssl", ...) is None:
                del sys.modules["ssl"]
            import uvloop  # noqa: PLC0415 - where it is installed
        except ImportError:
            pass
        else:
            return uvloop.run
    return asyncio.run
