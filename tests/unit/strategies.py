"""Unit files for hypothesis: every kind of directive, with all that a value of its kind can be."""

from __future__ import annotations

import string

from hypothesis import strategies as st

from pm_native.unit.directive import COMPILED, Directive, Escape
from pm_native.unit.file import Setting, Specifier, UnitFile

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pm_native.unit.file import Text

BLANKS = " \t\n\r"
# Characters that mean something to some reader of units, more often than they would come by themselves.
TRICKY = "\"'\\%$;#=@-: \t\n\r\x01\x1b\x7f\u00a0\u2028é日😀%ni"
NONCHARACTERS = "\ufdd0\ufdef\ufffe\uffff\U0001fffe\U0010ffff"
ANYTHING = st.one_of(
    st.sampled_from(TRICKY + NONCHARACTERS),
    st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"),
)
CHARACTERS = ANYTHING.filter(lambda char: not (0xFDD0 <= ord(char) < 0xFDF0 or ord(char) & 0xFFFE == 0xFFFE))
SPECIFIERS = st.sampled_from(string.ascii_letters).map(Specifier)


def texts(characters: st.SearchStrategy[str], *, min_size: int = 0) -> st.SearchStrategy[str]:
    return st.text(characters, min_size=min_size, max_size=12)


def joined(parts: list[str | Specifier]) -> Text:
    """The one way to write these parts: no empty text, no two texts side by side, a lone text as itself."""
    found: list[str | Specifier] = []
    for part in parts:
        if isinstance(part, str) and found and isinstance(found[-1], str):
            found[-1] += part
        elif part != "":
            found.append(part)
    if len(found) > 1 or (found and isinstance(found[0], Specifier)):
        return tuple(found)
    return str(found[0]) if found else ""


def with_specifiers(plain: st.SearchStrategy[str]) -> st.SearchStrategy[Text]:
    return st.lists(st.one_of(plain, SPECIFIERS), max_size=4).map(joined)


WORDS = st.one_of(texts(CHARACTERS), with_specifiers(texts(CHARACTERS)))
PROGRAMS = texts(ANYTHING).map(lambda text: f"/bin/{text}")
ARGUMENTS = st.one_of(texts(ANYTHING), WORDS)
COMMANDS = st.tuples(PROGRAMS, st.lists(ARGUMENTS, max_size=4)).map(lambda pair: (pair[0], *pair[1]))

_IN_LINES = CHARACTERS.filter(lambda char: char.isprintable() or ord(char) > 0x7F)
_IN_NAMES = _IN_LINES.filter(lambda char: char not in BLANKS)


def is_whole_line(text: Text) -> bool:
    """Whether nothing of the text is lost at its ends."""
    ends = [text[0], text[-1]] if text else []
    first, last = (str(end) if isinstance(end, str) else "x" for end in ends) if ends else ("", "")
    return bool(text) and first[0] not in BLANKS and last[-1] not in BLANKS and last[-1] != "\\"


LINES = with_specifiers(texts(_IN_LINES)).filter(is_whole_line)
NAMES = with_specifiers(texts(_IN_NAMES)).filter(is_whole_line)
PATHS = with_specifiers(texts(_IN_LINES.filter(lambda char: char not in "\"'\\"))).filter(is_whole_line)
RAW_LINES = texts(_IN_LINES, min_size=1).filter(is_whole_line)

PASSED_THROUGH = (
    Directive("Service", "LimitCORE"),
    Directive("Service", "ExecStartPost"),
    Directive("Unit", "X-Own"),
)


def values(directive: Directive) -> st.SearchStrategy[tuple[Text, ...]]:
    """What `parse` can give for a setting of this directive, the empty value that resets it included."""
    match directive.escape:
        case Escape.EXEC:
            return st.one_of(st.just(()), COMMANDS)
        case Escape.WORDS:
            return st.lists(WORDS, max_size=4).map(tuple)
        case Escape.PATHS:
            return st.lists(PATHS, max_size=4).map(tuple)
        case Escape.NAMES:
            return st.lists(NAMES, max_size=4).map(tuple)
        case Escape.TEXT:
            return st.one_of(st.just(()), LINES.map(lambda line: (line,)))
        case Escape.RAW:
            return st.one_of(st.just(()), RAW_LINES.map(lambda line: (line,)))


@st.composite
def settings(draw: st.DrawFn, section: str) -> Setting:
    known = [item for item in (*COMPILED.values(), *PASSED_THROUGH) if item.section == section]
    directive = draw(st.sampled_from(known))
    words = draw(values(directive))
    prefix = (
        draw(st.sampled_from(["", ":", "-", "@", "+", "!!", ":-"]))
        if directive.escape is Escape.EXEC
        else ""
    )
    return Setting(directive, words, prefix if words else "")


SECTIONS = ("Unit", "Service", "Slice", "Timer", "Install")


@st.composite
def unit_files(draw: st.DrawFn) -> UnitFile:
    header = draw(st.lists(RAW_LINES, max_size=2).map(tuple))
    sections = draw(st.lists(st.sampled_from(SECTIONS), unique=True))
    return UnitFile(
        header,
        tuple((section, tuple(draw(st.lists(settings(section), max_size=5)))) for section in sections),
    )
