"""YAML texts to nodes: PyYAML's events (libyaml's where there is one), composed with places and bounds here.

PyYAML's own composer recurses without a bound, lets a key be defined twice, and copies what aliases name.
"""

from __future__ import annotations

import re

from pm_native.syntax.node import Node
from pm_native.syntax.places import (
    BOM,
    MAX_DEPTH,
    SURROGATE,
    Places,
    StopParsingError,
    add_control_character,
    add_surrogate,
    add_too_deep,
    has_surrogate,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from yaml import Event, YAMLError

    from pm_native.errors import Diagnostics, Source, Span
    from pm_native.syntax.node import Scalar

MAX_ALIASED = 100_000  # the values that aliases may add to those that are written

_CONTROL = re.compile("[^\t\n\r -~\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_PROPERTIES = re.compile(r"(?:[&!]\S*\s+)+")
_NOT_CLOSED = "this quote is never closed"
_BEGINS = "{begins}"  # in a hint: where the list or table begins
_TAG = "tag:yaml.org,2002:"
_SCALARS = {
    "bool": "construct_yaml_bool",
    "int": "construct_yaml_int",
    "float": "construct_yaml_float",
    "timestamp": "construct_yaml_timestamp",
}


def parse_yaml(source: Source, problems: Diagnostics, *, tags: frozenset[str] = frozenset()) -> Node | None:
    """The tree of a YAML 1.1 text of one document; None after adding an error. An empty text is null.

    Of the tags that begin with one "!" those in `tags` are kept in the nodes, all others are errors.

    Keys are texts as they are written (`on:` is "on", `1:` is "1"). What an alias or a merge key brings in
    has the place where it is written, at the anchor.
    """
    documents = _documents(source, problems, tags, at_most=1)
    if documents is None:
        return None
    return documents[0] if documents else Node(None, source.whole())


def parse_yaml_documents(
    source: Source, problems: Diagnostics, *, tags: frozenset[str] = frozenset()
) -> tuple[Node, ...] | None:
    """The trees of all documents of a YAML 1.1 text, each as `parse_yaml` reads it; None after adding an error."""
    return _documents(source, problems, tags)


def _documents(
    source: Source, problems: Diagnostics, tags: frozenset[str], *, at_most: int | None = None
) -> tuple[Node, ...] | None:
    places = Places(source)
    if has_surrogate(places, problems):
        return None
    control = _CONTROL.search(source.text)
    if control:
        hint = f'write it as an escape in double quotes: "\\u{ord(control[0]):04x}"'
        add_control_character(problems, places.span(*control.span()), control[0], hint)
        return None
    composer = _Composer(places, problems, tags)
    try:
        documents = tuple(composer.documents(at_most))
    except StopParsingError:
        return None
    return None if composer.failed else documents


class _Anchored:
    """What an anchor names: the node, how many values it stands for, the text if it is a scalar."""

    __slots__ = ("node", "size", "text")

    def __init__(self, node: Node, size: int, text: str | None) -> None:
        self.node = node
        self.size = size
        self.text = text


class _Composer:
    """Makes nodes of the events of one text."""

    def __init__(self, places: Places, problems: Diagnostics, tags: frozenset[str]) -> None:
        import yaml  # noqa: PLC0415 - not every config is YAML

        self.yaml = yaml
        self.places = places
        self.problems = problems
        self.tags = tags
        self.failed = False
        self.resolver = yaml.resolver.Resolver()
        self.constructor = yaml.constructor.SafeConstructor()
        self._shift = 1 if places.text.startswith(BOM) else 0
        self._events = self._read()
        self._anchors: dict[str, _Anchored | None] = {}  # None while it is being read
        self._values = 0
        self._aliased = 0
        self._end = 0  # where the last token ended that belongs to a value

    def _read(self) -> Iterator[Event]:
        loader = getattr(self.yaml, "CSafeLoader", self.yaml.SafeLoader)
        try:
            yield from self.yaml.parse(self.places.text[self._shift :], Loader=loader)
        except self.yaml.YAMLError as error:
            raise self._syntax(error) from None
        except (ValueError, OverflowError):  # PyYAML's own scanner, at "\U00110000"
            message = "an escape in this file is no Unicode character"
            raise self._stopped(self.places.source.whole(), message, "yaml-syntax") from None

    def documents(self, at_most: int | None) -> Iterator[Node]:
        """The documents of the text, no more than so many."""
        count = 0
        for event in self._events:
            if isinstance(event, self.yaml.DocumentStartEvent):
                if count == at_most:
                    hint = "split the file: pm-native reads one document"
                    message = "a second YAML document begins here"
                    raise self._stopped(self._span(event), message, "yaml-multiple-documents", hint)
                count += 1
                self._anchors = {}
                yield self._node(next(self._events), 0)

    def _node(self, event: Event, depth: int) -> Node:
        yaml = self.yaml
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event).node
        self._values += 1
        anchor = event.anchor  # type: ignore[attr-defined] # all but aliases have one
        if anchor:
            self._anchors[anchor] = None
        before = self._values + self._aliased
        text = None
        if isinstance(event, yaml.ScalarEvent):
            text = event.value
            node = Node(self._scalar(event), self._scalar_span(event), tag=self._own_tag(event))
            self._end = self._offset(event.end_mark)
        else:
            if depth >= MAX_DEPTH:
                add_too_deep(self.problems, self._span(event, 1))
                raise StopParsingError
            node = self._collection(event, depth)
        if anchor:
            self._anchors[anchor] = _Anchored(node, 1 + self._values + self._aliased - before, text)
        return node

    def _collection(self, event: Event, depth: int) -> Node:
        is_list = isinstance(event, self.yaml.SequenceStartEvent)
        own = self._own_tag(event)
        tag = None if own else event.tag  # type: ignore[attr-defined] # a start event
        if tag not in {None, "!", _TAG + ("seq" if is_list else "map")}:
            raise self._foreign_tag(event, tag)
        start = self._offset(event.start_mark)
        self._end = start + 1
        value: list[Node] | dict[str, Node]
        value = self._items(depth) if is_list else self._entries(depth)
        return Node(value, self.places.span(start, self._end), tag=own)

    def _own_tag(self, event: Event) -> str:
        """The tag of a value where it is one of the format's own; else ""."""
        tag = event.tag  # type: ignore[attr-defined] # of a scalar or a collection
        return str(tag) if tag in self.tags else ""

    def _items(self, depth: int) -> list[Node]:
        items: list[Node] = []
        for event in self._events:
            if isinstance(event, self.yaml.SequenceEndEvent):
                self._close(event)
                break
            items.append(self._node(event, depth + 1))
        return items

    def _entries(self, depth: int) -> dict[str, Node]:
        entries: dict[str, Node] = {}
        merged: dict[str, Node] = {}
        merge: Node | None = None
        for event in self._events:
            if isinstance(event, self.yaml.MappingEndEvent):
                self._close(event)
                break
            key, key_span = self._key(event), self._span(event)
            value = self._node(next(self._events), depth + 1)
            node = Node(value.value, value.span, key_span, value.tag)
            if self._is_merge(event):
                if merge is not None:
                    self._twice("<<", node, merge)
                merge = node
                merged = self._merged(node)
            elif key in entries:
                self._twice(key, node, entries[key])
            else:
                entries[key] = node
        return merged | entries if merged else entries

    def _key(self, event: Event) -> str:
        yaml = self.yaml
        if isinstance(event, yaml.AliasEvent):
            text = self._alias(event).text
            if text is not None:
                return text
        elif isinstance(event, yaml.ScalarEvent):
            self._node(event, 0)  # checks its tag, keeps its anchor
            return str(event.value)
        hint = "a key is a text; is this {{ }} of a template? put it in quotes"
        message = "a key that is a list or a table"
        raise self._stopped(self._span(event, 1), message, "yaml-key", hint)

    def _is_merge(self, event: Event) -> bool:
        if not isinstance(event, self.yaml.ScalarEvent) or event.value != "<<":
            return False
        return event.tag == f"{_TAG}merge" or (event.tag is None and event.implicit[0])

    def _merged(self, node: Node) -> dict[str, Node]:
        """The entries that a merge key brings in: of a list the earlier table counts."""
        merged: dict[str, Node] = {}
        for part in node.value if isinstance(node.value, list) else [node]:
            if not isinstance(part.value, dict):
                message = f"<< takes a table or a list of tables, not {part.kind}"
                raise self._stopped(part.span, message, "yaml-merge", "write <<: *ANCHOR")
            merged = {**part.value, **merged}
        return merged

    def _alias(self, event: Event) -> _Anchored:
        name = str(event.anchor)  # type: ignore[attr-defined] # an alias event
        self._end = self._offset(event.end_mark)
        if name not in self._anchors:
            hint = f"an anchor is set before it is used: &{name}; a text that begins with * is put in quotes"
            raise self._stopped(self._span(event), f"there is no anchor &{name}", "yaml-alias", hint)
        anchored = self._anchors[name]
        if anchored is None:
            raise self._stopped(self._span(event), f"*{name} stands inside of &{name}", "yaml-alias")
        self._aliased += anchored.size
        if self._aliased > MAX_ALIASED:
            message = f"the aliases stand for more than {MAX_ALIASED} values"
            raise self._stopped(self._span(event), message, "yaml-alias", "write out what is meant")
        return anchored

    def _scalar(self, event: Event) -> Scalar:
        node_type = self.yaml.ScalarNode
        value: str = event.value  # type: ignore[attr-defined] # a scalar event
        tag, implicit = self._tag(event)
        bad = SURROGATE.search(value)
        if bad:
            add_surrogate(self.problems, self._span(event), ord(bad[0]))
            raise StopParsingError
        plain = self._resolve(value, (True, False))
        if tag in {None, "!"}:
            tag = self._resolve(value, implicit)
        kind = str(tag).removeprefix(_TAG)
        if kind in {"str", "merge", "value"}:
            return value
        if kind == "float" and plain == f"{_TAG}int":
            plain = f"{_TAG}float"
        if kind not in {"null", *_SCALARS}:
            raise self._foreign_tag(event, str(tag))
        if tag == plain and kind == "null":
            return None
        if tag == plain:
            try:
                made: Scalar = getattr(self.constructor, _SCALARS[kind])(node_type(tag, value))
            except (ValueError, OverflowError):  # no such date, thousands of digits
                pass
            else:
                return made
        hint = "put it in quotes if it is a text"
        raise self._stopped(self._span(event), f"this is no {kind} that YAML knows", "yaml-syntax", hint)

    def _tag(self, event: Event) -> tuple[str | None, tuple[bool, bool]]:
        """The tag of a scalar, and whether it goes without one, plain or in quotes; one of the format's own is none."""
        if self._own_tag(event):
            is_plain = not event.style  # type: ignore[attr-defined] # a scalar event
            return None, (is_plain, not is_plain)
        return event.tag, event.implicit  # type: ignore[attr-defined] # a scalar event

    def _resolve(self, value: str, implicit: tuple[bool, bool]) -> str:
        """The tag that YAML 1.1 gives a text, without quotes where the first of `implicit` is true."""
        tag = self.resolver.resolve(self.yaml.ScalarNode, value, implicit)  # type: ignore[no-untyped-call]
        return str(tag)

    def _close(self, event: Event) -> None:
        # A block ends where the next thing begins: only a bracket is part of the value.
        start, end = self._offset(event.start_mark), self._offset(event.end_mark)
        if end > start:
            self._end = end

    def _twice(self, key: str, node: Node, first: Node) -> None:
        self.failed = True
        message, hint = f"{key} is defined twice", f"it is defined at {first.key}"
        self.problems.error(node.key, message, code="duplicate-key", hint=hint)

    def _foreign_tag(self, event: Event, tag: str) -> StopParsingError:
        shown = f"!!{tag.removeprefix(_TAG)}" if tag.startswith(_TAG) else tag
        if not tag.startswith(("!", _TAG)):
            shown = f"!<{tag}>"
        hint = "take the tag out: only texts, numbers, booleans, dates, lists and tables are read"
        return self._stopped(self._span(event, len(shown)), f"the tag {shown} is not read", "yaml-tag", hint)

    def _offset(self, mark: object) -> int:
        index: int = mark.index  # type: ignore[attr-defined] # libyaml's mark and PyYAML's have no common class
        return index + self._shift

    def _span(self, event: Event, width: int = 0) -> Span:
        """The place of an event's text without the white space behind it, or of its first `width` columns."""
        start, end = self._offset(event.start_mark), self._offset(event.end_mark)
        written = self.places.text[start:end].rstrip()
        return self.places.span(start, start + (width or len(written)))

    def _scalar_span(self, event: Event) -> Span:
        """The place of a scalar itself, without an anchor and a tag before it."""
        start, end = self._offset(event.start_mark), self._offset(event.end_mark)
        before = _PROPERTIES.match(self.places.text, start, end)
        start = before.end() if before and before.end() < end else start
        return self.places.span(start, start + len(self.places.text[start:end].rstrip()))

    def _stopped(self, span: Span, message: str, code: str, hint: str = "") -> StopParsingError:
        self.problems.error(span, message, code=code, hint=hint)
        return StopParsingError()

    def _syntax(self, error: YAMLError) -> StopParsingError:
        mark, opened = getattr(error, "problem_mark", None), getattr(error, "context_mark", None)
        problem, context = (
            str(getattr(error, "problem", None) or ""),
            str(getattr(error, "context", None) or ""),
        )
        if mark is None:
            return self._stopped(self.places.source.whole(), problem or str(error), "yaml-syntax")
        start = min(self._offset(mark), len(self.places.text))
        if "nesting depth" in problem:  # libyaml has a bound of its own, and reads a thousand brackets ahead
            add_too_deep(self.problems, self.places.span(start, start + 1))
            return StopParsingError()
        message, hint = _explain(problem, context, self.places.text[start : start + 1])
        if opened:
            begins = self._offset(opened)
            if message == _NOT_CLOSED:
                start = begins
            elif message == _ESCAPE:
                start = max(self.places.text.rfind("\\", begins, start + 1), begins)
            hint = hint.replace(_BEGINS, str(self.places.span(begins, begins)))
        at_end = not self.places.text[start:].strip()
        span = self.places.last() if at_end else self.places.span(start, start + 1)
        return self._stopped(span, message, "yaml-syntax", hint)


_ESCAPE = "this is no escape that YAML knows"
_ESCAPE_HINT = "write \\\\ for a backslash, or put the text in single quotes"
_COLUMNS = "the keys of one table, the items of one list begin in the same column"
_PROBLEMS = (  # words that PyYAML and libyaml have in common, our message and hint; the first that fits
    ("document start", "expected the end of the document", ""),
    ("escape", _ESCAPE, _ESCAPE_HINT),
    ("hexdecimal", _ESCAPE, _ESCAPE_HINT),
    ("quoted scalar", _NOT_CLOSED, ""),
    (
        "mapping values are not allowed",
        "a ':' where no key can be",
        'put a text with ": " in it in quotes; keys of one table begin in the same column',
    ),
    ("could not find expected ':'", "expected ':' after the key", "a table is written key: value"),
    ("block mapping", "this line fits nowhere", _COLUMNS),
    ("block collection", "this line fits nowhere", _COLUMNS),
    ("block end", "this line fits nowhere", _COLUMNS),
    ("flow mapping", "expected ',' or '}'", f"the table begins at {_BEGINS}"),
    ("flow sequence", "expected ',' or ']'", f"the list begins at {_BEGINS}"),
)


def _explain(problem: str, context: str, character: str) -> tuple[str, str]:
    """Our message and hint for a problem in the words of PyYAML or of libyaml: the two differ."""
    if "cannot start any token" in problem:
        if character == "\t":
            return "a tab indents this line", "YAML is indented with spaces"
        return f"a text cannot begin with {character!r}", "put the text in quotes"
    for words, message, hint in _PROBLEMS:
        if words in problem or words in context:
            return message, hint
    return problem or context, ""
