"""From a record of a topic to an event that keeps the contract, or to the reason why it is none."""

import json
from dataclasses import dataclass
from pathlib import Path

from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match

FORMATS = Draft202012Validator.FORMAT_CHECKER


class BrokenContract(Exception):
    """The record is no event as published. It will not become one by being read again."""


@dataclass(frozen=True)
class Event:
    """An event. `(source, subject)` names its stream, and `version` its place in it, gapless from 1.

    One of a type that there is no schema for has no data: types are added without asking consumers, who pass over what they
    do not know, and follow its stream all the same.
    """

    id: str
    type: str
    source: str
    subject: str
    version: int
    data: dict | None


class Contract:
    """The schemas: one for the headers of all records (CloudEvents, binary mode), one for the value of each event type."""

    def __init__(self, headers: Path, events: Path):
        self._headers = _validator(headers)
        self._events = {file.stem: _validator(file) for file in events.glob("*.json")}
        if not self._events:
            raise FileNotFoundError(f"there are no schemas in {events}")

    def read(self, message) -> Event:
        """The event in a Kafka message. Raises BrokenContract."""
        headers = {name: value.decode(errors="replace") for name, value in message.headers() or [] if value is not None}
        _check(self._headers, headers, "headers")
        if message.key() != headers["ce_subject"].encode():
            raise BrokenContract("the key is not ce_subject")
        kind = headers["ce_type"]
        data = self._data(kind, message.value()) if kind in self._events else None
        return Event(
            headers["ce_id"], kind, headers["ce_source"], headers["ce_subject"], int(headers["ce_version"]), data
        )

    def _data(self, kind: str, value: bytes | None) -> dict:
        try:
            data = json.loads(value or b"")
        except ValueError as error:
            raise BrokenContract(f"{kind}: not JSON") from error
        _check(self._events[kind], data, kind)
        return data


def _validator(file: Path) -> Draft202012Validator:
    # Compiled once: to find and read a schema for each record would be most of the work.
    return Draft202012Validator(json.loads(file.read_text()), format_checker=FORMATS)


def _check(validator: Draft202012Validator, instance, what: str) -> None:
    error = best_match(validator.iter_errors(instance))
    if error is not None:
        # Where and which rule, without the value: it may be personal.
        raise BrokenContract(f"{what}: {error.json_path} breaks `{error.validator}`")
