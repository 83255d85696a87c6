"""Values to unit text and back, directive by directive, and what no unit file can hold."""

from __future__ import annotations

import pytest

from pm_native.unit import directive as d
from pm_native.unit.directive import Directive
from pm_native.unit.escape import Rendered, UnrepresentableError, parse_value, rendered, split_words
from pm_native.unit.file import CONFIGURATION_DIRECTORY, INSTANCE, Setting, Specifier

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pm_native.unit.file import Text

ONE_PER_KIND = (d.EXEC_START, d.ENVIRONMENT, d.AFTER, d.DESCRIPTION, d.RESTART)


@pytest.mark.parametrize(
    ("word", "text"),
    [
        ("/usr/bin/node", "/usr/bin/node"),
        ("--port=80,81:82@x+y", "--port=80,81:82@x+y"),
        ("", '""'),
        ("two words", '"two words"'),
        ("it's", '"it\'s"'),
        ('say "hi"', '"say \\"hi\\""'),
        ("back\\slash", '"back\\\\slash"'),
        ("100%", '"100%%"'),
        ("$HOME", '"$HOME"'),
        (";", '";"'),
        ("#no comment", '"#no comment"'),
        ("line\nend", '"line\\nend"'),
        ("tab\there", '"tab\\there"'),
        ("return\r", '"return\\r"'),
        ("bell\x07 escape\x1b delete\x7f", '"bell\\x07 escape\\x1b delete\\x7f"'),
        ("café → 日本", '"café → 日本"'),
        ("no-break\u00a0space", '"no-break\u00a0space"'),
        ("trailing\\", '"trailing\\\\"'),
        ((INSTANCE,), '"%i"'),
        (("web-", INSTANCE, " 100%"), '"web-%i 100%%"'),
    ],
)
def test_words_of_commands_and_environments(word: Text, text: str) -> None:
    assert rendered(Setting(d.EXEC_START, ("/bin/x", word), ":")) == f":/bin/x {text}"
    assert rendered(Setting(d.ENVIRONMENT, (word,))) == text
    assert parse_value(d.EXEC_START, f":/bin/x {text}") == (":", ("/bin/x", word))
    assert parse_value(d.ENVIRONMENT, text) == ("", (word,))


@pytest.mark.parametrize(
    ("directive", "words", "text"),
    [
        (d.AFTER, ("a.service", "b@1.service"), "a.service b@1.service"),
        (d.SLICE, ("a\\x2db-c.slice",), "a\\x2db-c.slice"),
        (d.AFTER, ("100%.service",), "100%%.service"),
        (d.AFTER, (("web@", INSTANCE, ".service"),), "web@%i.service"),
        (d.DESCRIPTION, ('100% of "café" \\ it',), '100%% of "café" \\ it'),
        (d.DESCRIPTION, (("web ", INSTANCE),), "web %i"),
        (d.WORKING_DIRECTORY, ("/srv/a b/$c",), "/srv/a b/$c"),
        (d.ENVIRONMENT_FILE, ((CONFIGURATION_DIRECTORY, "/a.env"),), "%E/a.env"),
        (d.RESTART, ("always",), "always"),
        (Directive("Service", "LoadCredential"), ("a:%d/b",), "a:%d/b"),
        (d.AFTER, (), ""),
        (d.DESCRIPTION, (), ""),
        (d.RESTART, (), ""),
        (d.EXEC_START, (), ""),
        (d.ENVIRONMENT, (), ""),
    ],
)
def test_names_texts_and_raw_values(directive: Directive, words: tuple[Text, ...], text: str) -> None:
    assert rendered(Setting(directive, words)) == text
    assert parse_value(directive, text) == ("", words)


@pytest.mark.parametrize("directive", ONE_PER_KIND, ids=lambda directive: directive.escape.value)
@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("a\0b", "NUL"),
        ("half \ud800 pair", "not valid Unicode: '\\ud800'"),
        ("x" * 1024 * 1024, "longer than the longest line that systemd reads (1 MiB)"),
        ("é" * 600 * 1024, "longer than the longest line that systemd reads (1 MiB)"),
    ],
    ids=["nul", "surrogate", "long", "long-in-utf-8"],
)
def test_what_no_directive_can_hold_is_refused(directive: Directive, value: str, reason: str) -> None:
    with pytest.raises(UnrepresentableError) as caught:
        rendered(Setting(directive, (value,)))
    if reason == "NUL" and directive not in {d.EXEC_START, d.ENVIRONMENT}:
        reason = "a control character ('\\x00') has no place here"
    elif reason == "NUL":
        reason = "no program can be given a NUL character"
    assert str(caught.value) == reason


@pytest.mark.parametrize("directive", [d.AFTER, d.DESCRIPTION, d.RESTART], ids=["names", "text", "raw"])
@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("two\nlines", "a control character ('\\n') has no place here"),
        ("bell\x07", "a control character ('\\x07') has no place here"),
        ("delete\x7f", "a control character ('\\x7f') has no place here"),
        (" before", "blanks at the ends would be lost"),
        ("after ", "blanks at the ends would be lost"),
        ("joins\\", "a backslash at the end would join the next line to it"),
    ],
)
def test_what_an_unquoted_line_cannot_hold_is_refused(directive: Directive, value: str, reason: str) -> None:
    with pytest.raises(UnrepresentableError) as caught:
        rendered(Setting(directive, (value,)))
    assert str(caught.value) == reason


