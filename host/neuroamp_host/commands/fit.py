"""`neuroamp fit`: one ear or both of a device fitted over a serial port, and verified."""

from __future__ import annotations

import argparse
import dataclasses
import select
import sys
import time
from collections.abc import Sequence

from neuroamp.audiogram import Audiogram, Ear
from neuroamp.audiogram_files import load_listener
from neuroamp.bands import CHANNEL_FREQUENCIES_HZ
from neuroamp.errors import NeuroampError
from neuroamp.link.codes import TRY_RANGE_S, Capability, Output, Program
from neuroamp.link.messages import Applied, Ears
from neuroamp.link.records import Calibration, FittingRecord

from neuroamp_host.fitting.backup import back_up, read_backup
from neuroamp_host.fitting.client import DeviceClient, LinkError, Patience, RefusedError
from neuroamp_host.fitting.ports import DEFAULT_BAUD, PortInfo, list_ports
from neuroamp_host.fitting.push import LEAST_TRIAL_S, push
from neuroamp_host.listener_options import add_listener_arguments, fitting_from, split_source
from neuroamp_host.sound_options import add_calibration_arguments, calibrations_from

BOTH = "both"
NOT_VERIFIED = 3
"""Exit code: the fitting could not be verified, and the device has what it had before."""

ACTIONS = ("audiogram", "backup", "restore", "calibrate")
RECONNECT_S = 5.0
LISTING = Patience(first_s=0.3, most_s=0.3, tries=2)
"""A port on which nothing answers must not hold the list up."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the options."""
    parser.add_argument("--port", metavar="PORT", help="serial port, such as /dev/ttyACM0 or COM3")
    parser.add_argument(
        "--baud",
        type=int,
        default=DEFAULT_BAUD,
        help="bits a second; USB devices without a UART ignore it (default: %(default)d)",
    )
    parser.add_argument(
        "--list", action="store_true", help="list the serial ports with what answers on them"
    )
    parser.add_argument(
        "--ear",
        choices=[*(ear.value for ear in Ear), BOTH],
        help="which ear to fit; 'both' are stored together or not at all",
    )
    add_listener_arguments(parser, required=False)
    parser.add_argument(
        "--program",
        choices=[program.name.lower() for program in Program],
        default=Program.EVERYDAY.name.lower(),
        help="listening program that the fitting begins in (default: %(default)s)",
    )
    parser.add_argument(
        "--try",
        dest="trial_s",
        type=int,
        metavar="SECONDS",
        help="play it for so long, 30 to 600 s, and ask whether to keep it; without a yes the "
        "device returns to what it had",
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="show the gains; do not send anything"
    )
    parser.add_argument("--backup", metavar="FILE", help="write the device's fittings to FILE")
    parser.add_argument("--restore", metavar="FILE", help="fit the device with a backup")
    parser.add_argument(
        "--calibrate",
        action="store_true",
        help="store the calibration of --ear by the three options below, the device muted for it",
    )
    add_calibration_arguments(parser)


def run(options: argparse.Namespace) -> int:
    """Does one thing with a device; returns the exit code."""
    if options.list:
        _list(options)
        return 0
    asked = [name for name in ACTIONS if getattr(options, name)]
    if len(asked) != 1:
        raise NeuroampError(
            "say one thing to do: --audiogram with --ear to fit, --backup, --restore, --calibrate "
            "or --list; "
            f"{'none' if not asked else ' and '.join(f'--{name}' for name in asked)} was given."
        )
    if options.trial_s is not None and not LEAST_TRIAL_S <= options.trial_s <= TRY_RANGE_S[1]:
        raise NeuroampError(
            f"--try is {options.trial_s} s but must be from {LEAST_TRIAL_S} to {TRY_RANGE_S[1]} s."
        )
    if options.calibrate:
        return _calibrate(options)
    if options.audiogram:
        records = _records(options)
        for record in records:
            _show(record)
        if options.dry_run:
            print("dry run: nothing was sent")
            return 0
        return _fit(options, records)
    if options.backup:
        with _open(options) as client:
            ears = back_up(client, options.backup)
        print(f"backed up {_names(frozenset(ears))} to {options.backup}")
        return 0
    serial, records = read_backup(options.restore)
    for record in records:
        _show(record)
    if options.dry_run:
        print("dry run: nothing was sent")
        return 0
    return _fit(options, records, serial)


