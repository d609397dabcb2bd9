"""`neuroamp fitting`: what it refuses before it serves anything."""

from __future__ import annotations

import socket

import pytest
from neuroamp_host.cli import MISTAKE, main
from neuroamp_host.local_page.guard import is_local
from neuroamp_host.local_page.serving import page_token


@pytest.fixture
def taken() -> int:
    with socket.create_server(("127.0.0.1", 0)) as other:
        yield other.getsockname()[1]


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["--listen", "70000"], "70000"),
        (["--listen", "-1"], "-1"),
        (["--token", "short"], "at least 16"),
        (["--host", "no.such.host.invalid", "--listen", "0"], "no.such.host.invalid"),
    ],
)
def test_a_mistake_is_one_sentence(
    words: list[str], named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["fitting", "--no-browser", *words]) == MISTAKE
    said = capsys.readouterr().err
    assert named in said
    assert said.startswith("neuroamp: ")
    assert said.count("\n") == 1


def test_a_port_that_is_taken_is_said(taken: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fitting", "--no-browser", "--listen", str(taken)]) == MISTAKE
    assert f"TCP port {taken}" in capsys.readouterr().err


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "localhost", "::1"])
def test_this_computer_alone_needs_no_token(host: str) -> None:
    assert is_local(host)
    assert page_token(host, None) is None


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.9", "aid.example", ""])
def test_anything_else_gets_a_token_that_cannot_be_guessed(host: str) -> None:
    assert not is_local(host)
    first, second = page_token(host, None), page_token(host, None)
    assert first is not None
    assert len(first) >= 32
    assert first != second


def test_a_token_of_one_s_own_is_taken() -> None:
    assert page_token("0.0.0.0", "0123456789abcdef") == "0123456789abcdef"
    assert page_token("127.0.0.1", "0123456789abcdef") == "0123456789abcdef"
