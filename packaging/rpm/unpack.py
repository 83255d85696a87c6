"""Puts the files of a wheel where a package without Python's own macros has them.

    python3 unpack.py WHEEL BUILDROOT TREE BINDIR

The modules go to TREE (/usr/share/pm-native), the data to the folder above it, and to BINDIR a command for each entry point.
"""

from __future__ import annotations

import sys
from configparser import ConfigParser
from pathlib import Path
from zipfile import ZipFile

COMMAND = """\
#!/usr/bin/python3
import sys

sys.path.insert(0, {tree!r})
from {module} import {function}

sys.exit({function}())
"""


def unpack(wheel: Path, buildroot: Path, tree: str, bindir: str) -> None:
    """Write the files; KeyError where the wheel names no commands."""
    share = Path(tree).parent
    with ZipFile(wheel) as archive:
        for name in archive.namelist():
            _, data, rest = name.partition(".data/data/share/")
            place = share / rest if data else Path(tree) / name
            if "/licenses/" in name or name.endswith(("/RECORD", "/units/README.md")):
                continue
            path = buildroot / place.relative_to("/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(archive.read(name))
        points = next(name for name in archive.namelist() if name.endswith(".dist-info/entry_points.txt"))
        parser = ConfigParser()
        parser.read_string(archive.read(points).decode())
    for name, target in parser["console_scripts"].items():
        module, _, function = target.partition(":")
        command = buildroot / Path(bindir, name).relative_to("/")
        command.parent.mkdir(parents=True, exist_ok=True)
        command.write_text(COMMAND.format(tree=tree, module=module, function=function), encoding="utf-8")
        command.chmod(0o755)


if __name__ == "__main__":
    unpack(Path(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:])
