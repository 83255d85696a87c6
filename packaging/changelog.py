"""CHANGELOG.md in the words of the packages: a Debian changelog, or the %changelog of a spec file.

python packaging/changelog.py debian|rpm|version|epoch
"""

from __future__ import annotations

import re
import sys
import tomllib
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

CHECKOUT = Path(__file__).resolve().parent.parent
MAINTAINER = "The pm-native developers <developers@pm-native.example>"
_HEADING = re.compile(r"^## \[(?P<version>\d[^\]]*)\] - (?P<date>\d{4}-\d\d-\d\d)$")


@dataclass(frozen=True, slots=True)
class Release:
    """One released version, and what changed in it, an item a line."""

    version: str
    date: datetime
    changes: tuple[str, ...]


def version() -> str:
    """The version that pyproject.toml says: the one place where it stands."""
    with (CHECKOUT / "pyproject.toml").open("rb") as stream:
        return str(tomllib.load(stream)["project"]["version"])


def releases(text: str) -> Iterator[Release]:
    """The releases of a changelog, the newest first, without what is not released yet."""
    found: tuple[str, datetime] | None = None
    changes: list[str] = []
    for line in [*text.splitlines(), "## end"]:
        if line.startswith("## "):
            if found is not None:
                yield Release(*found, tuple(changes))
            match = _HEADING.match(line)
            found = (
                (match["version"], datetime.fromisoformat(match["date"]).replace(tzinfo=UTC))
                if match
                else None
            )
            changes = []
        elif line.startswith("- "):
            changes.append(line.removeprefix("- "))
        elif line.startswith("  ") and changes:
            changes[-1] += " " + line.strip()


def debian(found: Release) -> str:
    """The release as an entry of debian/changelog (deb-changelog(5))."""
    changes = "".join(f"  * {wrapped(change, 4)}\n" for change in found.changes)
    head = f"pm-native ({found.version}-1) unstable; urgency=medium\n\n"
    return f"{head}{changes}\n -- {MAINTAINER}  {format_datetime(found.date)}\n"


def rpm(found: Release) -> str:
    """The release as an entry of %changelog."""
    changes = "".join(f"- {wrapped(change.replace('%', '%%'), 2)}\n" for change in found.changes)
    return f"* {found.date:%a %b %d %Y} {MAINTAINER} - {found.version}-1\n{changes}"


def wrapped(text: str, indent: int) -> str:
    """The text in lines of 76 characters, all but the first indented."""
    from textwrap import fill  # noqa: PLC0415 - for two of three uses

    return fill(text, 76, subsequent_indent=" " * indent, break_long_words=False, break_on_hyphens=False)


def main(words: list[str]) -> int:
    """Print what is asked for; 1 where the newest release is not the version of pyproject.toml."""
    if words == ["version"]:
        print(version())
        return 0
    found = list(releases((CHECKOUT / "CHANGELOG.md").read_text(encoding="utf-8")))
    if not found or found[0].version != version():
        print(f"CHANGELOG.md has no dated section for version {version()}", file=sys.stderr)
        return 1
    if words == ["epoch"]:
        print(int(found[0].date.timestamp()))
        return 0
    entry = {"debian": debian, "rpm": rpm}[words[0]]
    print("\n".join(entry(release) for release in found), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
