"""Schedules: OnCalendar= expressions are checked, cron expressions are translated into them.

Cron is Vixie cron as crontab(5) describes it, and apart from it the dialect of croner 4.1 that PM2 reads.
A translation fires at exactly the same times; where the clock is set forward or back, systemd's rules hold.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from pm_native.model.oncalendar import CalendarError, check_calendar, never_elapses

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = [
    "CalendarError",
    "check_calendar",
    "is_cron",
    "never_elapses",
    "translate_cron",
    "translate_croner",
]

_NICKNAMES = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
_WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_WORD = re.compile(r"\S+")
_ITEM = re.compile(r"(?:(?P<any>\*)|(?P<first>\w+)(?:-(?P<last>\w+))?)(?:/(?P<step>[0-9]+))?", re.ASCII)


@dataclass(frozen=True, slots=True)
class _Field:
    """What one field of a cron expression can hold."""

    name: str
    low: int
    high: int
    names: tuple[str, ...] = ()  # of low, low + 1, ...

    @property
    def allowed(self) -> str:
        return f"from {self.low} to {self.high}" + (
            f", or {self.names[0]} to {self.names[-1]}" if self.names else ""
        )


_SECOND = _Field("second", 0, 59)
_MINUTE = _Field("minute", 0, 59)
_HOUR = _Field("hour", 0, 23)
_DAY = _Field("day of the month", 1, 31)
_MONTH = _Field(
    "month", 1, 12, ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
)
_WEEKDAY = _Field(
    "day of the week", 0, 7, ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
)  # 7: Sunday, too
_FIELDS = (_SECOND, _MINUTE, _HOUR, _DAY, _MONTH, _WEEKDAY)


@dataclass(frozen=True, slots=True)
class _Word:
    """One field as it was written, and where."""

    text: str
    position: int
    field: _Field

    def fail(self, message: str, hint: str = "", part: tuple[int, int] | None = None) -> CalendarError:
        start, end = part or (0, len(self.text))
        return CalendarError(message, self.position + start, max(end - start, 1), hint or self.field.allowed)


def is_cron(text: str) -> bool:
    """Whether `text` is meant as cron: five or six words, or a nickname such as `@daily`.

    No OnCalendar= expression is either: it has four words at most (weekdays, date, time, time zone), and its "@" is
    followed by a number.
    """
    return len(text.split()) in {5, 6} or re.match(r"\s*@[A-Za-z]", text) is not None


def translate_cron(text: str) -> tuple[str, ...]:
    """The OnCalendar= lines that together fire at the minutes of a cron expression (crontab(5)).

    Two lines where cron means "this day of the month, or that day of the week". CalendarError if it is no cron.
    """
    nickname = text.strip()
    if nickname.startswith("@"):
        expression = _NICKNAMES.get(nickname)
        if expression is None:
            raise _unknown_nickname(text, nickname)
        return translate_cron(expression)
    words = _words(text, 5)
    minute, hour, day, month, weekday = (_ranges(word) for word in words)
    time = f"{_component(hour, _HOUR)}:{_component(minute, _MINUTE)}:00"
    month_text, day_text, weekday_text = _component(month, _MONTH), _component(day, _DAY), _weekdays(weekday)
    # Either field will do, but where one begins with a star, "*/2" included, both must match: crontab(5), NOTES.
    if words[2].text.startswith("*") or words[4].text.startswith("*"):
        return (f"{weekday_text}*-{month_text}-{day_text} {time}",)
    if day_text == "*" or not weekday_text:
        return (f"*-{month_text}-* {time}",)
    return (f"*-{month_text}-{day_text} {time}", f"{weekday_text}*-{month_text}-* {time}")


def translate_croner(text: str) -> tuple[str, ...]:
    """The OnCalendar= lines of a cron expression as PM2 reads it: with croner 4.1. CalendarError if it is none.

    Unlike cron: an optional field of seconds comes first, `L` is the last day of the month, a step may follow a
    single value, day of the month and day of the week must both match, and there are no nicknames.
    """
    if text.strip().startswith("@"):
        raise _whole(text, "PM2 knows no nicknames such as @daily", "five fields, such as 0 0 * * *")
    words = _words(text, 5, 6)
    for word in words:
        if "?" in word.text:
            # It stands for the moment at which PM2 read its config, which no compiler can know.
            raise word.fail(
                "'?' means the time at which PM2 started", "write '*' for any value, or the value itself"
            )
    last_day = words[-3].text.upper() == "L"
    chains = [[] if last_day and word is words[-3] else _ranges(word, croner=True) for word in words]
    second, minute, hour, day, month, weekday = [[range(1)], *chains][-6:]
    date = f"*-{_component(month, _MONTH)}" + ("~01" if last_day else f"-{_component(day, _DAY)}")
    time = f"{_component(hour, _HOUR)}:{_component(minute, _MINUTE)}:{_component(second, _SECOND)}"
    return (f"{_weekdays(weekday)}{date} {time}",)


def _whole(text: str, message: str, hint: str) -> CalendarError:
    stripped = text.strip()
    return CalendarError(message, text.find(stripped), max(len(stripped), 1), hint)


def _unknown_nickname(text: str, nickname: str) -> CalendarError:
    if nickname == "@reboot":
        hint = 'a process without a schedule is started at boot; kind = "task" runs it once'
        return _whole(text, "@reboot names no time, and a schedule is made of times", hint)
    return _whole(text, f"unknown nickname '{nickname}'", f"one of {', '.join(_NICKNAMES)}")


def _words(text: str, *counts: int) -> list[_Word]:
    found = [(match[0], match.start()) for match in _WORD.finditer(text)]
    if len(found) not in counts:
        fields = "minute, hour, day of the month, month, day of the week"
        if 6 not in counts and len(found) == 6:
            fields += "; seconds take the OnCalendar= form, such as *:*:0/30"
        wanted = " or ".join(str(count) for count in counts)
        raise _whole(text, f"{wanted} fields are expected, not {len(found)}", fields)
    return [
        _Word(word, position, field)
        for (word, position), field in zip(found, _FIELDS[len(_FIELDS) - len(found) :], strict=True)
    ]


def _ranges(word: _Word, *, croner: bool = False) -> list[range]:
    """What a field holds, item by item."""
    ranges: list[range] = []
    start = 0
    for item in word.text.split(","):
        part = (start, start + len(item))
        match = _ITEM.fullmatch(item)
        if match is None:
            raise word.fail(f"the {word.field.name} '{item}' is not understood", "", part)
        ranges.append(_range(word, match, part, croner=croner))
        start = part[1] + 1
    return ranges


def _range(word: _Word, match: re.Match[str], part: tuple[int, int], *, croner: bool) -> range:
    field = word.field
    step = int(match["step"][:9]) if match["step"] else 1
    size = field.high + 1 - min(field.low, 1)
    if not step or (croner and step > size):
        message = "a step cannot be 0" if not step else f"PM2 refuses steps beyond {size} here"
        raise word.fail(message, "such as */5", part)
    if match["any"]:
        return range(field.low, field.high + 1, step)
    counts_from_0 = croner and match["step"] and not match["last"]
    first = _value(word, match["first"], part, 0 if counts_from_0 else field.low)
    if match["last"]:
        last = _value(word, match["last"], part, field.low)
        if last < first:
            raise word.fail("the range runs backwards", _forwards(match, field, first, last), part)
        return range(first, last + 1, step)
    if not match["step"]:
        return range(first, first + 1)
    if not counts_from_0:
        # crontab(5) knows steps after a range and after "*" only; what cron does with 5/15 depends on its maker.
        raise word.fail("a step follows a range or '*'", f"write {match['first']}-{field.high}/{step}", part)
    # croner counts these steps from 0 also where days and months count from 1: 5/10 is the 6th, 16th, 26th.
    first += field.low
    if first > field.high:
        raise word.fail(f"no {field.name} is left: PM2 counts this step from 0", f"write {field.high}", part)
    return range(first, field.high + 1, step)


def _forwards(match: re.Match[str], field: _Field, first: int, last: int) -> str:
    if field is _WEEKDAY and last == 0:
        return f"write {first}-7" + (f"/{match['step']}" if match["step"] else "")
    return "" if match["step"] else f"write {match['first']}-{field.high},{field.low}-{match['last']}"


def _value(word: _Word, text: str, part: tuple[int, int], low: int) -> int:
    field = word.field
    if text.isdecimal():
        value = int(text[:9])
        if low <= value <= field.high:
            return value
        raise word.fail(f"the {field.name} is out of range: {text}", "", part)
    if text.lower() in field.names:
        return field.low + field.names.index(text.lower())
    raise word.fail(f"the {field.name} '{text}' is not understood", "", part)


def _component(ranges: list[range], field: _Field) -> str:
    """The shortest text that means these values and no other; the plainer one where two are as short."""
    values = sorted({value for values in ranges for value in values})
    if len(values) == field.high - field.low + 1:
        return "*"
    candidates = [list(_runs(values)), sorted(ranges, key=lambda values: values[0])]
    if len(values) > 3 or (len(values) > 2 and any(part.step > 1 for part in ranges)):
        candidates.append([range(values[0], values[-1] + 1, values[1] - values[0])])
    texts = [
        ",".join(_range_text(part, field, values[0]) for part in candidate)
        for candidate in candidates
        if sorted({value for part in candidate for value in part}) == values
    ]
    return min(texts, key=len)


def _runs(values: Iterable[int]) -> Iterator[range]:
    run: range | None = None
    for value in values:
        if run is not None and value != run.stop:
            yield run
            run = None
        run = range(value if run is None else run.start, value + 1)
    if run is not None:
        yield run


def _range_text(values: range, field: _Field, smallest: int) -> str:
    if len(values) <= 2:
        return ",".join(f"{value:02}" for value in values)
    if values.step == 1:
        return f"{values[0]:02}..{values[-1]:02}"
    # An open step that does not come round evenly makes systemd (up to 258: systemd issue 40260) step over the end of
    # the hour, day or month and skip the first values of the next: 0/7 minutes after 23:56 goes on at 00:07, and 0,1/10
    # after 23:51 at 00:01, since the step is all that reaches over the end.
    even = (field.high - field.low + 1) % values.step == 0 and values[-1] + values.step > field.high
    return (
        f"{values[0]}/{values.step}"
        if even and values[0] == smallest
        else f"{values[0]}..{values[-1]}/{values.step}"
    )


def _weekdays(ranges: list[range]) -> str:
    """The weekdays and the space after them; "" where any day will do."""
    days = sorted({(day - 1) % 7 for values in ranges for day in values})
    if len(days) == len(_WEEKDAYS):
        return ""
    texts = []
    for run in _runs(days):
        names = [_WEEKDAYS[day] for day in run]
        texts.append(f"{names[0]}..{names[-1]}" if len(names) > 2 else ",".join(names))
    return ",".join(texts) + " "
