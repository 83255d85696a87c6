"""Packs orders: from the spool into the database, with a receipt. Run as many as you like."""

import hmac
import json
import os
import signal

from store import SPOOL, database

NAME = os.environ.get("PM_NATIVE_INSTANCE") or os.environ.get("NODE_APP_INSTANCE") or str(os.getpid())
KEY = os.environ.get("RECEIPT_KEY", "change me").encode()
PACK_SECONDS = float(os.environ.get("PACK_SECONDS", "0.5"))
STOP = {signal.SIGTERM, signal.SIGINT}


def asked_to_stop(seconds):
    """Waits so long; whether somebody asked this worker to stop."""
    return signal.sigtimedwait(STOP, seconds) is not None


def pack(path):
    """Books the order in `path`, unless another worker was first."""
    try:
        order = json.loads(path.read_text())
    except FileNotFoundError:
        return
    with database() as db:
        booked = db.execute("INSERT OR IGNORE INTO orders VALUES (:id, :item, :count)", order).rowcount
        (price,) = db.execute("SELECT price FROM items WHERE name = :item", order).fetchone()
    # Booked comes before gone: a worker that dies in between loses nothing, and the next one books nothing twice.
    path.unlink(missing_ok=True)
    if booked:
        receipt = hmac.new(KEY, order["id"].encode(), "sha256").hexdigest()[:8]
        total = price * order["count"]
        say(f"order {order['id']}: {order['count']} {order['item']}, {total:.2f}, receipt {receipt}")


def say(text):
    print(f"worker {NAME}: {text}", flush=True)


# The signals wait until we ask for them: an order is packed to its end, always.
signal.pthread_sigmask(signal.SIG_BLOCK, STOP)
say("waiting for orders")
while not asked_to_stop(PACK_SECONDS):
    for path in sorted(SPOOL.glob("*.json"))[:1]:
        pack(path)
say("done")
