"""Prints what was sold so far, dearest first."""

from store import database

SALES = """
SELECT item, sum(count), sum(count * price) AS total
FROM orders JOIN items ON items.name = orders.item GROUP BY item ORDER BY total DESC
"""

with database() as db:
    sales = db.execute(SALES).fetchall()
lines = [f"{count} {item} {total:.2f}" for item, count, total in sales]
print("sold:", ", ".join(lines) or "nothing yet")
