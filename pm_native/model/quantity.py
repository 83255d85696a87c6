"""Durations, sizes, percentages and signals in systemd's notation: text to numbers, and back in canonical form.

What is accepted is what systemd accepts (systemd.time(7), systemd.resource-control(5), systemd.kill(5)), so that
a canonical text means to systemd exactly what it means here.
"""

from __future__ import annotations

import re

INFINITY = 2**64 - 1  # "infinity" among durations and sizes, as systemd keeps it
_LONG_MAX = 2**63 - 1  # the largest number that systemd reads in a time span

_USEC = {
    ("us", "usec", "µs", "μs"): 1,  # the micro sign, and the Greek letter
    ("ms", "msec"): 1_000,
    ("s", "sec", "second", "seconds"): 1_000_000,
    ("m", "min", "minute", "minutes"): 60_000_000,
    ("h", "hr", "hour", "hours"): 3_600_000_000,
    ("d", "day", "days"): 86_400_000_000,
    ("w", "week", "weeks"): 604_800_000_000,
    ("M", "month", "months"): 2_629_800_000_000,  # 30.44 days
    ("y", "year", "years"): 31_557_600_000_000,  # 365.25 days
}
_DURATION_UNITS = {name: usec for names, usec in _USEC.items() for name in names}
_DURATION_HINT = "the units are us, ms, s, min, h, d, w, M or month, y; a number without one is seconds"
_PRINTED_UNITS = {unit: _DURATION_UNITS[unit] for unit in ("d", "h", "min", "s", "ms", "us")}
_DURATION = re.compile(
    r"(?P<whole>\+?[0-9]+)?(?P<fraction>\.[0-9]*)?(?P<gap>[ \t\r\n]*)(?P<unit>[A-Za-zµμ]*)[ \t\r\n]*"
)

_SIZE_UNITS = {unit: 1 << 10 * power for power, unit in enumerate("BKMGTPE")}
_SIZE_ORDER = "EPTGMKB."  # how the parts of a size follow each other; "." for a bare number
_SIZE_HINT = "the units are K, M, G, T, P and E, to the base of 1024; a number without one is bytes"
_SIZE = re.compile(r"[ \t\r\n]*(?P<whole>[0-9]+)(?:\.(?P<fraction>[0-9]*))?[ \t\r\n]*(?P<unit>[A-Za-z%]*)")

# No leading zeros: systemd takes them for octal.
_PERCENT = re.compile(r"(0|[1-9][0-9]*)(?:\.([0-9]{1,2}))?%")
_PERMYRIAD_MAX = 2**31 - 1

# signal(7), the numbers of x86, arm and all newer architectures: from a table, not from the host that compiles.
_SIGNAL_NAMES = (
    "HUP INT QUIT ILL TRAP ABRT BUS FPE KILL USR1 SEGV USR2 PIPE ALRM TERM STKFLT CHLD CONT STOP TSTP TTIN TTOU "
    "URG XCPU XFSZ VTALRM PROF WINCH IO PWR SYS"
)
_SIGNALS = tuple(f"SIG{name}" for name in _SIGNAL_NAMES.split())
_SIGNAL_ALIASES = {"SIGIOT": "SIGABRT", "SIGCLD": "SIGCHLD", "SIGPOLL": "SIGIO"}
_RTMIN, _RTMAX = 34, 64  # as the C library numbers them: it keeps the first two for itself
_REALTIME = re.compile(r"SIGRT(?:MIN(?:\+([0-9]{1,2}))?|MAX(?:-([0-9]{1,2}))?)")


