"""One `[socket:x]`: what systemd listens on for a watcher."""

from __future__ import annotations

from dataclasses import dataclass

from pm_native.importers.circus.fields import SOCKET_KEYS
from pm_native.model.project import JOURNAL, Listen, PassThrough

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pm_native.errors import Diagnostics, Span
    from pm_native.importers.circus.values import Values
    from pm_native.model.project import Logs

_DEFAULT_PORT, _PORT_MAX, _BACKLOG_MAX = 8080, 65535, 1 << 31


@dataclass(frozen=True, slots=True, kw_only=True)
class Socket:
    """A socket; `is_blocking` as programs find it."""

    listen: Listen
    is_blocking: bool
    span: Span

    def settings(self, *, is_stdin: bool, logs: Logs) -> list[PassThrough]:
        """What the service needs besides."""
        found = []
        if not self.is_blocking:
            found.append(PassThrough(section="Service", name="NonBlocking", values=("yes",), span=self.span))
        if is_stdin:
            found.append(
                PassThrough(section="Service", name="StandardInput", values=("socket",), span=self.span)
            )
            # Standard output would follow standard input into the socket.
            found += [
                PassThrough(section="Service", name=name, values=("journal",), span=self.span)
                for name, target in (("StandardOutput", logs.stdout), ("StandardError", logs.stderr))
                if target == JOURNAL
            ]
        return found


def read_socket(values: Values, problems: Diagnostics) -> Socket | None:
    """The socket of one section; None after telling why there is none."""
    values.tell_unknown(SOCKET_KEYS, (), "a socket")
    kind = (values.text("type") or "SOCK_STREAM").strip().upper()
    family = (values.text("family") or "AF_INET").strip().upper()
    span = values.section.span
    if kind != "SOCK_STREAM" or family not in {"AF_INET", "AF_INET6", "AF_UNIX"}:
        message = f"a socket of {family} {kind}: only streams are handed over"
        hint = "a socket unit of your own: ListenDatagram= or ListenSequentialPacket=, and Sockets= in a drop-in"
        problems.warning(values.place("type"), message, code="circus-socket", hint=hint, lost=True)
        return None
    proto = (values.text("proto") or "tcp").strip().lower()
    if proto != "tcp":
        message = f"proto: {proto} is not handed over"
        hint = "a socket unit of your own (SocketProtocol=)"
        problems.warning(values.place("proto"), message, code="circus-socket", hint=hint, lost=True)
    if values.text("interface"):
        message = "interface: the socket is on all interfaces"
        hint = "BindToDevice= in a drop-in of the socket unit: systemctl edit"
        problems.warning(values.place("interface"), message, code="circus-socket", hint=hint, lost=True)
    for key in ("so_reuseport", "replace"):
        values.flag(key, default=False)
    backlog = int(values.number("backlog", 2048, 1)) if values.entry("backlog") else None
    listen = _listen(values, min(backlog, _BACKLOG_MAX) if backlog is not None else None, problems)
    if listen is None:
        return None
    return Socket(listen=listen, is_blocking=values.flag("blocking", default=False), span=span)


def _listen(values: Values, backlog: int | None, problems: Diagnostics) -> Listen | None:
    path = (values.text("path") or "").strip()
    if path:
        if not path.startswith("/"):
            hint = "a path from / on: circus takes it from the folder that circusd was started in"
            message = f"path: {path!r} is relative"
            problems.error(values.place("path"), message, code="bad-value", hint=hint)
            return None
        umask = values.octal("umask") if values.entry("umask") else None
        mode = 0o777 & ~umask if umask is not None else None
        return Listen(path=path, share=True, backlog=backlog, mode=mode)
    port = int(values.number("port", _DEFAULT_PORT, 0))
    if not 1 <= port <= _PORT_MAX:
        hint = f"a port from 1 to {_PORT_MAX}: what is in front of it must know it"
        problems.error(values.place("port"), f"port: {port} is no port", code="out-of-range", hint=hint)
        return None
    host = (values.text("host") or "localhost").strip()
    known = {"localhost": "127.0.0.1", "0.0.0.0": None, "": None, "*": None, "::": "::"}  # noqa: S104 - as written
    return Listen(port=port, host=known.get(host, host), share=True, backlog=backlog)
