"""One program that takes part: `python -m tests.benchmarks.messages STACK ROLE PATH [IN_FLIGHT]`."""

from __future__ import annotations

import sys
from importlib import import_module

STACKS = ("ours", "zeromq", "redis_pubsub", "dbus")


def main() -> None:
    """Be the role of the stack."""
    stack, role, path, *rest = sys.argv[1:]
    assert stack in STACKS
    getattr(import_module(f"tests.benchmarks.messages.{stack}"), role)(path, *map(int, rest))


if __name__ == "__main__":
    main()
