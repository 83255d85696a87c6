from __future__ import annotations

import pytest

from pm_native.model.calendar import (
    CalendarError,
    check_calendar,
    is_cron,
    never_elapses,
    translate_cron,
    translate_croner,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


def problem(function: Callable[[str], object], text: str) -> tuple[str, str, str]:
    """The message, the part of the text that the caret stands under, and the hint."""
    with pytest.raises(CalendarError) as caught:
        function(text)
    error = caught.value
    return error.message, text[error.position : error.position + error.length], error.hint


@pytest.mark.parametrize(
    ("cron", "lines"),
    [
        ("* * * * *", ["*-*-* *:*:00"]),
        ("0 3 * * *", ["*-*-* 03:00:00"]),
        ("  0\t3 * * * ", ["*-*-* 03:00:00"]),
        ("*/5 * * * *", ["*-*-* *:0/5:00"]),
        ("*/30 * * * *", ["*-*-* *:00,30:00"]),
        ("*/25 * * * *", ["*-*-* *:00,25,50:00"]),
        ("*/7 * * * *", ["*-*-* *:0..56/7:00"]),  # open, 0/7 would skip minutes after midnight
        ("*/90 * * * *", ["*-*-* *:00:00"]),
        ("0,15,30,45 * * * *", ["*-*-* *:0/15:00"]),
        ("0 2,10,18 * * *", ["*-*-* 02,10,18:00:00"]),
        ("0-30/10 * * * *", ["*-*-* *:0..30/10:00"]),
        ("*/15,7 * * * *", ["*-*-* *:0/15,07:00"]),
        (
            "0,1-53/10 * * * *",
            ["*-*-* *:00,1..51/10:00"],
        ),  # open, 1/10 would go on behind the 00 of the next hour
        ("0 9-17 * * 1-5", ["Mon..Fri *-*-* 09..17:00:00"]),
        ("0 0 * * 5-7", ["Fri..Sun *-*-* 00:00:00"]),
        ("0 0 * * 0", ["Sun *-*-* 00:00:00"]),
        ("0 0 * * 7", ["Sun *-*-* 00:00:00"]),
        ("0 0 * * sun,SAT", ["Sat,Sun *-*-* 00:00:00"]),
        ("0 0 * * */2", ["Tue,Thu,Sat,Sun *-*-* 00:00:00"]),
        ("0 0 * jan-mar MON", ["Mon *-01..03-* 00:00:00"]),
        ("0 0 1 */3 *", ["*-1/3-01 00:00:00"]),
        ("0 0 29 2 *", ["*-02-29 00:00:00"]),
        ("@hourly", ["*-*-* *:00:00"]),
        ("@daily", ["*-*-* 00:00:00"]),
        ("@midnight", ["*-*-* 00:00:00"]),
        ("@weekly", ["Sun *-*-* 00:00:00"]),
        ("@monthly", ["*-*-01 00:00:00"]),
        ("@yearly", ["*-01-01 00:00:00"]),
        (" @annually ", ["*-01-01 00:00:00"]),
    ],
)
def test_cron_becomes_the_short_form(cron: str, lines: list[str]) -> None:
    assert list(translate_cron(cron)) == lines


@pytest.mark.parametrize(
    ("cron", "lines"),
    [
        ("0 0 13 * 5", ["*-*-13 00:00:00", "Fri *-*-* 00:00:00"]),
        ("0 0 1-7 * 1", ["*-*-01..07 00:00:00", "Mon *-*-* 00:00:00"]),
        ("0 0 */2 * 1", ["Mon *-*-1..31/2 00:00:00"]),
        ("0 0 13 * */2", ["Tue,Thu,Sat,Sun *-*-13 00:00:00"]),
        ("0 0 5,* * 1", ["*-*-* 00:00:00"]),
        ("0 0 1-31 6 1", ["*-06-* 00:00:00"]),
        ("0 0 13 * 0-6", ["*-*-* 00:00:00"]),
    ],
)
def test_either_day_field_will_do_unless_one_begins_with_a_star(cron: str, lines: list[str]) -> None:
    assert list(translate_cron(cron)) == lines


FIVE = "minute, hour, day of the month, month, day of the week"


@pytest.mark.parametrize(
    ("cron", "message", "part", "hint"),
    [
        ("61 * * * *", "the minute is out of range: 61", "61", "from 0 to 59"),
        ("0 5,24 * * *", "the hour is out of range: 24", "24", "from 0 to 23"),
        ("0 0 0 * *", "the day of the month is out of range: 0", "0", "from 1 to 31"),
        ("0 0 1 foo *", "the month 'foo' is not understood", "foo", "from 1 to 12, or jan to dec"),
        (
            "0 0 * * 1,monday",
            "the day of the week 'monday' is not understood",
            "monday",
            "from 0 to 7, or sun to sat",
        ),
        ("1,,2 * * * *", "the minute '' is not understood", ",", "from 0 to 59"),
        ("0 0 L * *", "the day of the month 'L' is not understood", "L", "from 1 to 31"),
        ("0 22-2 * * *", "the range runs backwards", "22-2", "write 22-23,0-2"),
        ("0 0 * * fri-sun", "the range runs backwards", "fri-sun", "write 5-7"),
        ("*/0 * * * *", "a step cannot be 0", "*/0", "such as */5"),
        ("5/15 * * * *", "a step follows a range or '*'", "5/15", "write 5-59/15"),
        ("0 3 * *", "5 fields are expected, not 4", "0 3 * *", FIVE),
        (
            "0 0 3 * * *",
            "5 fields are expected, not 6",
            "0 0 3 * * *",
            f"{FIVE}; seconds take the OnCalendar= form, such as *:*:0/30",
        ),
        (
            "@fortnightly",
            "unknown nickname '@fortnightly'",
            "@fortnightly",
            "one of @hourly, @daily, @midnight, @weekly, @monthly, @yearly, @annually",
        ),
        (
            " @reboot",
            "@reboot names no time, and a schedule is made of times",
            "@reboot",
            'a process without a schedule is started at boot; kind = "task" runs it once',
        ),
    ],
)
def test_bad_cron_is_told_with_its_place(cron: str, message: str, part: str, hint: str) -> None:
    assert problem(translate_cron, cron) == (message, part, hint)


@pytest.mark.parametrize(
    ("croner", "line"),
    [
        ("0 0 1 * 1", "Mon *-*-01 00:00:00"),  # both must match, unlike cron
        ("*/5 * * * * *", "*-*-* *:*:0/5"),
        ("30 0 3 * * *", "*-*-* 03:00:30"),
        ("* * * * * *", "*-*-* *:*:*"),
        ("0 0 L * *", "*-*~01 00:00:00"),
        ("0 0 l FEB sun", "Sun *-02~01 00:00:00"),
        ("5/20 * * * *", "*-*-* *:5/20:00"),
        ("0 0 5/10 * *", "*-*-06,16,26 00:00:00"),  # counted from 0, as croner 4.1 does
        ("0 0 0/10 * *", "*-*-1..31/10 00:00:00"),
        ("0 9 * * 1-5", "Mon..Fri *-*-* 09:00:00"),
    ],
)
def test_pm2_schedule_keeps_the_meaning_that_croner_gives_it(croner: str, line: str) -> None:
    assert translate_croner(croner) == (line,)


@pytest.mark.parametrize(
    ("croner", "message", "part", "hint"),
    [
        ("@daily", "PM2 knows no nicknames such as @daily", "@daily", "five fields, such as 0 0 * * *"),
        (
            "0 12 * * ?",
            "'?' means the time at which PM2 started",
            "?",
            "write '*' for any value, or the value itself",
        ),
        ("*/61 * * * *", "PM2 refuses steps beyond 60 here", "*/61", "such as */5"),
        ("0 0 31/2 * *", "no day of the month is left: PM2 counts this step from 0", "31/2", "write 31"),
        ("0 0 * * 1#2", "the day of the week '1#2' is not understood", "1#2", "from 0 to 7, or sun to sat"),
        ("0 0 * *", "5 or 6 fields are expected, not 4", "0 0 * *", FIVE),
    ],
)
def test_bad_pm2_schedule_is_told_with_its_place(croner: str, message: str, part: str, hint: str) -> None:
    assert problem(translate_croner, croner) == (message, part, hint)


@pytest.mark.parametrize(
    "text", ["0 3 * * *", " 0  3 * * mon ", "*/5 * * * * *", "@daily", "@reboot", "a b c d e"]
)
def test_five_or_six_words_or_a_nickname_are_meant_as_cron(text: str) -> None:
    assert is_cron(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "daily",
        "@1395716396",
        "Mon, 2012-*-* 10:00 Europe/Paris",
        "*-*-* 03:00:00",
        "0 3 * *",
        "0 3 * * * sh x",
    ],
)
def test_oncalendar_is_never_taken_for_cron(text: str) -> None:
    assert not is_cron(text)


