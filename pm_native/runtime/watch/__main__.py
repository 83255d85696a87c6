"""The watcher as systemd starts it: `python3 -I .../runtime/watch/__main__.py OPTIONS`.

--unit=NAME          what is restarted: a service, or a glob of the instances of a pool
--directory=PATH     where relative patterns begin
--watch=PATTERN      what is watched; may be repeated
--ignore=PATTERN     what of that is not; may be repeated
--delay=SECONDS      how long nothing must have changed (0.3s)
--one-by-one         one instance after the other, not all at once
--user               units of the user's own manager
--library=PATH       where the Python library `inotify` is, if not where Python looks
"""

from __future__ import annotations

import os
import sys

if not __package__:  # run as a file, isolated: the path has nothing of ours yet
    sys.path.insert(0, os.path.abspath(f"{__file__}/../../../.."))  # noqa: PTH100 - pathlib is heavy

from pm_native.runtime.watch.serve import main

sys.exit(main(sys.argv[1:]))
