"""Serves a page at an address of this computer until it is interrupted."""

from __future__ import annotations

import argparse
import contextlib
import secrets
import socket
import sys
import webbrowser
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import uvicorn
from neuroamp.errors import NeuroampError

from neuroamp_host.local_page.guard import is_local

DEFAULT_HOST = "127.0.0.1"
LEAST_TOKEN = 16


def add_page_arguments(parser: argparse.ArgumentParser, listen_port: int) -> None:
    """Declares where the page is; `listen_port` is its TCP port where none is given."""
    parser.add_argument(
        "--host",
        default=DEFAULT_HOST,
        metavar="ADDRESS",
        help="address to listen at; any but this computer's own needs the token that is printed, "
        "and sends what it shows unencrypted (default: %(default)s)",
    )
    parser.add_argument(
        "--listen",
        type=int,
        default=listen_port,
        metavar="TCP_PORT",
        help="TCP port to listen at, 0 for a free one (default: %(default)d)",
    )
    parser.add_argument(
        "--token",
        help="token for an address other than this computer's own, at least "
        f"{LEAST_TOKEN} characters (default: a random one)",
    )
    parser.add_argument(
        "--no-browser", action="store_true", help="print the address, open no browser"
    )


def serve_page(
    options: argparse.Namespace, make_app: Callable[[str | None], Any], what: str, end: str
) -> None:
    """Serves the application that `make_app` makes of the token, until Ctrl+C.

    Args:
        options: as `add_page_arguments` declares them.
        make_app: given the token that a browser has to show, or None.
        what: the page's name, 'The fitting page'.
        end: what ending it means, for the person at the terminal.

    Raises:
        NeuroampError: the token is too short, or the address cannot be listened at.
    """
    token = page_token(options.host, options.token)
    listener = _listen(options.host, options.listen)
    shown_host = f"[{options.host}]" if ":" in options.host else options.host
    address = f"http://{shown_host}:{listener.getsockname()[1]}/"
    if token is not None:
        address += f"?token={quote(token, safe='')}"
    config = uvicorn.Config(
        make_app(token),
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=1,
        server_header=False,
        ws="none",
    )
    print(f"{what} is at {address}", flush=True)
    print(end, file=sys.stderr, flush=True)
    if not options.no_browser:
        with contextlib.suppress(webbrowser.Error):
            webbrowser.open(address)
    try:
        uvicorn.Server(config).run(sockets=[listener])
    except KeyboardInterrupt:
        pass
    finally:
        listener.close()


def page_token(host: str, wanted: str | None) -> str | None:
    """The token that a browser has to show; None where only this computer reaches the page.

    Raises:
        NeuroampError: the wanted one is too short.
    """
    if wanted is not None and len(wanted) < LEAST_TOKEN:
        raise NeuroampError(
            f"--token has {len(wanted)} characters but needs at least {LEAST_TOKEN}; give a "
            "longer one, or none for a random one."
        )
    if wanted is None and not is_local(host):
        return secrets.token_urlsafe(24)
    return wanted


def _listen(host: str, port: int) -> socket.socket:
    if not 0 <= port <= 65535:
        raise NeuroampError(f"--listen is {port} but must be a TCP port from 0 to 65535.")
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family)
    except OSError as error:
        raise NeuroampError(
            f"cannot listen at {host}, TCP port {port} ({error.strerror or error}); choose "
            "another with --listen, or close the program that has it."
        ) from None
