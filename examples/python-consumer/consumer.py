"""Reads all of orderflow's events, holds them against the published schemas and keeps running totals. See README.md."""

import argparse
import json
import os
import sys
from pathlib import Path

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException

from contract import BrokenContract, Contract
from totals import DoesNotFit, Totals

CONTEXTS = ("users", "products", "orders", "payments")
REPOSITORY = Path(__file__).resolve().parents[2]


class Reader:
    """The topics, read from where the totals stand."""

    def __init__(self, totals: Totals, brokers: str, prefix: str, group: str):
        self._totals = totals
        self._assigned: set[tuple[str, int]] = set()
        self._ended: set[tuple[str, int]] = set()
        self._consumer = Consumer(
            {
                "bootstrap.servers": brokers,
                "group.id": group,
                # A process that was killed has its partitions back at once. Where it still runs after all, it is stopped by the
                # next one under this name: the file has one writer.
                "group.instance.id": group,
                # Only what the relay committed: with that every event is there once.
                "isolation.level": "read_committed",
                # Offsets are in the file. One that the topic does not have means that this is not the topic that was counted.
                "enable.auto.commit": False,
                "auto.offset.reset": "error",
                "enable.partition.eof": True,
            }
        )
        self._consumer.subscribe([f"{prefix}.{context}.v1" for context in CONTEXTS], on_assign=self._begin)

    def _begin(self, consumer: Consumer, partitions: list) -> None:
        for partition in partitions:
            offset = self._totals.next_offset(partition.topic, partition.partition)
            partition.offset = OFFSET_BEGINNING if offset is None else offset
        consumer.assign(partitions)
        self._assigned = {(partition.topic, partition.partition) for partition in partitions}
        self._ended = set()

    def read(self, number: int) -> list:
        """Up to `number` records; fewer when no more come within a second."""
        messages = []
        for message in self._consumer.consume(number, timeout=1.0):
            place = (message.topic(), message.partition())
            if message.error() is None:
                self._ended.discard(place)
                messages.append(message)
            elif message.error().code() == KafkaError._PARTITION_EOF:
                self._ended.add(place)
            else:
                # What passes by itself, such as a broker that is away, is not told here.
                raise KafkaException(message.error())
        return messages

    def at_end(self) -> bool:
        """Whether there is nothing more to read at the moment."""
        return bool(self._assigned) and self._ended == self._assigned

    def close(self) -> None:
        """Ends reading."""
        self._consumer.close()


def handle(message, contract: Contract, totals: Totals) -> None:
    """Counts a record, or reports why not; and goes past it either way."""
    place = (message.topic(), message.partition(), message.offset())
    try:
        event = contract.read(message)
        if event.data is None:
            print("unknown {}[{}]@{}: no schema for {}".format(*place, event.type), file=sys.stderr)
        totals.count(event)
    except (BrokenContract, DoesNotFit) as error:
        print("rejected {}[{}]@{}: {}".format(*place, error), file=sys.stderr)
        totals.reject(*place, str(error))
    totals.advance(*place)


def run(arguments: argparse.Namespace) -> None:
    """Until the end of the topics, or until it is told to stop."""
    contract = Contract(headers=REPOSITORY / "examples/headers.schema.json", events=arguments.schemas)
    totals = Totals(arguments.file)
    if arguments.rewind:
        totals.rewind()
    reader = Reader(totals, arguments.brokers, arguments.prefix, arguments.group)
    try:
        while not (arguments.until_end and reader.at_end()):
            messages = reader.read(arguments.batch)
            if messages:
                with totals.transaction():
                    for message in messages:
                        handle(message, contract, totals)
                print(json.dumps(totals.read()), flush=True)
    finally:
        reader.close()
    print(json.dumps(totals.read()), flush=True)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--brokers", default=os.environ.get("KAFKA_BROKERS", "127.0.0.1:9092"))
    parser.add_argument("--prefix", default="orderflow", help="what the names of the topics begin with")
    parser.add_argument("--group", default="totals-python", help="the consumer group")
    parser.add_argument("--file", type=Path, default=Path("totals.sqlite"), help="where totals and offsets are kept")
    parser.add_argument("--schemas", type=Path, default=REPOSITORY / "schemas/events", help="JSON Schemas by event type")
    parser.add_argument("--batch", type=int, default=500, help="how many records are one transaction, at most")
    parser.add_argument("--until-end", action="store_true", help="stop at the end of the topics")
    parser.add_argument("--rewind", action="store_true", help="read everything again; what was counted does not count twice")
    try:
        run(parser.parse_args())
    except KeyboardInterrupt:
        # Any moment is good enough to stop at: what was not committed to the file is read again.
        pass


if __name__ == "__main__":
    main()
