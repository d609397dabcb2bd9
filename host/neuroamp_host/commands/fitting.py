"""`neuroamp fitting`: the fitting page in a browser, for the device on a serial port."""

from __future__ import annotations

import argparse
import contextlib
import secrets
import socket
import sys
import webbrowser
from urllib.parse import quote

import uvicorn
from neuroamp.errors import NeuroampError

from neuroamp_host.fitting.client import DeviceClient
from neuroamp_host.fitting.link import Patience
from neuroamp_host.fitting.page.guard import is_local
from neuroamp_host.fitting.page.server import make_app
from neuroamp_host.fitting.page.session import DeviceSession
from neuroamp_host.fitting.ports import DEFAULT_BAUD, list_ports

DEFAULT_HOST = "127.0.0.1"
DEFAULT_LISTEN_PORT = 8642
LEAST_TOKEN = 16
PATIENCE = Patience(tries=4)
"""A page that shows what is should know within seconds that nothing answers any more."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the options."""
    parser.add_argument(
        "--port",
        metavar="PORT",
        help="serial port of the device (default: the only USB one; another can be chosen on the "
        "page)",
    )
    parser.add_argument(
        "--baud",
        type=int,
        default=DEFAULT_BAUD,
        help="bits a second of that port (default: %(default)d)",
    )
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
        default=DEFAULT_LISTEN_PORT,
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


def run(options: argparse.Namespace) -> int:
    """Serves the page until it is interrupted."""
    token = _token(options.host, options.token)
    listener = _listen(options.host, options.listen)
    shown_host = f"[{options.host}]" if ":" in options.host else options.host
    address = f"http://{shown_host}:{listener.getsockname()[1]}/"
    if token is not None:
        address += f"?token={quote(token, safe='')}"

    def connect(port: str) -> DeviceClient:
        return DeviceClient(port, options.baud, PATIENCE, reconnect_s=0.0)

    session = DeviceSession(connect, options.port or _only_port())
    config = uvicorn.Config(
        make_app(session, token),
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=1,
        server_header=False,
        ws="none",
    )
    print(f"The fitting page is at {address}", flush=True)
    print("Ctrl+C ends it; the device goes on by itself.", file=sys.stderr, flush=True)
    if not options.no_browser:
        with contextlib.suppress(webbrowser.Error):
            webbrowser.open(address)
    try:
        uvicorn.Server(config).run(sockets=[listener])
    except KeyboardInterrupt:
        pass
    finally:
        session.close()
        listener.close()
    return 0


def _token(host: str, wanted: str | None) -> str | None:
    """The token that a browser has to show; None where only this computer reaches the page."""
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


def _only_port() -> str:
    """The only USB serial port, or '' where there is none or a choice to make."""
    found = [port.name for port in list_ports() if port.hardware is not None]
    return found[0] if len(found) == 1 else ""
