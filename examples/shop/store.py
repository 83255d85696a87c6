"""Where the shop keeps things: a folder with the spool of orders and the SQLite database."""

import os
import sqlite3
from contextlib import closing, contextmanager
from pathlib import Path

DATA = Path(os.environ.get("SHOP_DATA", "data"))
SPOOL = DATA / "orders"
DATABASE = DATA / "shop.db"


@contextmanager
def database():
    """The database, in a transaction that ends with the block."""
    with closing(sqlite3.connect(DATABASE, timeout=10)) as connection, connection:
        yield connection
