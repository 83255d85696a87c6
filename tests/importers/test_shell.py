"""Which lines of a Procfile need a shell, and what they take from the environment."""

from __future__ import annotations

import subprocess

import pytest

from pm_native.importers.shell import read_shell_line

SHELL = ("/bin/sh", "-c")


@pytest.mark.parametrize(
    ("line", "words", "is_direct"),
    [
        ("bin/web", ("bin/web",), True),
        ("gunicorn --log '%(h)s %(t)s' app", ("gunicorn", "--log", "%(h)s %(t)s", "app"), True),
        ("date +%Y", ("date", "+%Y"), True),
        ('a "b \\"c\\"" d\\ e', ("a", 'b "c"', "d e"), True),
        ("web.py first # a comment", ("web.py", "first"), True),
        ("a#b", ("a#b",), True),
        ("exec puma -C x", ("puma", "-C", "x"), True),
        ("npm start", ("npm", "start"), False),
        ("sh -c 'a && b'", ("sh", "-c", "a && b"), False),
        ("puma -p $PORT", (*SHELL, "exec puma -p $PORT"), True),
        ('puma -p "$PORT" # x', (*SHELL, 'exec puma -p "$PORT"'), True),
        ("A=1 B='2' puma", (*SHELL, "A=1 B='2' exec puma"), True),
        ("A=1 npm start", (*SHELL, "A=1 exec npm start"), False),
        ("exec puma $PORT", (*SHELL, "exec puma $PORT"), True),
        ("exec -a name puma", (*SHELL, "exec -a name puma"), True),
        ("cd a && b", (*SHELL, "cd a && b"), False),
        ("a | b", (*SHELL, "a | b"), False),
        ("a > log 2>&1", (*SHELL, "a > log 2>&1"), False),
        ("a >> log", (*SHELL, "exec a >> log"), True),
        ("cat *.txt", (*SHELL, "exec cat *.txt"), True),
        ("~/bin/a", (*SHELL, "~/bin/a"), False),
        ("$COMMAND", (*SHELL, "$COMMAND"), False),
        ("cd /srv", (*SHELL, "cd /srv"), False),
        ("A=1", (*SHELL, "A=1"), False),
        ("while true; do a; done", (*SHELL, "while true; do a; done"), False),
        ("# nothing", (*SHELL, "# nothing"), False),
    ],
)
def test_shell_is_there_only_where_it_is_needed(line: str, words: tuple[str, ...], is_direct: bool) -> None:  # noqa: FBT001 - the expectation
    found = read_shell_line(line)
    assert (found.words, found.is_direct, found.is_closed) == (words, is_direct, True)


@pytest.mark.parametrize(
    "line",
    [
        "printf '<%s>' a 'b c' \"d 'e'\" f\\ g",
        'printf "<%s>" "a\\"b" \'c"d\'',
        "printf '<%s>' a#b +%Y --x=y # c",
        "A=1 env",
    ],
)
def test_words_are_those_of_the_shell(line: str) -> None:
    by_shell = subprocess.run(
        ["/bin/sh", "-c", line], capture_output=True, check=True, env={"PATH": "/bin:/usr/bin"}
    )
    words = read_shell_line(line).words
    ours = subprocess.run(words, capture_output=True, check=True, env={"PATH": "/bin:/usr/bin"})
    assert sorted(ours.stdout.split(b"\n")) == sorted(by_shell.stdout.split(b"\n"))


@pytest.mark.parametrize("line", ["a 'b", 'a "b', 'a "b\\"', "a 'b\\'"[:-1]])
def test_open_quote_is_noticed(line: str) -> None:
    assert not read_shell_line(line).is_closed


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('a $A ${B} "$C" "x${D}y" ${E%/} $A', ("A", "B", "C", "D", "E")),
        ("a '$A' \\$B \"\\$C\" ${D:-1} ${E-1} ${F:?x} ${G:+x} $1 $$", ()),
        ("A=1 B=$C d $A", ("C",)),
        ("export A=1; echo $A $B", ("B",)),
        ("for i in 1; do read x; echo $i $x $y; done", ("y",)),
    ],
)
def test_variables_that_a_line_takes_from_outside(line: str, expected: tuple[str, ...]) -> None:
    assert read_shell_line(line).variables == expected
