"""`python -m pm_native` is `pm-native`."""

from pm_native.cli.main import main

if __name__ == "__main__":
    main()