class QuantityError(ValueError):
    """A value that is no quantity of its kind; `position` and `length` say which part of the text is wrong."""

    def __init__(self, message: str, position: int = 0, length: int = 1, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.position = position
        self.length = length
        self.hint = hint


def parse_duration(text: str) -> int:
    """The microseconds of a time span (systemd.time(7)); `INFINITY` for "infinity". QuantityError where it is none.

    Bare numbers are seconds, parts add up, and what is finer than a microsecond is cut off, all as in systemd.
    """
    stripped = text.strip(" \t\r\n")
    if stripped == "infinity":
        return INFINITY
    if not stripped:
        raise QuantityError("a duration is expected", 0, max(len(text), 1), "such as 30s, 1min 30s or 500ms")
    total = 0
    position = text.index(stripped)
    while position < len(text):
        match = _DURATION.match(text, position)
        if match is None or not (match["whole"] or match["fraction"]):
            raise _bad_number(text, position)
        total += _duration_part(text, match)
        if total >= INFINITY:
            raise QuantityError(
                "the duration is too long", match.start(), len(match[0].rstrip()), 'write "infinity"'
            )
        position = match.end()
    return total


def parse_period(text: str) -> int:
    """As `parse_duration`, for what comes to an end: a year at most."""
    usec = parse_duration(text)
    if usec > _USEC[("y", "year", "years")]:
        raise QuantityError("the duration is too long", 0, max(len(text), 1), "a year at most")
    return usec


def _number(digits: str) -> int:
    # Python refuses to read thousands of digits; nothing here has use for more than 20.
    return int(digits) if len(digits) <= 40 else 10**40


def _duration_part(text: str, match: re.Match[str]) -> int:
    whole, fraction, unit = _number(match["whole"] or "0"), match["fraction"], match["unit"]
    if fraction == ".":
        raise QuantityError("digits are expected after the decimal point", match.end("fraction") - 1)
    if not unit and not match["gap"] and match.end() < len(text):
        raise _bad_number(text, match.end())
    if unit and unit not in _DURATION_UNITS:
        raise QuantityError(f"unknown unit '{unit}'", match.start("unit"), len(unit), _DURATION_HINT)
    if whole > _LONG_MAX:
        raise QuantityError(
            "the number is too large", match.start("whole"), len(match["whole"]), 'write "infinity"'
        )
    factor = _DURATION_UNITS[unit or "s"]
    usec = whole * factor
    for digit in (fraction or "")[1:]:  # systemd cuts off at each digit, which shows in tenths of a month
        factor //= 10
        usec += int(digit) * factor
    return usec


def _bad_number(text: str, position: int) -> QuantityError:
    found = text[position]
    if found == "-":
        return QuantityError("a duration cannot be negative", position)
    hint = "the decimal point is '.'" if found == "," else "such as 30s, 1min 30s or 500ms"
    return QuantityError(f"a number is expected, not '{found}'", position, 1, hint)


def format_duration(usec: int) -> str:
    """The canonical time span, such as `1min 30s`; `parse_duration` and systemd read the same value back."""
    if usec >= INFINITY:
        return "infinity"
    parts = []
    for unit, factor in _PRINTED_UNITS.items():
        count, usec = divmod(usec, factor)
        if count:
            parts.append(f"{count}{unit}")
    return " ".join(parts) or "0"


def parse_size(text: str) -> int:
    """The bytes of a size such as `512M` or `1.5G`; `INFINITY` for "infinity". QuantityError where it is none.

    Suffixes are to the base of 1024; several parts, largest first, add up; parts of a byte are cut off.
    """
    end = len(text.rstrip(" \t\r\n"))
    if text[:end].lstrip(" \t\r\n") == "infinity":
        return INFINITY
    total, position, last = 0, 0, ""
    while not position or position < end:
        match = _SIZE.match(text, position, end)
        if match is None:
            raise _bad_size(text, position)
        start, length = match.start("whole"), match.end() - match.start("whole")
        factor = _size_factor(match)
        if position and _SIZE_ORDER.find(match["unit"] or ".") <= _SIZE_ORDER.find(last or "."):
            raise QuantityError(
                "the parts of a size go from the largest unit to the smallest", start, length
            )
        digits = (match["fraction"] or "")[:40]
        total += _number(match["whole"]) * factor + int(digits or "0") * factor // int(10 ** len(digits))
        if total >= INFINITY:
            raise QuantityError("the size is too large", start, length, 'write "infinity"')
        position, last = match.end(), match["unit"]
    return total


def _size_factor(match: re.Match[str]) -> int:
    unit = match["unit"]
    factor = _SIZE_UNITS.get(unit or "B")
    if factor is not None:
        return factor
    if unit == "%":
        raise QuantityError(
            "a size is expected, not a percentage", match.start("whole"), len(match[0].strip()), _SIZE_HINT
        )
    nearest = re.fullmatch(r"(?i)([BKMGTPE])(?:i?B?)", unit)
    hint = (
        f"write {match.string[match.start('whole') : match.start('unit')].strip()}{unit[0].upper()}"
        if nearest
        else ""
    )
    raise QuantityError(f"unknown unit '{unit}'", match.start("unit"), len(unit), hint or _SIZE_HINT)


def _bad_size(text: str, position: int) -> QuantityError:
    rest = text[position:]
    position += len(rest) - len(rest.lstrip(" \t\r\n"))
    if position >= len(text):
        return QuantityError("a size is expected", 0, max(len(text), 1), "such as 512M or 1.5G")
    if text[position] == "-":
        return QuantityError("a size cannot be negative", position)
    hint = "the decimal point is '.'" if text[position] == "," else "such as 512M or 1.5G"
    return QuantityError(f"a number is expected, not '{text[position]}'", position, 1, hint)


def format_size(size: int) -> str:
    """The canonical size: whole, in the largest unit that divides it, such as `1536M`."""
    if size >= INFINITY:
        return "infinity"
    for unit, factor in reversed(_SIZE_UNITS.items()):
        if size and factor > 1 and size % factor == 0:
            return f"{size // factor}{unit}"
    return str(size)


def parse_percent(text: str) -> int:
    """Hundredths of a percent, exactly as systemd keeps them: `150%` is 15000. QuantityError where it is no percentage."""
    match = _PERCENT.fullmatch(text)
    if match is None:
        number = _PERCENT.fullmatch(f"{text}%")
        hint = f"write {text}%" if number else "such as 80%, 150% or 12.5%: at most two decimals"
        raise QuantityError("a percentage is expected", 0, max(len(text), 1), hint)
    permyriad = _number(match[1]) * 100 + int((match[2] or "").ljust(2, "0"))
    if permyriad > _PERMYRIAD_MAX:
        raise QuantityError("the percentage is too large", 0, len(text))
    return permyriad


def parse_share(text: str) -> int:
    """As `parse_percent`, for a part of a whole: 100% at most."""
    permyriad = parse_percent(text)
    if permyriad > 10_000:
        raise QuantityError("more than the whole", 0, len(text), "100% at most")
    return permyriad


def format_percent(permyriad: int) -> str:
    """The canonical percentage of so many hundredths of a percent: `150%`, `12.5%`."""
    whole, part = divmod(permyriad, 100)
    return f"{whole}.{part:02}".rstrip("0").rstrip(".") + "%"


def parse_signal(text: str | int) -> str:
    """The canonical name of a signal: SIGTERM for `SIGTERM`, `TERM`, `term` and 15. QuantityError where it is none.

    Real-time signals count from SIGRTMIN, which systemd and every C library place the same: SIGRTMAX is SIGRTMIN+30.
    """
    word = str(text)
    name = word.upper()
    if not (name.isascii() and name.isdigit()):
        name = name if name.startswith("SIG") else f"SIG{name}"
        name = _SIGNAL_ALIASES.get(name, name)
        if name in _SIGNALS:
            return name
    number = _realtime(name) if name.startswith("SIG") else _number(name)
    if 1 <= number <= len(_SIGNALS):
        return _SIGNALS[number - 1]
    if _RTMIN <= number <= _RTMAX:
        return f"SIGRTMIN+{number - _RTMIN}" if number > _RTMIN else "SIGRTMIN"
    hint = "a name such as SIGTERM, SIGINT or SIGRTMIN+3, or a number"
    raise QuantityError(f"unknown signal '{word}'", 0, max(len(word), 1), hint)


def _realtime(name: str) -> int:
    match = _REALTIME.fullmatch(name)
    if match is None:
        return 0
    number = _RTMAX - int(match[2] or 0) if name.startswith("SIGRTMAX") else _RTMIN + int(match[1] or 0)
    return number if number >= _RTMIN else 0
