"""Makes the store ready: run it before the others, and as often as you like."""

import json
from pathlib import Path

from store import DATABASE, SPOOL, database

TABLES = """
CREATE TABLE IF NOT EXISTS items (name TEXT PRIMARY KEY, price REAL NOT NULL);
CREATE TABLE IF NOT EXISTS orders (id TEXT PRIMARY KEY, item TEXT NOT NULL, count INTEGER NOT NULL);
"""

SPOOL.mkdir(parents=True, exist_ok=True)
catalogue = json.loads((Path(__file__).parent / "catalogue.json").read_text())
with database() as db:
    db.execute("PRAGMA journal_mode = WAL")  # readers and writers do not wait for each other
    db.executescript(TABLES)
    db.executemany("INSERT OR REPLACE INTO items VALUES (?, ?)", catalogue.items())
print(f"{DATABASE}: {len(catalogue)} items")