def _calibrate(options: argparse.Namespace) -> int:
    """Stores the calibration of one ear or both, and reads it back."""
    ears = _ears(options)
    calibrations = calibrations_from(options, ears)
    if not calibrations:
        raise NeuroampError(
            "--calibrate needs what was measured: --microphone-db-spl and --receiver-db-spl."
        )
    with _open(options) as client:
        sounded = client.identify().output is Output.SOUNDS
        client.mute(True)
        for calibration in calibrations:
            wanted = dataclasses.replace(calibration, time_s=int(time.time()))
            client.write_calibration(wanted)
            if client.read_calibration(wanted.ear) != Calibration.decode(wanted.encode()):
                print(
                    f"neuroamp: the {wanted.ear.value} ear holds another calibration than was "
                    "sent, and the device stays muted; repeat the command.",
                    file=sys.stderr,
                )
                return NOT_VERIFIED
        if sounded:
            client.mute(False)
    print(f"stored and read back: the calibration of {_names(frozenset(ears))}")
    return 0


def _ears(options: argparse.Namespace) -> list[Ear]:
    if options.ear is None:
        raise NeuroampError("--ear is missing; give left, right or both.")
    return list(Ear) if options.ear == BOTH else [Ear(options.ear)]


def _records(options: argparse.Namespace) -> list[FittingRecord]:
    """The fittings that are asked for, one for each ear."""
    ears = _ears(options)
    listener = load_listener(*split_source(options.audiogram))
    now_s = int(time.time())
    records = []
    for ear in ears:
        audiogram = listener.ear(ear)
        fitting = fitting_from(options, listener, ear)
        record = FittingRecord(fitting, audiogram, Program[options.program.upper()], 1, now_s)
        # As the device will hold it: what does not fit is refused before anything is sent.
        records.append(FittingRecord.decode(record.encode()))
    return records


def _open(options: argparse.Namespace) -> DeviceClient:
    if not options.port:
        raise NeuroampError("--port is missing; `neuroamp fit --list` shows the ports.")
    return DeviceClient(options.port, options.baud, reconnect_s=RECONNECT_S)


def _fit(
    options: argparse.Namespace, records: Sequence[FittingRecord], serial: str | None = None
) -> int:
    with _open(options) as client:
        identity = client.identify()
        wanted: Ears = frozenset(record.fitting.ear for record in records)
        missing = wanted - client.greeting.ears
        if missing:
            raise NeuroampError(
                f"the device at {client.port} has {_names(client.greeting.ears)} but not "
                f"{_names(missing)}; choose an ear that it has."
            )
        if serial is not None and serial != identity.serial:
            print(f"note: the backup is of the device {serial}, this is {identity.serial}.")
        print(f"device             {identity.name}, {identity.serial}, at {client.port}")
        started = time.monotonic()
        kept = True

        def keep() -> bool:
            nonlocal kept
            kept = options.trial_s is None or _ask(options.trial_s)
            return kept

        try:
            records = [_counted(client, record) for record in records]
            trial_s = LEAST_TRIAL_S if options.trial_s is None else options.trial_s
            applied = push(client, records, keep, trial_s)
        except RefusedError:
            raise
        except LinkError as error:
            print(f"neuroamp: not verified: {error}", file=sys.stderr)
            return NOT_VERIFIED
        if not kept:
            print("taken back         the device plays what it had before")
            return 0
        for ear, state in applied.items():
            _show_applied(ear, state)
        took = (
            "" if options.trial_s else f", {time.monotonic() - started:.2f} s after the first byte"
        )
        print(f"stored and verified{took}")
        notes = _notes(client, applied)
    for note in notes:
        print(f"note: {note}.")
    return 0


def _counted(client: DeviceClient, record: FittingRecord) -> FittingRecord:
    """The record with the version after that of the stored one."""
    stored = client.read_record(record.fitting.ear)
    version = 1 if stored is None else (stored.version + 1) % 2**32
    return FittingRecord(record.fitting, record.audiogram, record.program, version, record.time_s)


