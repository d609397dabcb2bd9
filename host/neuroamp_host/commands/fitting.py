"""`neuroamp fitting`: the fitting page in a browser, for the device on a serial port."""

from __future__ import annotations

import argparse

from neuroamp_host.fitting.client import DeviceClient
from neuroamp_host.fitting.link import Patience
from neuroamp_host.fitting.page.server import make_app
from neuroamp_host.fitting.page.session import DeviceSession
from neuroamp_host.fitting.ports import DEFAULT_BAUD, list_ports
from neuroamp_host.local_page.serving import add_page_arguments, serve_page

DEFAULT_LISTEN_PORT = 8642
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
    add_page_arguments(parser, DEFAULT_LISTEN_PORT)


def run(options: argparse.Namespace) -> int:
    """Serves the page until it is interrupted."""

    def connect(port: str) -> DeviceClient:
        return DeviceClient(port, options.baud, PATIENCE, reconnect_s=0.0)

    session = DeviceSession(connect, options.port or _only_port())
    try:
        serve_page(
            options,
            lambda token: make_app(session, token),
            "The fitting page",
            "Ctrl+C ends it; the device goes on by itself.",
        )
    finally:
        session.close()
    return 0


def _only_port() -> str:
    """The only USB serial port, or '' where there is none or a choice to make."""
    found = [port.name for port in list_ports() if port.hardware is not None]
    return found[0] if len(found) == 1 else ""
