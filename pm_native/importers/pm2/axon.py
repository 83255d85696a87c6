"""Calls to PM2's daemon over its socket: axon-rpc on AMP frames.

A message is a byte (version 1 in the high half, the count of its parts in the low half), then each part as a length of
four bytes and a payload that begins with `s:` (text) or `j:` (JSON).
"""

from __future__ import annotations

import json
import socket
import time

from pm_native.importers.running import TIMEOUT_SEC, RunningManagerError

_VERSION = 1
_ANSWER_MAX = 64 << 20


def encode_message(*parts: object) -> bytes:
    """The frame of a message: texts as texts, all else as JSON."""
    frame = bytearray([_VERSION << 4 | len(parts)])
    for part in parts:
        payload = f"s:{part}" if isinstance(part, str) else f"j:{json.dumps(part)}"
        data = payload.encode()
        frame += len(data).to_bytes(4, "big") + data
    return bytes(frame)


def decode_message(data: bytes) -> tuple[list[object], int] | None:
    """The parts of the first message in `data` and its length; None where there is not all of it yet.

    ValueError for what is no such message.
    """
    if not data:
        return None
    if data[0] >> 4 != _VERSION:
        raise ValueError(f"version {data[0] >> 4} of AMP")
    parts: list[object] = []
    at = 1
    for _ in range(data[0] & 0xF):
        if len(data) < at + 4:
            return None
        length = int.from_bytes(data[at : at + 4], "big")
        if length > _ANSWER_MAX:
            raise ValueError(f"a part of {length} bytes")
        at += 4
        if len(data) < at + length:
            return None
        payload = data[at : at + length]
        at += length
        kind, value = payload[:2], payload[2:]
        parts.append(json.loads(value) if kind == b"j:" else value.decode() if kind == b"s:" else payload)
    return parts, at


def call(path: str, method: str, *arguments: object, timeout_sec: float = TIMEOUT_SEC) -> object:
    """What a method of the daemon behind the socket at `path` answers; RunningManagerError where it does not."""
    request = encode_message({"type": "call", "method": method, "args": list(arguments)}, "1:1")
    deadline = time.monotonic() + timeout_sec
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(timeout_sec)
            connection.connect(path)
            connection.sendall(request)
            return _answer(connection, method, deadline)
    except TimeoutError as error:
        raise RunningManagerError(f"PM2 did not answer to {method} within {timeout_sec:g} s") from error
    except OSError as error:
        hint = "is it up, and yours? `pm2 ls`; PM2_HOME says where its files are"
        raise RunningManagerError(
            f"PM2 cannot be spoken to over {path}: {error.strerror}", hint=hint
        ) from error
    except (ValueError, RecursionError) as error:
        raise RunningManagerError(f"what answers on {path} is no PM2: {error}") from error


def _answer(connection: socket.socket, method: str, deadline: float) -> object:
    received = bytearray()
    while (message := decode_message(bytes(received))) is None:
        connection.settimeout(max(deadline - time.monotonic(), 0.001))
        data = connection.recv(1 << 20)
        if not data:
            raise RunningManagerError(f"PM2 closed the connection without an answer to {method}")
        received += data
        if len(received) > _ANSWER_MAX:
            raise RunningManagerError(f"PM2 answers to {method} with more than {_ANSWER_MAX >> 20} MiB")
    told = message[0][0] if message[0] else None
    if not isinstance(told, dict):
        raise RunningManagerError(f"what answers to {method} is no PM2: an answer without arguments")
    if "error" in told:
        raise RunningManagerError(f"PM2 refuses {method}: {told['error']}")
    arguments = told.get("args")
    return arguments[0] if isinstance(arguments, list) and arguments else None
