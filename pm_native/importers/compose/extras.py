"""Hooks, groups, secrets and ports of a service: what the model has no word for."""

from __future__ import annotations

import os
import re
from pathlib import PurePosixPath

from pm_native.importers.tree import Entries, scalar_text
from pm_native.model.confinement import Secret
from pm_native.model.names import is_secret
from pm_native.model.project import PassThrough
from pm_native.unit.escape import quote_word

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pm_native.errors import Diagnostics
    from pm_native.importers.compose.project import Composed
    from pm_native.importers.files import Files

_PORT = re.compile(r"(?:.*:)?(?P<published>[0-9]+):(?P<target>[0-9]+)(?:/\w+)?")


class Extras:
    """Reads the rest of one service."""

    def __init__(
        self, own_name: str, service: Entries, composed: Composed, files: Files, problems: Diagnostics
    ) -> None:
        self.own_name = own_name
        self.entries = service
        self.composed = composed
        self.files = files
        self.problems = problems

    def hooks(
        self, words_of: Callable[[Entries, str], tuple[str, ...]], directory: PurePosixPath
    ) -> Iterator[PassThrough]:
        """ExecStartPost= and ExecStop=: a program given by a path is looked for from `directory`."""
        for key, directive in (("post_start", "ExecStartPost"), ("pre_stop", "ExecStop")):
            for item in self.entries.nodes(key):
                table = Entries(item, self.problems, key)
                if words := words_of(table, "command"):
                    program = os.path.normpath(directory / words[0]) if "/" in words[0] else words[0]
                    text = " ".join(quote_word(word) for word in (program, *words[1:]))
                    place = table.place("command")
                    yield PassThrough(section="Service", name=directive, values=(f":{text}",), span=place)

    def groups(self) -> Iterator[PassThrough]:
        """SupplementaryGroups=."""
        if groups := self.entries.words("group_add"):
            place = self.entries.place("group_add")
            yield PassThrough(
                section="Service", name="SupplementaryGroups", values=(" ".join(groups),), span=place
            )

    def secrets(self) -> tuple[Secret, ...]:
        """The secrets that are in files."""
        found: dict[str, Secret] = {}
        stores = Entries(self.composed.root, self.problems).table("secrets")
        for item in self.entries.nodes("secrets"):
            table = Entries(item, self.problems, "secrets") if isinstance(item.value, dict) else None
            source = (table.text("source") if table is not None else scalar_text(item)) or ""
            target = (table.text("target") if table is not None else None) or source
            file = stores.table(source).text("file") if source in stores else None
            if file is None:
                message = f"{self.own_name}: the secret {source!r} is in no file"
                hint = f"secrets: {{ {source}: {{ file: PATH }} }}, at the top"
                self.problems.warning(item.span, message, code="compose-secret", hint=hint, lost=True)
                continue
            name = PurePosixPath(target).name
            if not is_secret(name):
                hint = 'target: a name of letters, digits, "_", "." and "-"'
                message = f"{self.own_name}: no name of a secret's file: {name!r}"
                self.problems.error(item.span, message, code="bad-secret-name", hint=hint)
                continue
            message = f"{self.own_name} finds the secret in $CREDENTIALS_DIRECTORY/{name}"
            hint = "not in /run/secrets: let the program look there"
            self.problems.warning(item.span, message, code="compose-secret", hint=hint)
            path = os.path.normpath(self.files.directory / file)
            found[name] = Secret(name=name, path=path, span=item.span)
        return tuple(found.values())

    def tell_ports(self) -> None:
        """A warning where a port of the host was another one than the program's."""
        for item in self.entries.nodes("ports"):
            if isinstance(item.value, dict):
                table = Entries(item, self.problems, "ports")
                published, target = table.text("published"), table.text("target")
            else:
                match = _PORT.fullmatch(scalar_text(item))
                published, target = (match["published"], match["target"]) if match else (None, None)
            if published and target and published != target:
                message = f"{self.own_name} was found at port {published}; it listens on {target} itself"
                hint = f"let the program listen on {published}, if others look for it there"
                self.problems.warning(item.span, message, code="compose-port", hint=hint)
