"""`pm-native-send`: puts a message into the channel of a program, and waits until the program has ended.

    python3 -I -S send.py --channel=/run/pm-native/shop-api.service/channel --wait=9s '"shutdown"'

systemd runs it as ExecStop= of a program that is asked to end by a message. It waits for MAINPID; where that is gone
there is nothing to ask. What is left after the wait is ended by systemd, by the stop signal.
"""

from __future__ import annotations

import _socket
import os
import select
import sys


def main(words: list[str]) -> int:
    """Send the message; 0 when the program has ended, 1 with a message when it could not be asked or goes on."""
    options = dict(word[2:].split("=", 1) for word in words[:-1])
    pid = os.environ.get("MAINPID", "")
    if not pid:
        return 0
    try:
        program = os.pidfd_open(int(pid))
    except ProcessLookupError:
        return 0
    channel = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC)
    try:
        channel.connect(options["channel"])
        channel.sendall(words[-1].encode() + b"\n")
    except OSError as error:
        sys.stderr.write(f"pm-native-send: {options['channel']}: {error.strerror}\n")
        return 1
    poll = select.poll()
    poll.register(program, select.POLLIN)
    if poll.poll(float(options["wait"].removesuffix("s")) * 1000):
        return 0
    sys.stderr.write(f"pm-native-send: it goes on, {options['wait']} after the message\n")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
