"""JSON as the wire has it: orjson where it is installed, else the standard library; both take and refuse the same."""

from __future__ import annotations

import json
import math
import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

# Arrays and objects within each other, in a body. Deeper ones are refused: parsers differ in what they bear.
DEPTH_MAX = 64
NO_BRACKET = ord("Z")  # "[" and "{" come after it, and what begins strings and numbers before


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _finite(text: str) -> float:
    value = float(text)
    if value in (math.inf, -math.inf):
        raise ValueError("a number that no double can hold")
    return value


def _whole(text: str) -> int:
    _finite(text)
    return int(text)


# The digits that a whole number can have, and be as large as a double; to look at each would be slow.
_LONG = re.compile(rb"[0-9]{309}")
_raw_decode = json.JSONDecoder(parse_constant=_no_constant, parse_float=_finite).raw_decode
_raw_decode_long = json.JSONDecoder(
    parse_constant=_no_constant, parse_float=_finite, parse_int=_whole
).raw_decode
_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode


def std_encode(value: object) -> bytes:
    """The value as JSON; ValueError or TypeError for what JSON cannot hold."""
    return _encode(value).encode()


def std_decode(data: bytes) -> object:
    """The value of one JSON text without space around it; ValueError where it is none."""
    text = data.decode()
    try:
        value, end = (_raw_decode_long if len(data) > 308 and _LONG.search(data) else _raw_decode)(text)
    except RecursionError as error:
        raise ValueError("nested too deep") from error
    if end != len(text):
        raise ValueError("more than one value")
    if b"\\u" in data:
        _encode(value).encode()  # UnicodeEncodeError for half a surrogate pair, which is no text
    return value


encode: Callable[[object], bytes]
decode: Callable[[bytes], object]
try:
    import orjson
except ImportError:
    encode, decode, NAME = std_encode, std_decode, "json"
else:
    encode, decode, NAME = orjson.dumps, orjson.loads, "orjson"


def use(name: str) -> None:
    """Make `json` (the standard library) or `orjson` the codec of what is imported after this: for benchmarks."""
    global encode, decode, NAME
    if name == "json":
        encode, decode, NAME = std_encode, std_decode, name
    elif name != NAME:
        raise ImportError(f"{name} is not installed")


def check(body: bytes) -> None:
    """ValueError where `body` is not exactly one JSON value of at most DEPTH_MAX levels."""
    value = decode(body)
    # Quick for what cannot be deep: a string or a number, then what has few brackets.
    if body[0] > NO_BRACKET and body.count(b"[") + body.count(b"{") > DEPTH_MAX and depth(value) > DEPTH_MAX:
        raise ValueError(f"nested deeper than {DEPTH_MAX}")


def depth(value: object) -> int:
    """How many arrays and objects lie within each other."""
    deepest = 0
    todo = [(value, 0)]
    while todo:
        item, level = todo.pop()
        children = item.values() if isinstance(item, dict) else item if isinstance(item, list) else None
        if children is not None:
            deepest = max(deepest, level + 1)
            todo.extend((child, level + 1) for child in children)
    return deepest
