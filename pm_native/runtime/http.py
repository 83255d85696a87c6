"""The http probe: one request over a plain socket, and as much of the answer as is needed."""

from __future__ import annotations

from time import monotonic

from pm_native.runtime.attempt import strerror
from pm_native.runtime.connect import LOCALHOST, Connection

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ssl

    from pm_native.runtime.arguments import Probe
    from pm_native.runtime.attempt import Done, Program
    from pm_native.runtime.loop import Loop

HEAD_MAX = 64 * 1024
BODY_MAX = 64 * 1024
_GOOD = ((200, 399),)
_NO_BODY = (204, 304)


class NotHttpError(Exception):
    """An answer that is none, in words."""


class Answer:
    """An HTTP answer, read piece by piece; only the beginning of the body is kept."""

    def __init__(self, method: str = "GET") -> None:
        self.status = 0
        self.body = b""
        self.is_complete = False
        self._has_body = method != "HEAD"
        self._buffer = b""
        self._left: int | None = None  # bytes of the body to come; None: until the end of the connection
        self._is_chunked = False

    def feed(self, data: bytes) -> None:
        """Take what has come; b"" is the end. NotHttpError where it is no answer."""
        if not data:
            if not self.status:
                raise NotHttpError("closed without an answer")
            if self._left is not None or self._is_chunked:
                raise NotHttpError(f"{self.status}, closed within the body")
            self.is_complete = True
            return
        self._buffer += data
        while not self.status and not self.is_complete:
            if not self._take_head():
                return
        if self.is_complete:
            return
        if self._is_chunked:
            while self._take_chunk():
                pass
        else:
            self._take_body()
        if len(self.body) >= BODY_MAX:
            self.is_complete = True

    def _take_head(self) -> bool:
        """Take the head of an answer, if it is there whole."""
        if not b"HTTP/".startswith(self._buffer[:5]) and not self._buffer.startswith(b"HTTP/"):
            raise NotHttpError("not an answer of HTTP")
        end, separator = self._buffer.find(b"\r\n\r\n"), 4
        if end < 0:
            end, separator = self._buffer.find(b"\n\n"), 2
        if end < 0:
            if len(self._buffer) > HEAD_MAX:
                raise NotHttpError("a head that does not end")
            return False
        lines = self._buffer[:end].decode("latin-1").split("\n")
        self._buffer = self._buffer[end + separator :]
        status = _status(lines[0])
        if 100 <= status < 200 and status != 101:  # to be followed by another one
            return True
        self.status = status
        self._read_fields(lines[1:])
        if not self._has_body or status in _NO_BODY or status == 101 or self._left == 0:
            self.is_complete = True
        return True

    def _read_fields(self, lines: list[str]) -> None:
        for line in lines:
            name, _, value = line.partition(":")
            name, value = name.strip().lower(), value.strip()
            if name == "content-length":
                if not (value.isascii() and value.isdigit()) or len(value) > 18:
                    raise NotHttpError(f"{self.status}, a length that is none")
                self._left = int(value)
            elif name == "transfer-encoding" and value.lower().endswith("chunked"):
                self._is_chunked = True
        if self._is_chunked:
            self._left = None

    def _take_body(self) -> None:
        take = len(self._buffer) if self._left is None else min(self._left, len(self._buffer))
        self._keep(self._buffer[:take])
        self._buffer = b""
        if self._left is not None:
            self._left -= take
            self.is_complete = self._left == 0

    def _take_chunk(self) -> bool:
        """Take some of the current chunk, or the line that begins one; whether there may be more."""
        if self._left:
            take = min(self._left, len(self._buffer))
            self._keep(self._buffer[:take])
            self._buffer = self._buffer[take:]
            self._left -= take
            return self._left == 0
        line, newline, rest = self._buffer.partition(b"\n")
        if not newline:
            if len(line) > 1024:
                raise NotHttpError(f"{self.status}, a chunk that is none")
            return False
        self._buffer = rest
        word = line.split(b";")[0].strip()
        if not word:  # the end of the line that ends a chunk
            return True
        try:
            size = int(word, 16) if word.isalnum() and len(word) < 16 else -1
        except ValueError:
            size = -1
        if size < 0:
            raise NotHttpError(f"{self.status}, a chunk that is none")
        if size == 0:  # trailers may follow: nobody needs them
            self.is_complete = True
            return False
        self._left = size
        return bool(self._buffer)

    def _keep(self, data: bytes) -> None:
        self.body += data[: BODY_MAX - len(self.body)]


def _status(line: str) -> int:
    version, _, rest = line.strip().partition(" ")
    code = rest.strip()[:3]
    if not version.startswith("HTTP/") or not (code.isascii() and code.isdigit() and len(code) == 3):
        raise NotHttpError("not an answer of HTTP")
    return int(code)


