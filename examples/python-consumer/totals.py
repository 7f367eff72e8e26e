"""The running totals, in an SQLite file with the offsets that they were counted up to.

Both change in one transaction, so after a crash the file is as it was after some batch, and reading goes on behind it. Even if
records come again all the same (offsets set back, an event published twice), the version of every stream is kept, and an
event at or below it counts nothing.
"""

import sqlite3
from contextlib import contextmanager
from pathlib import Path

from contract import Event

SCHEMA = """
CREATE TABLE IF NOT EXISTS offsets (topic TEXT, partition INTEGER, next INTEGER NOT NULL, PRIMARY KEY (topic, partition));
-- The last event of each stream.
CREATE TABLE IF NOT EXISTS streams (
    source TEXT, subject TEXT, version INTEGER NOT NULL, event_id TEXT NOT NULL, PRIMARY KEY (source, subject)
);
-- What each order has added, until it is cancelled: then it is taken off.
CREATE TABLE IF NOT EXISTS orders (id TEXT PRIMARY KEY, currency TEXT NOT NULL, units INTEGER NOT NULL, gross INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS totals (name TEXT PRIMARY KEY, value INTEGER NOT NULL);
-- What was reported and not counted. Delete the file to count it once it was repaired.
CREATE TABLE IF NOT EXISTS rejected (topic TEXT, partition INTEGER, offset INTEGER, cause TEXT NOT NULL,
    PRIMARY KEY (topic, partition, offset));
"""


class DoesNotFit(Exception):
    """The event can't have happened to its stream as it is known: an earlier one was rejected, or two bear one version."""


class Totals:
    """The file. One process at a time: see `group.instance.id` in consumer.py."""

    def __init__(self, file: Path):
        # Autocommit; transactions are begun and ended in `transaction`.
        self._db = sqlite3.connect(file, isolation_level=None)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.executescript(SCHEMA)

    @contextmanager
    def transaction(self):
        """All of the block, or nothing."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def next_offset(self, topic: str, partition: int) -> int | None:
        """Where reading goes on; none at the beginning."""
        row = self._db.execute("SELECT next FROM offsets WHERE topic = ? AND partition = ?", (topic, partition)).fetchone()
        return row and row[0]

    def advance(self, topic: str, partition: int, offset: int) -> None:
        """Writes down that the record at `offset` was handled, whatever came of it."""
        self._db.execute("INSERT OR REPLACE INTO offsets VALUES (?, ?, ?)", (topic, partition, offset + 1))

    def rewind(self) -> None:
        """Forgets how far was read. What was counted stays counted."""
        self._db.execute("DELETE FROM offsets")

    def reject(self, topic: str, partition: int, offset: int, cause: str) -> None:
        """Writes down a record that is not counted."""
        self._db.execute("INSERT OR REPLACE INTO rejected VALUES (?, ?, ?, ?)", (topic, partition, offset, cause))

    def count(self, event: Event) -> None:
        """Counts the event, unless it was counted before. Raises DoesNotFit."""
        stream = (event.source, event.subject)
        row = self._db.execute("SELECT version, event_id FROM streams WHERE source = ? AND subject = ?", stream).fetchone()
        version, last_id = row or (0, None)
        if event.version == version and event.id != last_id:
            raise DoesNotFit(f"{event.type}: two events with version {version} of {event.subject}")
        if event.version <= version:
            return
        if event.version > version + 1:
            raise DoesNotFit(f"{event.type}: version {event.version} of {event.subject} follows {version}")
        self._fold(event)
        self._add("events", 1)
        self._db.execute("INSERT OR REPLACE INTO streams VALUES (?, ?, ?, ?)", (*stream, event.version, event.id))

    def _fold(self, event: Event) -> None:
        """What the event adds. The meaning is that of `GET /v1/stats`: a cancelled order counts as cancelled and as nothing else.

        Whatever can refuse the event comes before the first statement that writes.
        """
        data = event.data
        match event.type:
            case "user.registered.v1":
                self._add("users", 1)
            case "product.created.v1":
                self._add("products", 1)
            case "order.placed.v1":
                units = sum(line["quantity"] for line in data["lines"])
                order = (event.subject, data["currency"], units, data["total"])
                if not self._db.execute("INSERT OR IGNORE INTO orders VALUES (?, ?, ?, ?)", order).rowcount:
                    raise DoesNotFit(f"{event.type}: {event.subject} was placed before")
                self._add_order(order, 1)
            case "order.confirmed.v1":
                self._add("confirmed", 1)
            case "order.cancelled.v1":
                self._add_order(self._order(event), -1)
                self._add("cancelled", 1)
                self._db.execute("DELETE FROM orders WHERE id = ?", (event.subject,))
            case "order.returned.v1":
                _, currency, _, _ = self._order(event)
                self._add(f"refunds {currency}", data["refund"])
                self._add("returned_units", sum(line["quantity"] for line in data["lines"]))
            # Other types, those of versions to come among them, mean nothing to these totals.

    def _order(self, event: Event) -> tuple[str, str, int, int]:
        order = self._db.execute("SELECT * FROM orders WHERE id = ?", (event.subject,)).fetchone()
        if order is None:
            raise DoesNotFit(f"{event.type}: {event.subject} is not placed")
        return order

    def _add_order(self, order: tuple[str, str, int, int], sign: int) -> None:
        _, currency, units, gross = order
        self._add("orders", sign)
        self._add("units", sign * units)
        self._add(f"gross {currency}", sign * gross)

    def _add(self, name: str, value: int) -> None:
        add = "INSERT INTO totals VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = value + excluded.value"
        self._db.execute(add, (name, value))

    def read(self) -> dict:
        """The totals; those that `GET /v1/stats` has are named as there."""
        total = dict(self._db.execute("SELECT name, value FROM totals"))
        numbers = ("events", "users", "products", "confirmed", "orders", "cancelled", "units", "returned_units")
        revenue = {}
        for currency in sorted({name.split()[1] for name in total if " " in name}):
            gross, refunds = total.get(f"gross {currency}", 0), total.get(f"refunds {currency}", 0)
            if gross or refunds:
                revenue[currency] = {"gross": gross, "refunds": refunds, "net": gross - refunds}
        (rejected,) = self._db.execute("SELECT count(*) FROM rejected").fetchone()
        return {**{name: total.get(name, 0) for name in numbers}, "rejected": rejected, "revenue": revenue}
