"""The broker as systemd starts it: `python3 -I .../runtime/ipc/__main__.py PROJECT`.

The socket comes from systemd (LISTEN_FDS). The environment says the rest: PM_NATIVE_IPC_SLICE, PM_NATIVE_IPC_ACCESS (JSON)
and the limits.
"""

from __future__ import annotations

import os
import sys

if not __package__:  # run as a file, isolated: the path has nothing of ours yet
    sys.path.insert(0, os.path.abspath(f"{__file__}/../../../.."))  # noqa: PTH100 - pathlib is heavy
# asyncio imports ssl where it can: a quarter of the memory of a broker that never encrypts.
sys.modules.setdefault("ssl", None)  # type: ignore[arg-type]  # what the import system takes for "there is none"


class Later(type(sys)):  # type: ignore[misc]  # the type of modules
    """A module that is loaded when something in it is asked for."""

    __name__: str

    def __getattr__(self, name: str) -> object:
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        return getattr(__import__(self.__name__), name)


# asyncio imports this, and with it what reads source text and bytecode, for checks that nothing here makes.
sys.modules.setdefault("inspect", Later("inspect"))

from pm_native.runtime.ipc.serve import main  # noqa: E402 - after the path

sys.exit(main(sys.argv[1:]))