@pytest.mark.parametrize(
    "text",
    [
        "hourly",
        "Daily UTC",
        "weekly Pacific/Auckland",
        "Thu,Fri 2012-*-1,5 11:12:13",
        "Mon..Fri *-*-* 09:00:00",
        "Wed, 17:48",
        "*-02~03",
        "Mon *-05~07/1",
        "05:40:23.4200004/3.1700005",
        "12..14:10,20,30",
        "@1395716396",
        "*-*-* 10:00 Etc/GMT+5",
        "daily utc",
        "daily right/Europe/Berlin",
    ],
)
def test_valid_calendar_event_is_returned_unchanged(text: str) -> None:
    assert check_calendar(text) == text


EXAMPLES = 'such as "*-*-* 03:00:00", "Mon..Fri 09:00" or "hourly": see systemd.time(7)'


@pytest.mark.parametrize(
    ("text", "message", "part", "hint"),
    [
        ("", "a calendar event is expected", "", EXAMPLES),
        (" UTC", "a number or '*' is expected, not ' '", " ", EXAMPLES),
        ("dayly", "unknown weekday or word 'dayly'", "dayly", EXAMPLES),
        ("Mon,Tus 10:00", "unknown weekday or word 'Tus'", "Tus", EXAMPLES),
        (
            "Fri..Mon 10:00",
            "the range of weekdays runs backwards: a week begins with Monday",
            "Mon",
            EXAMPLES,
        ),
        ("Mon.. 10:00", "a weekday is expected, not ' '", " ", EXAMPLES),
        ("Mon/2 10:00", "a comma or space is expected, not '/'", "/", EXAMPLES),
        ("25:00", "the hour is out of range: 25", "25", "from 0 to 23"),
        ("*:0,60", "the minute is out of range: 60", "60", "from 0 to 59"),
        ("*:*:61.5", "the second is out of range: 61.5", "61.5", "from 0 to 59"),
        ("*-13-01", "the month is out of range: 13", "13", "from 1 to 12"),
        ("*-*~29", "the day is out of range: 29", "29", "from 1 to 28"),
        ("1969-01-01", "the year is out of range: 1969", "1969", "from 1970 to 2199"),
        ("17..9:00", "the range runs backwards", "17..9", "write 9..17, or two ranges"),
        ("*:30/30", "the step leads past the last minute: nothing is repeated", "30/30", "write 30"),
        ("*:0/0", "a step cannot be 0", "0", EXAMPLES),
        ("*:*/5", "'*' takes no step", "/", "a step follows the first value, such as 0/5"),
        ("*:*:1.5..2", "a range of seconds spans a second at least", "1.5..2", EXAMPLES),
        (
            "10",
            "':' of a time, such as 12:00, or '-' of a date, such as *-12-01, is expected at the end",
            "",
            EXAMPLES,
        ),
        ("*-*-* noon", "a number or '*' is expected, not 'n'", "n", EXAMPLES),
        ("*-*-* 10:00:00:00", "the end is expected, not ':'", ":", EXAMPLES),
        ("@soon", "a number of seconds is expected, and nothing after it", "soon", EXAMPLES),
        ("@9999999999", "the time is after the year 2199", "9999999999", EXAMPLES),
    ],
)
def test_bad_calendar_event_is_told_with_its_place(text: str, message: str, part: str, hint: str) -> None:
    assert problem(check_calendar, text) == (message, part, hint)


@pytest.mark.parametrize(
    "text",
    ["*-02-30", "Mon *-04,06-31 10:00", "2023-02-29", "Mon 2024-01-02", "Mon @1395716396", "Mon 2024-02~1"],
)
def test_day_that_does_not_exist_never_elapses(text: str) -> None:
    assert never_elapses(text)


@pytest.mark.parametrize(
    "text",
    [
        "daily",
        "*-02-29",
        "Mon *-02-29",
        "1970-01-01",
        "Tue @1395716396",
        "Thu 2024-02~1",
        "Mon *-*~7/1",
        "*-02~27..28",
    ],
)
def test_day_that_exists_at_some_time_elapses(text: str) -> None:
    assert not never_elapses(text)
