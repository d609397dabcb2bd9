"""Payloads: the vectors of every command, and any bytes at all."""

from __future__ import annotations

import dataclasses
import enum
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from neuroamp.audiogram import Ear
from neuroamp.link.codes import Command, Refusal, Status
from neuroamp.link.messages import (
    MESSAGES,
    EventList,
    Message,
    decode_reply,
    encode_refusal,
    encode_reply,
    number_of,
)

VECTORS = json.loads((Path(__file__).parents[2] / "data/link/payloads.json").read_text())
NOT_IN_THE_VECTORS = {"confirm"}


def plain(message: Message) -> dict[str, Any]:
    """The message as the vectors write it: numbers, text, lists, hexadecimal bytes."""
    shown: dict[str, Any] = {}
    for field in dataclasses.fields(message):
        value = getattr(message, field.name)
        if isinstance(value, frozenset):
            value = number_of(value)
        elif isinstance(value, Ear):
            value = 1 if value is Ear.LEFT else 2
        elif isinstance(value, enum.Enum):
            value = value.value
        elif isinstance(value, bytes):
            value = value.hex()
        elif isinstance(value, tuple):
            value = list(value)
        shown[field.name] = value
    if isinstance(message, EventList):
        del shown["packed"]
        shown["events"] = [plain(event) for event in message.events()]
        for event in shown["events"]:
            assert event.pop("zero") == 0
    return {name: value for name, value in shown.items() if name not in NOT_IN_THE_VECTORS}


@pytest.mark.parametrize("vector", VECTORS, ids=lambda v: v["command"])
def test_a_command_has_the_bytes_of_its_vector(vector: dict[str, Any]) -> None:
    command = Command[vector["command"]]
    assert command == vector["code"]
    request_type, answer_type = MESSAGES[command]
    request_payload = bytes.fromhex(vector["request_payload"])
    request = request_type.decode(request_payload)
    assert plain(request) == vector["request"]
    assert request.encode() == request_payload
    reply_payload = bytes.fromhex(vector["reply_payload"])
    answer = decode_reply(reply_payload, answer_type)
    assert plain(answer) == vector["answer"]
    assert encode_reply(answer) == reply_payload


def test_every_command_has_a_vector() -> None:
    assert {vector["command"] for vector in VECTORS} == {command.name for command in Command}
    assert set(MESSAGES) == set(Command)


@given(st.sampled_from(list(Command)), st.binary(max_size=113))
def test_any_request_is_read_or_refused(command: Command, payload: bytes) -> None:
    request_type, _ = MESSAGES[command]
    request, status = None, None
    try:
        request = request_type.decode(payload)
    except Refusal as refusal:
        status = refusal.status
    assert status in (None, Status.BAD_LENGTH, Status.BAD_VALUE)
    assert request is None or request.encode() == payload


@given(st.sampled_from(list(Command)), st.binary(max_size=130))
def test_any_reply_is_read_or_refused(command: Command, payload: bytes) -> None:
    _, answer_type = MESSAGES[command]
    try:
        answer = decode_reply(payload, answer_type)
        if isinstance(answer, EventList):
            answer.events()
    except Refusal:
        pass


def test_a_refusal_keeps_its_reason() -> None:
    for status in list(Status)[1:]:
        with pytest.raises(Refusal) as refusal:
            decode_reply(encode_refusal(Refusal(status, 9, 5)), MESSAGES[Command.TRY][1])
        found = (refusal.value.status, refusal.value.field, refusal.value.index)
        assert found == (status, 9, 5)
