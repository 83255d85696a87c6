"""The grammar of OnCalendar= (systemd.time(7), "Calendar Events"): what is valid, and which part is not.

Nothing here asks systemd: the compiler may run where there is none.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import NoReturn

_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
WEEKDAYS = {name: day for day, full in enumerate(_DAYS) for name in (full, full[:3])}
SHORTHANDS = frozenset(
    {"minutely", "hourly", "daily", "weekly", "monthly", "quarterly"}
    | {"yearly", "annually", "anually", "semiannually", "semi-annually", "biannually", "bi-annually"}
)
FIRST_YEAR, LAST_YEAR = 1970, 2199  # the years in which systemd looks for the next elapse

_EPOCH_END = 7_258_118_400  # 2200-01-01 00:00:00 UTC
_SECOND = 1_000_000
_NUMBER_MAX = 2**31 - 1
_PARTS_MAX = 241  # systemd refuses longer lists in one component
_NUMBER = re.compile(r"[0-9]+")
_WORD = re.compile(r"[A-Za-z]+")
# Every zone of the IANA database begins with a capital, so a lower-case word is a mistake and no zone.
_ZONE = re.compile(r"(?i:utc)|(?:(?:posix|right)/)?[A-Z][A-Za-z0-9_+-]*(?:/[A-Za-z0-9_+-]+)*")
_HINT = 'such as "*-*-* 03:00:00", "Mon..Fri 09:00" or "hourly": see systemd.time(7)'


class CalendarError(ValueError):
    """A schedule that is none; `position` and `length` say which part of the text is wrong."""

    def __init__(self, message: str, position: int = 0, length: int = 1, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.position = position
        self.length = length
        self.hint = hint


@dataclass(frozen=True, slots=True)
class _Part:
    """`start`; with a `step` also each step on from there, up to `stop` or to the end of what the field can be."""

    start: int
    stop: int | None
    step: int
    position: int
    length: int


_Chain = tuple[_Part, ...] | None  # None: any value


@dataclass(frozen=True, slots=True, kw_only=True)
class _Field:
    name: str
    low: int
    high: int
    unit: int = 1
    from_end: bool = False

    def checked(self, chain: _Chain) -> _Chain:
        """The chain as systemd simplifies it; CalendarError where a value is out of range."""
        return None if chain is None else tuple(self._checked(part) for part in chain)

    def _checked(self, part: _Part) -> _Part:
        start, stop, step = part.start, part.stop, part.step
        if stop is not None and stop > start:
            stop -= (stop - start) % step
        if stop == start:
            stop, step = None, 0
        for value in (start, *([] if stop is None else [stop])):
            if not self.low <= value <= self.high:
                message = f"the {self.name} is out of range: {self._text(value)}"
                hint = f"from {self._text(self.low)} to {self._text(self.high - self.high % self.unit)}"
                raise CalendarError(message, part.position, part.length, hint)
        if stop is not None and stop < start:
            hint = f"write {self._text(stop)}..{self._text(start)}, or two ranges"
            raise CalendarError("the range runs backwards", part.position, part.length, hint)
        room = start - self.low if self.from_end else self.high - start
        if stop is None and step > room:
            message = f"the step leads past the last {self.name}: nothing is repeated"
            raise CalendarError(message, part.position, part.length, f"write {self._text(start)}")
        return _Part(start, stop, step, part.position, part.length)

    def _text(self, value: int) -> str:
        return f"{value / self.unit:.15g}"


_YEAR = _Field(name="year", low=FIRST_YEAR, high=LAST_YEAR)
_MONTH = _Field(name="month", low=1, high=12)
_DAY = _Field(name="day", low=1, high=31)
_DAY_FROM_END = _Field(name="day", low=1, high=28, from_end=True)
_HOUR = _Field(name="hour", low=0, high=23)
_MINUTE = _Field(name="minute", low=0, high=59)
_MICROSECOND = _Field(name="second", low=0, high=60 * _SECOND - 1, unit=_SECOND)


@dataclass(slots=True)
class _Date:
    weekdays: frozenset[int] = frozenset()  # 0 is Monday; none: any day
    years: _Chain = None
    months: _Chain = None
    days: _Chain = None
    from_end: bool = False

    def elapses(self) -> bool:
        """Whether any day from 1970 to 2199 is one of these."""
        from datetime import date, timedelta  # noqa: PLC0415

        for year in _values(self.years, FIRST_YEAR, LAST_YEAR):
            for month in _values(self.months, 1, 12):
                following = date(year + month // 12, month % 12 + 1, 1)
                length = (following - timedelta(days=1)).day
                weekdays = {(following.weekday() - 1 - length + day) % 7 for day in self._in_month(length)}
                if weekdays and (not self.weekdays or weekdays & self.weekdays):
                    return True
        return False

    def _in_month(self, length: int) -> Iterable[int]:
        if not self.from_end or self.days is None:
            return _values(self.days, 1, length)
        found: list[int] = []
        for part in self.days:
            first, last = length + 1 - part.start, length
            if part.stop is not None:
                first, last = length + 1 - part.stop, first
            found += range(first, (last if part.step else first) + 1, part.step or 1)
        return found


def _values(chain: _Chain, low: int, high: int) -> Iterable[int]:
    if chain is None:
        return range(low, high + 1)
    found: set[int] = set()
    for part in chain:
        stop = part.stop if part.stop is not None else high if part.step else part.start
        found.update(range(part.start, min(stop, high) + 1, part.step or 1))
    return sorted(found)


class _Reader:
    """Reads an expression, without its time zone, from left to right."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.position = 0

    def peek(self) -> str:
        return self.text[self.position : self.position + 1]

    def fail(self, message: str, length: int = 1, hint: str = _HINT) -> NoReturn:
        raise CalendarError(message, self.position, length, hint)

    def expected(self, what: str) -> NoReturn:
        found = self.peek()
        self.fail(f"{what} is expected, not '{found}'" if found else f"{what} is expected at the end")

    def take(self, text: str) -> bool:
        found = self.text.startswith(text, self.position)
        self.position += len(text) if found else 0
        return found

    def spaces(self) -> None:
        while self.take(" "):
            pass

    def read(self) -> _Date:
        weekdays = self.weekdays()
        if self.take("@"):
            date = self.epoch()
        else:
            date = self.date()
            self.time()
        date.weekdays = weekdays
        return date

    def weekdays(self) -> frozenset[int]:
        days: set[int] = set()
        first: int | None = None
        while self.peek().isalpha() or days:
            word = _WORD.match(self.text, self.position)
            if word is None:
                self.expected("a weekday")
            day = WEEKDAYS.get(word[0].lower())
            if day is None:
                self.fail(f"unknown weekday or word '{word[0]}'", len(word[0]))
            if first is not None and first > day:
                self.fail("the range of weekdays runs backwards: a week begins with Monday", len(word[0]))
            days.update(range(day if first is None else first, day + 1))
            self.position = word.end()
            if first is None and (self.take("..") or self.take("-")):
                first = day
                continue
            first = None
            if not self.take(",") or self.peek() in {"", " "}:  # a comma at the end is valid
                break
        if days:
            if self.peek() not in {"", " "}:
                self.expected("a comma or space")
            self.spaces()
        return frozenset(days)

    def epoch(self) -> _Date:
        start, digits = self.position, _NUMBER.match(self.text, self.position)
        if digits is None or digits.end() < len(self.text):
            self.fail("a number of seconds is expected, and nothing after it", len(self.text) - start or 1)
        if len(digits[0].lstrip("0")) > 10 or int(digits[0]) >= _EPOCH_END:
            self.fail(f"the time is after the year {LAST_YEAR}", len(digits[0]))
        self.position = digits.end()
        year, month, day = ((_Part(value, None, 0, start, 0),) for value in time.gmtime(int(digits[0]))[:3])
        return _Date(years=year, months=month, days=day)

    def date(self) -> _Date:
        start = self.position
        if not self.peek():
            return _Date()
        chains = [self.chain()]
        if self.peek() in {"", ":"}:
            self.position = start  # it is a time
            return _Date()
        from_end = False
        while len(chains) < 3 and not from_end and self.peek() in {"-", "~"}:
            from_end = self.peek() == "~"
            self.position += 1
            chains.append(self.chain())
        if len(chains) == 1:
            self.expected("'-' of a date or ':' of a time")
        if self.peek() not in {"", " "}:
            self.expected("a space after the date")
        self.spaces()
        year, month, day = [None, *chains][-3:]
        field = _DAY_FROM_END if from_end else _DAY
        return _Date(
            years=_YEAR.checked(_full_years(year)),
            months=_MONTH.checked(month),
            days=field.checked(day),
            from_end=from_end,
        )

    def time(self) -> None:
        if not self.peek():
            return
        hours = self.chain()
        if not self.take(":"):
            self.expected("':' of a time, such as 12:00, or '-' of a date, such as *-12-01,")
        minutes = self.chain()
        seconds = self.chain(unit=_SECOND) if self.take(":") else None
        if self.peek():
            self.expected("the end")
        _HOUR.checked(hours)
        _MINUTE.checked(minutes)
        _MICROSECOND.checked(seconds)

    def chain(self, unit: int = 1) -> _Chain:
        if self.take("*"):
            if self.peek() == "/":
                self.fail("'*' takes no step", 1, "a step follows the first value, such as 0/5")
            return None
        parts = [self.part(unit)]
        while self.take(","):
            parts.append(self.part(unit))
            if len(parts) > _PARTS_MAX:
                self.fail(f"more than {_PARTS_MAX} values in a list")
        return tuple(parts)

    def part(self, unit: int) -> _Part:
        position = self.position
        start, stop, step = self.number(unit), None, 0
        if self.take(".."):
            stop, step = self.number(unit), unit
        if self.take("/"):
            at = self.position
            step = self.number(unit)
            if not step:
                self.position = at
                self.fail("a step cannot be 0")
        elif unit > 1 and stop is not None and start + step > stop:
            self.position, length = position, self.position - position
            self.fail("a range of seconds spans a second at least", length)
        if self.peek() not in {"", " ", ",", "-", "~", ":"}:
            self.expected("a separator")
        return _Part(start, stop, step, position, self.position - position)

    def number(self, unit: int = 1) -> int:
        match = _NUMBER.match(self.text, self.position)
        if match is None:
            self.expected("a number or '*'")
        value = int(match[0]) * unit if len(match[0]) < 20 else _NUMBER_MAX + 1
        end = match.end()
        if unit > 1 and self.text[end : end + 1] == "." and self.text[end + 1 : end + 2] != ".":
            fraction = _NUMBER.match(self.text, end + 1)
            if fraction is None:
                self.position = end + 1
                self.expected("a digit")
            value += int(fraction[0][:6].ljust(6, "0")) + (fraction[0][6:7] >= "5")
            end = fraction.end()
        if value > _NUMBER_MAX:
            self.fail("the number is too large", len(match[0]))
        self.position = end
        return value


def _full_years(chain: _Chain) -> _Chain:
    """12 is 2012, and 89 is 1989."""

    def full(year: int) -> int:
        return year + (2000 if year < 70 else 1900 if year < 100 else 0)

    if chain is None:
        return None
    return tuple(
        _Part(
            full(part.start),
            None if part.stop is None else full(part.stop),
            part.step,
            part.position,
            part.length,
        )
        for part in chain
    )


def _parse(text: str) -> _Date:
    head, _, word = text.rpartition(" ")
    zone = head and _ZONE.fullmatch(word) and word.lower() not in SHORTHANDS | WEEKDAYS.keys()
    expression = head if zone else text
    if not expression.strip():
        raise CalendarError("a calendar event is expected", 0, max(len(text), 1), _HINT)
    return _Date() if expression.lower() in SHORTHANDS else _Reader(expression).read()


def check_calendar(text: str) -> str:
    """`text` itself, if it is valid in OnCalendar=; CalendarError with the place where it is not.

    Whether the named time zone exists is left to the host that runs the timer.
    """
    _parse(text)
    return text


def never_elapses(text: str) -> bool:
    """Whether `text` is valid and yet names no day that exists, such as 30 February; CalendarError if not valid."""
    return not _parse(text).elapses()