def _ask(seconds: int) -> bool:
    """Whether the person keeps what plays; no without a terminal, and when the time is over."""
    if not sys.stdin.isatty():
        print(f"it plays for {seconds} s and is then taken back; leave --try out to keep it")
        time.sleep(seconds)
        return False
    print(f"it plays now; keep it? [y/N, within {seconds} s] ", end="", flush=True)
    ready, _, _ = select.select([sys.stdin], [], [], seconds)
    if not ready:
        print()
        return False
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _notes(client: DeviceClient, applied: dict[Ear, Applied]) -> list[str]:
    notes = []
    for ear, state in applied.items():
        if not state.calibrated:
            notes.append(
                f"the {ear.value} ear is not calibrated and limited to {state.mpo_db_spl:g} dB SPL"
            )
    if any(state.output is not Output.SOUNDS for state in applied.values()):
        notes.append("the device is muted")
    if not client.greeting.capabilities & Capability.NET:
        notes.append("the device has no net, so there is no noise reduction")
    if not client.greeting.capabilities & Capability.LASTING_SETTINGS:
        notes.append("the device forgets its fitting when it is switched off")
    return notes


def _list(options: argparse.Namespace) -> None:
    """Prints every port with what answers on it."""
    ports = list_ports()
    if options.port and options.port not in [info.name for info in ports]:
        ports.insert(0, PortInfo(options.port))
    for info in ports:
        print(f"{info.name:20}{_answering(info, options.baud)}")
    if not ports:
        print("there is no serial port on this computer; plug the device in")


def _answering(info: PortInfo, baud: int) -> str:
    hardware = f" ({info.description})" if info.description else ""
    try:
        with DeviceClient(info.name, baud, LISTING, reconnect_s=0.0) as client:
            identity = client.identify()
            parts = [identity.name, identity.serial, f"firmware {identity.firmware}"]
            for ear in Ear:
                if ear in client.greeting.ears:
                    parts.append(
                        f"{ear.value} {_state(client.applied(ear), ear in identity.fitted)}"
                    )
            return ", ".join(parts)
    except LinkError as error:
        return f"{error.what}{hardware}"


def _state(applied: Applied, fitted: bool) -> str:
    return ("fitted" if fitted else "unfitted") + ("" if applied.calibrated else ", uncalibrated")


def _show(record: FittingRecord) -> None:
    """Audiogram and target gains as a table."""
    fitting, audiogram = record.fitting, record.audiogram
    name = "" if audiogram is None or not audiogram.name else f" {audiogram.name}"
    print(f"{fitting.ear.value} ear, audiogram{name}, rule {fitting.rule}")
    _row("Hz", [f"{hz:g}" for hz in CHANNEL_FREQUENCIES_HZ])
    if audiogram is not None:
        _row("dB HL", _thresholds(audiogram))
    _row("gain, dB", [f"{gain:.1f}" for gain in fitting.gain_65_db])
    _row("ratio", [f"{ratio:.2f}" for ratio in fitting.compression_ratio])
    print(
        f"  MPO {fitting.mpo_db_spl:g} dB SPL, knee {fitting.knee_db_spl:g} dB SPL, attack "
        f"{1000.0 * fitting.attack_s:g} ms, release {1000.0 * fitting.release_s:g} ms, noise "
        f"reduction {fitting.noise_reduction:g}, program {record.program.name.lower()}"
    )


def _show_applied(ear: Ear, applied: Applied) -> None:
    _row(f"{ear.value}, dB", [f"{gain:.1f}" for gain in applied.gain_65_db], "applied")


def _thresholds(audiogram: Audiogram) -> list[str]:
    """A threshold where one was measured, 'NR' behind it where there was no response."""
    known = {hz: (db, silent) for hz, db, silent in audiogram.points()}
    shown = []
    for hz in CHANNEL_FREQUENCIES_HZ:
        db, silent = known.get(hz, (None, False))
        shown.append("-" if db is None else f"{db:g}{'NR' if silent else ''}")
    return shown


def _row(name: str, cells: Sequence[str], before: str = "") -> None:
    print(
        f"  {before}{' ' if before else ''}{name:{17 - len(before) - bool(before)}}"
        + "".join(f"{cell:>7}" for cell in cells)
    )


def _names(ears: Ears) -> str:
    names = [f"the {ear.value} ear" for ear in Ear if ear in ears]
    return " and ".join(names) or "no ear"
