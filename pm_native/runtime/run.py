"""`pm-native-run`: what systemd starts in place of a program whose health is checked.

Units run this very file, by `python3 -I -S`, which loads no more than it must. It is never byte-compiled, so that it
holds next to nothing.
"""

import sys

if __name__ == "__main__":
    sys.path.insert(0, __file__.rpartition("/pm_native/")[0])

from pm_native.runtime.launch import main

if __name__ == "__main__":
    main()
