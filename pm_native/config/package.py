"""[package] to the model."""

from __future__ import annotations

import os.path
import re
from dataclasses import dataclass
from pathlib import PurePosixPath

from pm_native.config.package_keys import PACKAGED_FILES
from pm_native.model.package import Package, PackagedFiles
from pm_native.syntax.node import Node

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pm_native.config.decoder import TableDecoder, Values


@dataclass(frozen=True, slots=True)
class TextForm:
    """What a text has to look like, and how that is told."""

    pattern: re.Pattern[str]
    hint: str

    def matches(self, text: str) -> bool:
        """Whether all of the text is of this form."""
        return self.pattern.fullmatch(text) is not None


MAINTAINER = TextForm(
    re.compile(r"[^<>\n]*\S <[^<>\s@]+@[^<>\s@]+>"), "a name and an address: Ann Ops <ann@shop.example>"
)
# What dpkg and rpm both take: no hyphen, which ends the version of the program in both.
VERSION = TextForm(
    re.compile(r"[0-9][A-Za-z0-9.+~]*"), "digits first, then letters, digits, '.', '+' and '~'"
)
_USER = re.compile(r"[a-z_][a-z0-9_-]{0,30}")


class PackageDecoder:
    """Decodes the table; paths of this host are relative to `base`, the folder of the config."""

    def __init__(self, decoder: TableDecoder, base: PurePosixPath) -> None:
        self.decoder = decoder
        self.base = base

    def decode(self, values: Values, node: Node) -> Package:
        """The package of the decoded `values` of `node`; what is wrong is added to the problems and left out."""
        return Package(
            version=self._matching(values, "version", VERSION),
            maintainer=self._matching(values, "maintainer", MAINTAINER),
            summary=str(values.get("summary", "")),
            description=str(values.get("description", "")),
            license=str(values.get("license", "")),
            homepage=str(values.get("homepage", "")),
            directory=self._absolute(values.get("directory"), "package.directory"),
            depends=_texts(values, "depends"),
            rpm_depends=_texts(values, "rpm_depends"),
            files=tuple(self._files(values.get("files"))),
            conffiles=tuple(self._paths(values.get("conffiles"))),
            users=tuple(self._users(values.get("users"))),
            span=node.span,
        )

    def _matching(self, values: Values, name: str, form: TextForm) -> str | None:
        value = values.get(name)
        if not isinstance(value, str):
            return None
        if not form.matches(value):
            place = self.decoder.origins[f"package.{name}"]
            self.decoder.problems.error(
                place, f"not a valid {name}: {value!r}", code=f"bad-{name}", hint=form.hint
            )
            return None
        return value

    def _users(self, users: object) -> list[str]:
        found: list[str] = []
        for user in users if isinstance(users, tuple) else ():
            if _USER.fullmatch(str(user)) is None:
                place = self.decoder.origins["package.users"]
                hint = "small letters, digits, '_' and '-', and no digit first"
                self.decoder.problems.error(
                    place, f"not a name of a system user: {user!r}", code="bad-user", hint=hint
                )
            else:
                found.append(str(user))
        return found

    def _absolute(self, value: object, path: str) -> PurePosixPath | None:
        if not isinstance(value, str):
            return None
        plain = PurePosixPath(os.path.normpath(value))
        if not plain.is_absolute() or plain == PurePosixPath("/"):
            self.decoder.problems.error(
                self.decoder.origins[path],
                f"not a place to install to: {value!r}",
                code="bad-path",
                hint="an absolute path below /",
            )
            return None
        return plain

    def _paths(self, paths: object) -> list[str]:
        found = (
            self._absolute(path, "package.conffiles") for path in (paths if isinstance(paths, tuple) else ())
        )
        return [str(path) for path in found if path is not None]

    def _files(self, node: object) -> list[PackagedFiles]:
        found: list[PackagedFiles] = []
        if not isinstance(node, Node):
            return found
        for index, item in enumerate(self.decoder.items(node, "a list of tables with `from` and `to`")):
            path = f"package.files.{index}"
            values = self.decoder.decode(item, PACKAGED_FILES, path)
            target = self._absolute(values.get("to"), f"{path}.to") if "to" in values else None
            exclude = values.get("exclude", ())
            if target is None or "from" not in values:
                continue
            found.append(
                PackagedFiles(
                    source=PurePosixPath(os.path.normpath(self.base / str(values["from"]))),
                    target=target,
                    exclude=tuple(map(str, exclude)) if isinstance(exclude, tuple) else (),
                    span=item.span,
                )
            )
        return found


def _texts(values: Values, name: str) -> tuple[str, ...]:
    found = values.get(name)
    return tuple(map(str, found)) if isinstance(found, tuple) else ()
