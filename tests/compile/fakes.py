"""A host that is not there: what it has is written down."""

from __future__ import annotations

import os
from pathlib import Path

from pm_native.compile.host import Account, Host, Program

# Programs by path; a name in the value is the only user that may run it ("": nobody).
PROGRAMS = {
    "/usr/bin/node": None,
    "/usr/bin/sleep": None,
    "/bin/sh": None,
    "/srv/shop/bin/migrate": None,
    "/srv/shop/bin/backup": None,
    "/opt/tools/bin/tool": None,
    "/home/ada/.nvm/versions/node/v20.1.0/bin/npm": None,
    "/srv/shop/bin/odd'name": None,
    "/srv/shop/bin/50% café": None,
    "/root/private/run": "root",
}
ACCOUNTS = {
    "root": Account("root", 0, frozenset({0}), "/root"),
    "shop": Account("shop", 990, frozenset({990, 33}), "/srv/shop"),
    "ada": Account("ada", 1000, frozenset({1000}), "/home/ada"),
}
# Files that secrets are read from, and links with what they lead to.
FILES = {"/etc/shop/db-password", "/etc/shop/mail.cred", "/srv/shop/secrets/api-key"}
LINKS = {"/srv/shop/bin/migrate": "/home/ada/tools/migrate"}
GROUPS = {"root", "shop", "ada", "www-data"}
DIRECTORIES = {"/srv/shop", "/srv/shop/api", "/srv/shop/100% café", "/srv/shop/data dir", "/srv"}


# Folders that others than root can write in.
FOREIGN_OWNERS = {"/srv/shop/logs": "user 990"}


class FakeHost(Host):
    """A host with PROGRAMS, ACCOUNTS, GROUPS, DIRECTORIES and four CPUs; nothing is looked up anywhere."""

    def __init__(self) -> None:
        super().__init__(Path("/nonexistent"))

    @property
    def cpu_count(self) -> int:
        return 4

    def _find_program(self, program: str, search: str, directory: str, user: str | None) -> Program:
        folders = [""] if "/" in program else search.split(":")
        closed = ""
        for folder in folders:
            path = os.path.normpath(os.path.join(directory, folder, program))  # noqa: PTH118
            if path in PROGRAMS:
                if PROGRAMS[path] in {None, user or "root"}:
                    return Program(path)
                closed = f"user {user} may not enter {path.rpartition('/')[0]}"
        if "/" in program:
            return Program(path, closed or "there is no such file")
        return Program(program, closed or f"not found on {search}")

    def why_not_readable(self, path: str, user: str | None) -> str:
        return (
            f"{user} may not enter /root" if path.startswith("/root/") and user not in {None, "root"} else ""
        )

    def _account(self, name: str) -> Account | None:
        return ACCOUNTS.get(name)

    def _has_group(self, name: str) -> bool:
        return name in GROUPS

    def foreign_owner(self, path: str) -> str:
        return FOREIGN_OWNERS.get(path, "")

    def _is_directory(self, path: str) -> bool:
        return path in DIRECTORIES

    def real_path(self, path: str) -> str:
        return LINKS.get(path, path)

    def is_open(self, path: str) -> bool:
        return path == "/srv/shop/secrets/api-key" or path.endswith("/runtime/ipc/__main__.py")

    def exists(self, path: str) -> bool:
        return path in DIRECTORIES or path in FILES
