"""What systemd starts as the monitor of all programs of a project.

Like `run.py`, it is never byte-compiled, so that it holds next to nothing.
"""

import sys

if __name__ == "__main__":
    sys.path.insert(0, __file__.rpartition("/pm_native/")[0])

from pm_native.runtime.host import main

if __name__ == "__main__":
    main()