def request(probe: Probe, path: str, host: str) -> bytes:
    """The request as it is sent."""
    given = {name.lower() for name, _ in probe.headers}
    fields = [("Host", host), ("User-Agent", "pm-native"), ("Accept", "*/*"), ("Connection", "close")]
    if probe.method not in {"GET", "HEAD", "OPTIONS", "TRACE"}:
        fields.append(("Content-Length", "0"))
    lines = [f"{probe.method} {path} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in fields if name.lower() not in given]
    lines += [f"{name}: {value}" for name, value in probe.headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("utf-8", "surrogateescape")


def split_url(url: str) -> tuple[bool, str, int, str]:
    """Whether `URL` wants TLS, its host, its port and its path; ("", 0) where it is but a path."""
    if url.startswith("/"):
        return False, "", 0, url
    scheme, _, rest = url.partition("://")
    netloc, slash, path = rest.partition("/")
    is_tls = scheme == "https"
    host, _, port = netloc.rpartition(":") if netloc.rpartition(":")[2].isdigit() else (netloc, "", "")
    return is_tls, host.strip("[]"), int(port or (443 if is_tls else 80)), f"{slash or '/'}{path}"


class HttpProber:
    """A request, sent anew for each attempt, and its answer."""

    def __init__(self, probe: Probe, program: Program, loop: Loop, done: Done) -> None:
        self._probe = probe
        self._done = done
        is_tls, host, port, path = split_url(probe.target)
        self._host = host or LOCALHOST
        port = port or program.port
        name = f"[{self._host}]" if ":" in self._host else self._host
        self._request = request(probe, path, name if port in {0, 80, 443} else f"{name}:{port}")
        self._is_tls = is_tls or probe.tls
        address = probe.socket or (self._host, port)
        self._connection = Connection(address, program.place, loop, done, "http", keep=self._start)
        self._begun = 0.0

    def begin(self) -> None:
        """Begin to connect; it may fail at once."""
        self._begun = monotonic()
        self._connection.begin()

    def _start(self) -> None:
        """Begin to speak, now that it is connected."""
        self._answer = Answer(self._probe.method)
        self._to_send = self._request
        self._tls: ssl.SSLObject | None = None
        if self._is_tls:
            try:
                self._begin_tls()
            except OSError as error:
                self._end(False, f"http {strerror(error)}")
                return
        self._send()

    def _begin_tls(self) -> None:
        import ssl  # noqa: PLC0415 - 15 ms and 4 MiB, for https alone

        context = ssl.create_default_context(cafile=self._probe.ca or None)
        if not self._probe.verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=self._host)
        self._plain = self._to_send
        self._to_send = b""

    def _send(self) -> None:
        """Write what there is to write, then wait for the answer."""
        channel = self._connection.socket
        if channel is None:
            return
        try:
            if self._tls is not None:
                self._step_tls()
            if self._to_send:
                self._to_send = self._to_send[channel.send(self._to_send) :]
        except BlockingIOError:
            pass
        except OSError as error:  # the errors of ssl are such ones too
            self._end(False, f"http {strerror(error)}")
            return
        if self._to_send:
            self._connection.watch_write(self._send)
        else:
            self._connection.watch_read(self._receive)

    def _step_tls(self) -> None:
        """Go on with the handshake, then hand the request over; what is to be written is in `_to_send`."""
        import ssl  # noqa: PLC0415 - as above

        if self._tls is None:
            return
        try:
            self._tls.do_handshake()
            if self._plain:
                self._tls.write(self._plain)
                self._plain = b""
        except ssl.SSLWantReadError:
            pass
        finally:
            self._to_send += self._outgoing.read()

    def _receive(self) -> None:
        channel = self._connection.socket
        if channel is None:
            return
        try:
            data = channel.recv(16384)
            if self._tls is not None:
                self._receive_tls(data)
            else:
                self._answer.feed(data)
        except BlockingIOError:
            return
        except NotHttpError as error:
            self._end(False, f"http {error}")
            return
        except OSError as error:
            self._end(False, f"http {strerror(error)}")
            return
        if self._answer.is_complete:
            self._judge()
        elif self._to_send:
            self._send()

    def _receive_tls(self, data: bytes) -> None:
        import ssl  # noqa: PLC0415 - as above

        if self._tls is None:
            return
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()
        self._step_tls()
        while not self._plain and not self._answer.is_complete:
            try:
                plain = self._tls.read(16384)
            except ssl.SSLWantReadError:
                return
            except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
                plain = b""
            self._answer.feed(plain)

    def _judge(self) -> None:
        status = self._answer.status
        if not any(low <= status <= high for low, high in self._probe.status or _GOOD):
            self._end(False, f"http {status}")
        elif self._probe.body and not self._has_pattern():
            self._end(False, f"http {status} without {self._probe.body!r} in the body")
        else:
            self._end(True, f"http {status} in {(monotonic() - self._begun) * 1000:.0f} ms")

    def _has_pattern(self) -> bool:
        import re  # noqa: PLC0415 - only where the body is looked at

        text = self._answer.body.decode(errors="replace")
        return re.search(self._probe.body, text, re.MULTILINE) is not None

    def _end(self, passed: bool, words: str) -> None:  # noqa: FBT001 - as `Done` has it
        self._connection.cancel()
        self._done(passed, words)

    def cancel(self) -> None:
        """End it without a result."""
        self._connection.cancel()
