"""Schedules against systemd-analyze, which needs no running systemd, and against a plain simulation of cron."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from pm_native.model.calendar import CalendarError, check_calendar, never_elapses, translate_cron

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

pytestmark = [
    pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="asks systemd-analyze"),
    pytest.mark.filterwarnings("ignore:Generating overly large repr"),  # it would hide what failed
]

# Not at midnight: it is the change of day and month that goes wrong.
START = datetime(2023, 12, 31, 22)  # noqa: DTZ001  # cron and systemd both run on UTC here
END = START.replace(year=2080)
FIRINGS = 50
# One process answers for many expressions, and shrinking lists of them would take minutes.
BATCHES = settings(max_examples=6, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])


def analyze(expressions: Sequence[str], *options: str) -> subprocess.CompletedProcess[str]:
    command = ["systemd-analyze", "calendar", *options, "--", *expressions]
    return subprocess.run(
        command, env={"TZ": "UTC", "LC_ALL": "C"}, capture_output=True, text=True, check=False
    )


def systemd_firings(lines: Sequence[str]) -> list[list[datetime]]:
    """When each line elapses from START on, FIRINGS times at most."""
    just_before = START - timedelta(seconds=1)
    result = analyze(lines, f"--iterations={FIRINGS}", f"--base-time={just_before} UTC")
    assert result.stderr == ""
    found = [
        re.findall(r"(?:elapse|#\d+): \w+ ([\d-]+ [\d:]+) UTC", part) for part in result.stdout.split("\n\n")
    ]
    assert len(found) == len(lines)
    return [[datetime.fromisoformat(time) for time in times] for times in found]


@dataclass(frozen=True)
class Field:
    text: str
    values: frozenset[int]


def fields(low: int, high: int, names: Sequence[str] = ()) -> st.SearchStrategy[Field]:
    """Texts of one cron field, each with what it means."""
    number = st.integers(low, high)
    step = st.integers(1, high + 1)

    def text(value: int) -> str:
        return names[value - low].upper() if value - low < len(names) and value % 2 else str(value)

    def item(kind: str, first: int, last: int, step: int) -> Field:
        first, last = min(first, last), max(first, last)
        return {
            "*": Field("*", frozenset(range(low, high + 1))),
            "*/n": Field(f"*/{step}", frozenset(range(low, high + 1, step))),
            "a": Field(text(first), frozenset({first})),
            "a-b": Field(f"{text(first)}-{text(last)}", frozenset(range(first, last + 1))),
            "a-b/n": Field(f"{text(first)}-{text(last)}/{step}", frozenset(range(first, last + 1, step))),
        }[kind]

    items = st.builds(
        item, st.sampled_from(["*", "*", "*/n", "a", "a", "a-b", "a-b/n"]), number, number, step
    )
    lists = st.lists(items, min_size=1, max_size=3)
    return (
        st.just(item("*", low, low, 1))
        | items
        | lists.map(
            lambda found: Field(
                ",".join(field.text for field in found),
                frozenset().union(*(field.values for field in found)),
            )
        )
    )


CRONS = st.tuples(
    fields(0, 59),
    fields(0, 23),
    fields(1, 31),
    fields(1, 12, "jan feb mar apr may jun jul aug sep oct nov dec".split()),  # noqa: SIM905
    fields(0, 7, "sun mon tue wed thu fri sat".split()),  # noqa: SIM905
)


def cron_firings(cron: tuple[Field, ...]) -> Iterator[datetime]:
    """crontab(5), minute by minute of each day that matches."""
    minutes, hours, days, months, weekdays = cron
    both = days.text.startswith("*") or weekdays.text.startswith("*")
    date = START.replace(hour=0)
    while date < END:
        in_days = date.day in days.values
        in_weekdays = not weekdays.values.isdisjoint({date.isoweekday(), date.isoweekday() % 7})
        if date.month in months.values and (in_days and in_weekdays if both else in_days or in_weekdays):
            for minute in range(24 * 60):
                if minute // 60 in hours.values and minute % 60 in minutes.values:
                    time = date + timedelta(minutes=minute)
                    if time >= START:
                        yield time
        date += timedelta(days=1)


def first_firings(cron: tuple[Field, ...]) -> list[datetime]:
    return list(islice(cron_firings(cron), FIRINGS))


@BATCHES
@given(st.lists(CRONS, min_size=40, max_size=40))
def test_translated_cron_elapses_at_the_minutes_of_cron(crons: list[tuple[Field, ...]]) -> None:
    texts = [" ".join(field.text for field in cron) for cron in crons]
    translated = [translate_cron(text) for text in texts]
    firings = iter(systemd_firings([line for lines in translated for line in lines]))
    for text, cron, lines in zip(texts, crons, translated, strict=True):
        elapsed = sorted({time for _ in lines for time in next(firings) if time < END})[:FIRINGS]
        expected = first_firings(cron)
        assert elapsed == expected, f"{text} became {lines}"


VALID = (
    """
