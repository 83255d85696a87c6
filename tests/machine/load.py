"""Clients that ask without a pause, on a machine: what gets no whole answer is lost."""

from __future__ import annotations

import subprocess

TYPE_CHECKING = False
if TYPE_CHECKING:
    from tests.machine.harness import Machine

# Asks until its input ends: clients with a connection for each request, and so many with one that is kept and used at
# once again.
LOAD = """
import http.client, sys, threading
port, new, kept = map(int, sys.argv[1:])
counts, over = [0, 0], threading.Event()
def client(keep):
    connection = None
    while not over.is_set():
        try:
            connection = connection or http.client.HTTPConnection("127.0.0.1", port, timeout=60)
            connection.request("GET", "/", headers={} if keep else {"Connection": "close"})
            response = connection.getresponse()
            response.read()
            counts[response.status != 200] += 1
            if response.will_close:
                connection = None
        except (OSError, http.client.HTTPException) as error:
            print(repr(error), file=sys.stderr)
            counts[1] += 1
            connection = None
threads = [threading.Thread(target=client, args=[number < kept]) for number in range(new + kept)]
for thread in threads:
    thread.start()
print("loading", flush=True)
sys.stdin.read()
over.set()
for thread in threads:
    thread.join()
print(*counts)
"""


class Load:
    """Clients of a port, from now on until `end`."""

    def __init__(self, machine: Machine, port: int, *, new: int = 4, kept: int = 4) -> None:
        words = ["python3", "-c", LOAD, str(port), str(new), str(kept)]
        self._process = subprocess.Popen(
            machine.command(words), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "loading\n"

    def end(self) -> tuple[int, int]:
        """The numbers of requests that were answered, and that were lost."""
        output, _ = self._process.communicate(timeout=120)
        assert self._process.returncode == 0
        answered, lost = map(int, output.split())
        return answered, lost