@pytest.mark.parametrize("value", ["two words", "", "a\u0020b"])
def test_a_name_with_a_blank_is_refused(value: str) -> None:
    with pytest.raises(UnrepresentableError, match="a blank or nothing"):
        rendered(Setting(d.AFTER, (value,)))


def test_noncharacters_are_escaped_in_commands() -> None:
    """systemd drops a line with one of them as not UTF-8, and takes them as escapes."""
    command = ("/bin/x", "a\ufdd0b", "\uffff", "\U0010fffe")
    text = r'/bin/x "a\ufdd0b" "\uffff" "\U0010fffe"'
    assert rendered(Setting(d.EXEC_START, command)) == text
    assert parse_value(d.EXEC_START, text) == ("", command)


@pytest.mark.parametrize("directive", [d.ENVIRONMENT, d.AFTER, d.DESCRIPTION, d.RESTART])
def test_noncharacters_are_refused_elsewhere(directive: Directive) -> None:
    with pytest.raises(UnrepresentableError, match=r"^systemd takes no noncharacter here: U\+1FFFE$"):
        rendered(Setting(directive, ("a\U0001fffeb",)))


def test_blanks_are_those_that_systemd_knows() -> None:
    """systemd's WHITESPACE is four characters: all others are part of the value, at its ends too."""
    assert rendered(Setting(d.DESCRIPTION, ("\u00a0no-break\u2003",))) == "\u00a0no-break\u2003"
    assert split_words("a\u00a0b c\u2028d\te\rf") == ("a\u00a0b", "c\u2028d", "e", "f")
    assert parse_value(d.AFTER, "a\u00a0b c") == ("", ("a\u00a0b", "c"))


@pytest.mark.parametrize("program", ["-x", "@x", ":x", "+x", "!x", "|x", "", ("", INSTANCE)])
def test_a_program_that_would_read_as_a_prefix_is_refused(program: Text) -> None:
    with pytest.raises(UnrepresentableError, match=r"^a program cannot begin with|^a program has a name"):
        rendered(Setting(d.EXEC_START, (program, "y"), ":"))


def test_the_longest_line_that_systemd_reads_is_written() -> None:
    longest = 1024 * 1024 - len("Environment=") - 1
    assert len(rendered(Setting(d.ENVIRONMENT, ("x" * longest,)))) == longest
    with pytest.raises(UnrepresentableError):
        rendered(Setting(d.ENVIRONMENT, ("x" * (longest + 1),)))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a  b\tc", ("a", "b", "c")),
        ("'single \"quotes\"' x", ('single "quotes"', "x")),
        ("pre'mid dle'post", ("premid dlepost",)),
        (r"\x41\102\u00e9\U0001f600\s\t", ("ABé😀 \t",)),
        (r"\xc3\xa9 \303\251", ("é", "é")),
        (r"'\a\b\f\n\r\t\v\\\"\''", ("\a\b\f\n\r\t\v\\\"'",)),
        ("100%% %i", ("100%", (INSTANCE,))),
        ("%i%%%n", ((INSTANCE, "%", Specifier("n")),)),
        ("", ()),
        ("''", ("",)),
    ],
)
def test_words_are_split_as_systemd_does(text: str, words: tuple[Text, ...]) -> None:
    assert split_words(text) == words


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('"open', "a quote or escape that does not end: '\"open'"),
        ("open'", 'a quote or escape that does not end: "\'"'),
        ("end\\", "a quote or escape that does not end: '\\\\'"),
        (r"\z", r"not an escape that systemd knows: \z"),
        (r"\x4", r"not an escape that systemd knows: \x"),
        (r"\x00", r"not an escape that systemd knows: \x00"),
        (r"\400", r"not an escape that systemd knows: \400"),
        (r"\ud800", r"not an escape that systemd knows: \ud800"),
        (r"\U00110000", r"not an escape that systemd knows: \U00110000"),
        (r"\xff", "not valid UTF-8 after unquoting: '\\\\xff'"),
        ("50%", "not a specifier: '%'; a percent sign is written %%"),
        ("'50% off'", "not a specifier: '% '; a percent sign is written %%"),
        ("%é", "not a specifier: '%é'; a percent sign is written %%"),
    ],
)
def test_what_systemd_would_refuse_is_no_value(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        split_words(text)
    assert str(caught.value) == reason


def test_several_commands_in_one_line_are_not_one_command() -> None:
    """A bare ";" parts commands (systemd.service(5)); read as a word it would become an argument."""
    with pytest.raises(ValueError, match="several commands in one line"):
        parse_value(d.EXEC_START, "/bin/a ; /bin/b")
    assert parse_value(d.EXEC_START, r'/bin/a \; ";"') == ("", ("/bin/a", ";", ";"))


@pytest.mark.parametrize(
    ("text", "prefix"), [("-/bin/x", "-"), ("@/bin/x", "@"), (":-+/bin/x", ":-+"), ("!!/bin/x", "!!")]
)
def test_prefixes_of_commands_are_apart_from_the_program(text: str, prefix: str) -> None:
    assert parse_value(d.EXEC_START, text) == (prefix, ("/bin/x",))
    assert rendered(Setting(d.EXEC_START, ("/bin/x",), prefix)) == text


def test_escaped_text_is_of_a_type_of_its_own() -> None:
    assert type(rendered(Setting(d.RESTART, ("no",)))) is Rendered
