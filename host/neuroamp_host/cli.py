"""The `neuroamp` command: finds the subcommand, and turns a user's mistake into one sentence.

Only the chosen subcommand is imported, so that `process` on a Raspberry Pi needs no torch.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import sys
from collections.abc import Sequence

from neuroamp import __version__
from neuroamp.errors import NeuroampError

COMMANDS = {
    "demo": "hear what the aid does with a noisy recording",
    "process": "amplify and denoise a recording for one listener",
    "run": "be the aid, live, from a microphone to a receiver",
    "profile": "time every frame, stage by stage",
    "train": "train a net from a config file",
    "evaluate": "score a model against the prescription",
    "export": "turn a net into files that devices run, or into a firmware's image",
    "firmware": "build a microcontroller's firmware, and run it in an emulator",
    "fitting": "open the fitting page in a browser",
    "device": "be a hearing aid that is fitted over a serial port",
    "fit": "fit a device over a serial port, and verify it",
    "listening": "ask people which of two systems they prefer, double blind",
    "models": "list the released models",
}
"""Subcommands and what they do; each is `neuroamp_host.commands.<name>`."""

MISTAKE = 2
"""Exit code of a user's mistake."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one subcommand; returns the exit code (0 done, 2 a mistake, 130 interrupted)."""
    argv = list(sys.argv[1:] if arguments is None else arguments)
    parser = argparse.ArgumentParser(prog="neuroamp", description="A neural hearing aid.")
    parser.add_argument("--version", action="version", version=f"neuroamp {__version__}")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    chosen = next((word for word in argv if not word.startswith("-")), None)
    try:
        module = None
        for name, summary in COMMANDS.items():
            sub = subparsers.add_parser(name, help=summary, description=summary + ".")
            if name == chosen:
                module = _load(name)
                module.add_arguments(sub)
        options = parser.parse_args(argv)
        assert module is not None
        return int(module.run(options))
    except NeuroampError as error:
        print(f"neuroamp: {error}", file=sys.stderr)
        return MISTAKE
    except KeyboardInterrupt:
        print("neuroamp: stopped.", file=sys.stderr)
        return 130
    except BrokenPipeError:
        return 0


def _load(name: str):  # type: ignore[no-untyped-def]
    """The subcommand's module; a missing optional package becomes a sentence."""
    try:
        return importlib.import_module(f"neuroamp_host.commands.{name}")
    except ModuleNotFoundError as error:
        missing = (error.name or "").split(".")[0]
        if missing in ("neuroamp", "neuroamp_host", "neuroamp_export"):
            raise
        extras = "fitting" if name == "fitting" else "host,tflite"
        raise NeuroampError(
            f"`neuroamp {name}` needs the package {missing}, which is not installed; "
            f"install the extras with `pip install 'neuroamp[{extras}]'`."
        ) from None


if __name__ == "__main__":
    sys.exit(main())