minutely hourly daily monthly weekly yearly annually quarterly semiannually bi-annually
Sat,Thu,Mon..Wed,Sat..Sun|Mon,Sun 12-*-* 2,1:23|Wed *-1|Wed..Wed,Wed *-1|Wed, 17:48|Mon-Fri 10:00
Wed..Sat,Tue 12-10-15 1:2:3|*-*-7 0:0:0|10-15|monday *-12-* 17:00|Mon,Fri *-*-3,1,2 *:30:45
12,14,13,12:20,10,30|12..14:10,20,30|mon,fri *-1/2-1,3 *:30:45|03-05 08:05:40|08:05:40|Sat,Sun 12-05 08:05:40
2003-03-05 05:40|05:40:23.4200004/3.1700005|2003-02..04-05|2003-03-05 05:40 UTC|daily utc|weekly Europe/Berlin
*:2/3|*-02~03|Mon *-05~07/1|@1395716396|Mon @5 UTC|*-*-* *:*:0/5|*-*~1..5/2|*-*-* 0..20/5:59|*:*:1.5..3.5/0.5
*:*:59.99999949999|0..5/10:0|*-02~*|*~1|*-*-*|Mon  *-*-*   10:00|70-1-1|010:00|Mon,|@7258118399
""".strip()
    .replace("\n", "|")
    .replace("minutely ", "minutely|")
)
SEEDS = [
    seed for line in VALID.split("|") for seed in (line.split() if line.startswith("hourly") else [line])
]


@st.composite
def mutants(draw: st.DrawFn) -> str:
    text = draw(st.sampled_from(SEEDS))
    for _ in range(draw(st.integers(0, 2))):
        start = draw(st.integers(0, len(text)))
        end = draw(st.integers(start, min(start + 2, len(text))))
        text = text[:start] + draw(st.text("0123456789*-~:,./@MonTueSunUTC ", max_size=2)) + text[end:]
    return text


def is_valid(text: str) -> bool:
    try:
        return check_calendar(text) == text
    except CalendarError as error:
        # The caret stands in the text, or right behind it where something is missing.
        return not (0 <= error.position <= len(text) and error.length >= 1)


def decidable(text: str) -> bool:
    """Whether systemd judges the grammar alone: not whether a zone exists; it also reads "@ 5" and "@+5"."""
    zone = text.rpartition(" ")[2]
    known = not zone[:1].isalpha() or Path("/usr/share/zoneinfo", zone).is_file()
    return known and not re.search(r"@[^0-9]", text)


@BATCHES
@given(st.lists(mutants(), min_size=150, max_size=150))
def test_grammar_agrees_with_systemd_analyze(found: list[str]) -> None:
    texts = sorted({text for text in [*SEEDS, *found] if decidable(text) and text})
    refused = re.findall(
        r"^Failed to parse calendar specification '(.*)': ", analyze(texts).stderr, re.MULTILINE
    )
    assert [text for text in texts if not is_valid(text)] == refused


DATES = st.builds(
    "{}{}-{}{}".format,
    st.sampled_from(["", "Mon ", "Sat,Sun "]),
    st.sampled_from(["*", "2023", "2024", "2025..2027"]),
    st.sampled_from(["2", "02,04", "*", "6", "1/3"]),
    st.sampled_from(["-29", "-30", "-31", "-*", "-30,31", "~1", "~3..5", "~7/1", "~28", "-29..31/2"]),
)


@BATCHES
@given(st.lists(DATES, min_size=40, max_size=40))
def test_never_is_when_systemd_analyze_says_never(dates: list[str]) -> None:
    result = analyze(dates, "--base-time=1970-01-01 00:00:00 UTC")
    assert result.stderr == ""
    never = [part.endswith("Next elapse: never") for part in result.stdout.strip().split("\n\n")]
    assert [never_elapses(date) for date in dates] == never
