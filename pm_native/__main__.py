"""`python -m pm_native` is `pm-native`."""

from pm_native.cli.entry import main

if __name__ == "__main__":
    main()
