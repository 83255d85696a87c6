"""Places for the values that a program exported: its text is searched for the literals they came from."""

from __future__ import annotations

from pm_native.importers.pm2.scan import literal, scan_objects
from pm_native.syntax.node import Node
from pm_native.syntax.places import Places

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pm_native.errors import Source, Span
    from pm_native.importers.pm2.scan import Entry, Value

_IDENTITY = ("name", "script", "cmd", "command", "exec")
_LISTS = ("apps", "pm2")


def locate(value: object, source: Source) -> Node:
    """The tree of what the program in `source` exported.

    A value that is no literal of the text gets the place of the key or app around it; where not even the app is
    found, the span has the key path only.
    """
    return _Locator(source).root(value)


class _Locator:
    def __init__(self, source: Source) -> None:
        self.source = source
        self.places = Places(source)
        self.objects, self.tokens = scan_objects(source.text)
        self.used: set[int] = set()
        self.by_key: dict[str, list[Entry]] = {}
        for item in self.objects:
            for key, entry in item.entries.items():
                self.by_key.setdefault(key, []).append(entry)

    def root(self, value: object) -> Node:
        """The whole export: an object with a list of apps, a list of apps, or one app."""
        whole = self.source.whole()
        if isinstance(value, list):
            return Node([self.app(item, f"[{index}]") for index, item in enumerate(value)], whole)
        if not isinstance(value, dict):
            return Node(_scalar(value), whole)
        if not any(key in value for key in _LISTS):
            return self.app(value, "")
        entries: dict[str, Node] = {}
        for key, item in value.items():
            entry = self.top_entry(key)
            if key in _LISTS:
                items = item if isinstance(item, list) else [item]
                apps = [self.app(app, f"{key}[{index}]") for index, app in enumerate(items)]
                place = self.place(entry.value if entry else None, key, whole)
                entries[key] = Node(apps, place, self.key_span(entry))
            else:
                entries[key] = self.entry(item, entry, key, whole)
        return Node(entries, whole)

    def top_entry(self, key: str) -> Entry | None:
        """The entry of the first object that has this key: the export comes before what is nested in it."""
        return next((item.entries[key] for item in self.objects if key in item.entries), None)

    def app(self, value: object, path: str) -> Node:
        """One app, found by its name or script."""
        if not isinstance(value, dict):
            return self.node(value, None, path, self.source.whole(path))
        found = self.find(value)
        fallback = self.span(found) if found else self.named(value, path)
        if found is not None:
            # Where a key stands is told by the key; the app as a whole stands where its name does.
            identity = next((found.entries[key] for key in _IDENTITY if key in found.entries), None)
            fallback = self.span(identity.value) if identity else fallback
        return self.node(value, found, path, fallback)

    def find(self, app: dict[str, object]) -> Value | None:
        """The object literal most like the app, each used once; None where none has its name or script."""
        best, best_score = None, 4
        for index, candidate in enumerate(self.objects):
            if index in self.used or candidate.opening != "{":
                continue
            score = _likeness(candidate, app)
            if score > best_score:
                best, best_score = index, score
        if best is None:
            return None
        self.used.add(best)
        return self.objects[best]

    def named(self, app: dict[str, object], path: str) -> Span:
        """Where the name of the app, or its script, stands in the text at all."""
        for key in _IDENTITY:
            word = app.get(key)
            if isinstance(word, str) and len(word) > 1:
                for token in self.tokens:
                    if token.kind == "string" and literal(token) == word:
                        return self.places.span(token.start, token.end)
        return self.source.whole(path)

    def node(
        self, value: object, found: Value | None, path: str, span: Span, key_span: Span | None = None
    ) -> Node:
        """The value at `span` and all below it, whose places are looked for in the expression `found`."""
        match value:
            case dict() as entries:
                known = found.entries if found is not None else {}
                below = {
                    key: self.entry(item, known.get(key), f"{path}.{key}", span)
                    for key, item in entries.items()
                }
                return Node(below, span, key_span)
            case list() as items:
                places: list[Value | None] = (
                    [*found.items] if found and len(found.items) == len(items) else []
                )
                places += [None] * (len(items) - len(places))
                nodes = [
                    self.node(item, place, f"{path}[{index}]", self.place(place, f"{path}[{index}]", span))
                    for index, (item, place) in enumerate(zip(items, places, strict=True))
                ]
                return Node(nodes, span, key_span)
            case _:
                return Node(_scalar(value), span, key_span)

    def entry(self, value: object, entry: Entry | None, path: str, around: Span) -> Node:
        """The value of one key of an object."""
        path = path.removeprefix(".")
        entry = entry or self.only(path.rpartition(".")[2], value)
        found = entry.value if entry else None
        return self.node(value, found, path, self.place(found, path, around), self.key_span(entry))

    def only(self, key: str, value: object) -> Entry | None:
        """The one place of the text that gives this key this very value; None where there are more, or none."""
        text = str(value).lower() if isinstance(value, bool) else str(value)
        found = [entry for entry in self.by_key.get(key, ()) if entry.value.text == text]
        return found[0] if len(found) == 1 else None

    def place(self, found: Value | None, path: str, around: Span) -> Span:
        """The place of an expression; unknown, that of what is around it, or the key path alone."""
        if found is not None:
            return self.span(found)
        return around if around.line else self.source.whole(path)

    def span(self, value: Value) -> Span:
        """The place of an expression."""
        return self.places.span(value.start, value.end)

    def key_span(self, entry: Entry | None) -> Span | None:
        """The place of a key."""
        return self.places.span(entry.start, entry.end) if entry else None


def _likeness(candidate: Value, app: dict[str, object]) -> int:
    """How well an object literal fits an app: 5 and more where it has the name or the script."""
    score = sum(key in candidate.entries for key in app)
    for key in _IDENTITY:
        entry = candidate.entries.get(key)
        if entry is None or key not in app or entry.value.text is None:
            continue
        if entry.value.text != app[key]:
            return 0
        score += 100 if key == "name" else 50
    return score if score >= 50 else 0


def _scalar(value: object) -> str | int | float | bool | None:
    return value if isinstance(value, str | int | float | bool) else None
