"""Topics and the patterns that subscribe to them.

A topic is words joined by dots: `cache.user.7`. In a pattern, the word `*` stands for any one word, and a last word `**`
for one or more: `cache.*.7`, `cache.**`. Topics that begin with `$` are the broker's own; no pattern that begins with `*`
matches them.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Generic, TypeVar

    T = TypeVar("T")
else:  # typing is half of what a small program loads: at run time `Generic[T]` is object
    T = None
    Generic = {T: object}

TOPIC_MAX = 255
ANY, REST = "*", "**"
OWN = "$"
# What is kept for a word of patterns with wildcards, in bytes.
NODE_SIZE = 320


def is_topic(text: str) -> bool:
    """Whether something can be published under this name."""
    return is_pattern(text) and "*" not in text


def is_pattern(text: str) -> bool:
    """Whether it can be subscribed to."""
    if not 0 < len(text) <= TOPIC_MAX or not text.isascii() or not text.isprintable() or " " in text:
        return False
    words = text.split(".")
    return all(words) and all("*" not in word or word == ANY for word in words[:-1]) and _is_last(words[-1])


def _is_last(word: str) -> bool:
    return "*" not in word or word in {ANY, REST}


def covers(pattern: str, other: str) -> bool:
    """Whether `pattern` matches all that `other`, a topic or a pattern itself, matches."""
    if other.startswith(OWN) and pattern.startswith(ANY):
        return False
    ours, theirs = pattern.split("."), other.split(".")
    for index, word in enumerate(ours):
        if index >= len(theirs):
            return False
        if word == REST:
            return True
        if theirs[index] == REST or (word not in (ANY, theirs[index])):
            return False
    return len(ours) == len(theirs)


class _Node(Generic[T]):
    """The patterns that go on after the same words. What it does not need it does not have: there may be very many."""

    __slots__ = ("children", "here", "rest")

    def __init__(self) -> None:
        self.children: dict[str, _Node[T]] | None = None
        self.here: dict[T, None] | None = None
        self.rest: dict[T, None] | None = None

    def child(self, word: str) -> _Node[T] | None:
        """The node after this word."""
        return None if self.children is None else self.children.get(word)

    def grow(self, word: str) -> _Node[T]:
        """Make a node after this word."""
        if self.children is None:
            self.children = {}
        made = self.children[word] = _Node()
        return made

    def add(self, subscriber: T, *, is_rest: bool) -> None:
        """The pattern of the subscriber ends here, or goes on with any words."""
        if is_rest:
            self.rest = {} if self.rest is None else self.rest
            self.rest[subscriber] = None
        else:
            self.here = {} if self.here is None else self.here
            self.here[subscriber] = None

    def is_empty(self) -> bool:
        """Whether no pattern ends or goes on here."""
        return not (self.children or self.here or self.rest)


class Topics(Generic[T]):
    """Who subscribes to what. `version` changes with each change, so that what was matched can be kept until then.

    `nodes` is how many words of patterns it keeps, those that begin alike once.
    """

    __slots__ = ("_exact", "_patterns", "nodes", "version")

    def __init__(self) -> None:
        self.version = 0
        self.nodes = 0
        self._exact: dict[str, dict[T, None]] = {}
        self._patterns: _Node[T] = _Node()

    def add(self, pattern: str, subscriber: T) -> None:
        """Have `match` give the subscriber for each topic that the pattern matches."""
        self.version += 1
        if "*" not in pattern:
            self._exact.setdefault(pattern, {})[subscriber] = None
            return
        node, (words, is_rest) = self._patterns, _way(pattern)
        for word in words:
            following = node.child(word)
            if following is None:
                following = node.grow(word)
                self.nodes += 1
            node = following
        node.add(subscriber, is_rest=is_rest)

    def remove(self, pattern: str, subscriber: T) -> None:
        """Undo an `add`; KeyError where there was none."""
        self.version += 1
        if "*" not in pattern:
            del self._exact[pattern][subscriber]
            if not self._exact[pattern]:
                del self._exact[pattern]
            return
        words, is_rest = _way(pattern)
        way = [self._patterns]
        for word in words:
            way.append((way[-1].children or {})[word])
        del ((way[-1].rest if is_rest else way[-1].here) or {})[subscriber]
        while words and way.pop().is_empty():
            del (way[-1].children or {})[words.pop()]
            self.nodes -= 1

    def match(self, topic: str) -> list[T]:
        """The subscribers of a topic, in no particular order, each once."""
        found = dict(self._exact.get(topic, ()))
        node, words = self._patterns, topic.split(".")
        if topic.startswith(OWN):
            node, words = node.child(words[0]) or _Node(), words[1:]
        if not node.is_empty():
            for subscribers in _matches(node, words, 0):
                found |= subscribers or {}
        return list(found)


def _way(pattern: str) -> tuple[list[str], bool]:
    """The words before a last `**`, and whether there is one."""
    words = pattern.split(".")
    is_rest = words[-1] == REST
    return words[:-1] if is_rest else words, is_rest


def _matches(node: _Node[T], words: list[str], index: int) -> Iterator[dict[T, None] | None]:
    if index == len(words):
        yield node.here
        return
    yield node.rest
    for word in (words[index], ANY):
        if (child := node.child(word)) is not None:
            yield from _matches(child, words, index + 1)
