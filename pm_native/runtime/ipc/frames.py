"""Frames: one JSON object each, ended by a newline or a NUL; how they are cut out of a stream, and made.

The usual frame has its body last and its id before that: `{HEAD,"id":ID,"body":BODY}`. Heads repeat: who reads a frame
looks up what it is by the bytes of its head, and passes the bytes of its body on, without making one of the other.
"""

from __future__ import annotations

from pm_native.runtime.ipc import codec
from pm_native.runtime.ipc.errors import BadFrame, TooBig

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

VERSION = 1
FRAME_MAX = 1024 * 1024
ID, BODY, END = b',"id":', b',"body":', b"}\n"
ID_SIZE, BODY_SIZE = len(ID), len(BODY)
CLOSE = ord("}")
ID_MAX = 64
READ_SIZE = 64 * 1024
# A head longer than this is not kept: who keeps them has a bound on memory.
HEAD_MAX = 384


class Splitter:
    """Cuts a stream into frames. The first terminator, newline or NUL, is that of the connection: `terminator`."""

    __slots__ = ("_limit", "_partial", "terminator")

    def __init__(self, limit: int = FRAME_MAX) -> None:
        self._limit = limit
        self._partial = bytearray()
        self.terminator = b""

    @property
    def waiting(self) -> int:
        """The bytes of a frame whose end has not come yet."""
        return len(self._partial)

    def feed(self, data: bytes) -> list[bytes]:
        """The frames that `data` ends, without their terminators. TooBig for a longer one than is taken."""
        mark = self.terminator or self._find_terminator(data)
        if mark == b"\0":
            # Between values JSON may have newlines, which would end the frame for who reads lines.
            data = data.replace(b"\n", b" ")
        if not mark or mark not in data:
            self._partial += data
            if len(self._partial) > self._limit:
                raise TooBig(f"a frame is at most {self._limit} bytes")
            return []
        if self._partial:
            data = bytes(self._partial) + data
            self._partial.clear()
        frames = data.split(mark)
        self._partial += frames.pop()
        # Only a frame that began before this read can be longer than a read and yet be whole.
        if len(data) > self._limit and max(map(len, frames)) > self._limit:
            raise TooBig(f"a frame is at most {self._limit} bytes")
        return frames

    def _find_terminator(self, data: bytes) -> bytes:
        newline, nul = data.find(b"\n"), data.find(b"\0")
        if newline < 0 and nul < 0:
            return b""
        self.terminator = b"\n" if nul < 0 or 0 <= newline < nul else b"\0"
        return self.terminator


def cut(raw: bytes) -> tuple[bytes, bytes, bytes] | None:
    """Head, id and body of a frame in the usual order; the id is b"" where there is none. None: another order.

    What is cut here is a guess until its head is known to be JSON and its body is one value: a key within a string or
    a nested object cannot pass both.
    """
    at = raw.find(BODY)
    if (
        at < 0 or raw[-1] != 125 or b"\n" in raw
    ):  # "}"; a frame that ends in NUL may have newlines between its values
        return None
    place = raw.rfind(ID, 0, at)
    if place < 0:
        return raw[:at], b"", raw[at + BODY_SIZE : -1]
    return raw[:place], raw[place + ID_SIZE : at], raw[at + BODY_SIZE : -1]


def fields_of(raw: bytes) -> dict[str, object]:
    """The object of a frame, by a full parse; BadFrame where it is none."""
    try:
        value = codec.decode(raw.strip())
    except ValueError as error:
        raise BadFrame(f"not JSON: {error}") from error
    if not isinstance(value, dict):
        raise BadFrame("a frame is a JSON object")
    return value


def head_of(fields: Mapping[str, object]) -> bytes:
    """The head of frames with these fields: their JSON without the closing brace."""
    return codec.encode(dict(fields))[:-1]


def frame(fields: Mapping[str, object]) -> bytes:
    """A frame of these fields, in their order."""
    return codec.encode(dict(fields)) + b"\n"


def id_of(value: object) -> bytes:
    """An id as it is sent back: a number or a short string. BadFrame for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise BadFrame("an id is a whole number or a string")
    text = codec.encode(value)
    if len(text) > ID_MAX:
        raise BadFrame(f"an id is at most {ID_MAX} bytes")
    return text


def read_little(transport: object) -> None:
    """Have a transport of asyncio's own make room for 64 KiB: it does so for each read, and the usual 256 KiB are slow."""
    if hasattr(transport, "max_size"):  # uvloop's has none, and needs none
        transport.max_size = READ_SIZE
