"""A device's fittings and calibration in a file, and back.

The file is JSON. A record is in it twice: as its bytes, which are what is restored and which carry
a CRC, and in words, for people. A calibration is in it for people alone: it belongs to one device's
microphone and receiver, and is never restored with a fitting.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

from neuroamp.audiogram import Ear
from neuroamp.errors import NeuroampError
from neuroamp.link.codes import Capability, Refusal
from neuroamp.link.records import FittingRecord

from neuroamp_host.fitting.client import DeviceClient
from neuroamp_host.profiling import check_target, write_whole

FORMAT = "neuroamp-fitting-backup"
FORMAT_VERSION = 1
LARGEST_FILE_BYTES = 2**20


def back_up(client: DeviceClient, path: str | Path) -> list[Ear]:
    """Writes the device's stored fittings to a file, whole or not at all; returns the ears in it.

    Raises:
        LinkError: the line was lost.
        NeuroampError: the file cannot be written, or the device has nothing to keep.
    """
    check_target(Path(path))
    identity = client.identify()
    fittings, calibrations = {}, {}
    for ear in Ear:
        if ear not in client.greeting.ears:
            continue
        record = client.read_record(ear)
        if record is not None:
            fittings[ear.value] = {"record": record.encode().hex(), **_in_words(record)}
        if client.greeting.capabilities & Capability.CALIBRATION:
            calibration = client.read_calibration(ear)
            if calibration is not None:
                words = dataclasses.asdict(calibration) | {"ear": ear.value}
                calibrations[ear.value] = words
    if not fittings:
        raise NeuroampError(
            f"the device at {client.port} has no stored fitting, so there is nothing to back up; "
            "fit it first."
        )
    document = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "device": {"serial": identity.serial, "name": identity.name},
        "fittings": fittings,
        "calibrations": calibrations,
    }
    write_whole(Path(path), (json.dumps(document, indent=2) + "\n").encode())
    return [ear for ear in Ear if ear.value in fittings]


def read_backup(path: str | Path) -> tuple[str, list[FittingRecord]]:
    """Serial number of the device that was backed up, and its fittings.

    Raises:
        NeuroampError: the file cannot be read, is no backup, or a record in it is damaged or
            another ear's.
    """
    try:
        if Path(path).stat().st_size > LARGEST_FILE_BYTES:
            raise ValueError("it is too large")
        document = json.loads(Path(path).read_text(encoding="utf-8"))
        if document["format"] != FORMAT or document["format_version"] != FORMAT_VERSION:
            raise ValueError(f"its format is not {FORMAT} {FORMAT_VERSION}")
        records = []
        for name, entry in document["fittings"].items():
            record = FittingRecord.decode(bytes.fromhex(entry["record"]))
            if record.fitting.ear is not Ear(name):
                raise ValueError(f"its {name} record is for the other ear")
            records.append(record)
        if not records:
            raise ValueError("it has no fitting")
        return str(document["device"]["serial"]), records
    except OSError as error:
        raise NeuroampError(
            f"the backup {path} cannot be read ({error.strerror}); check the path."
        ) from None
    except Refusal:
        raise NeuroampError(
            f"a fitting in the backup {path} is damaged; take another backup."
        ) from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise NeuroampError(
            f"{path} is no backup of a device ({error}); give a file that `neuroamp fit --backup` "
            "wrote."
        ) from None


def _in_words(record: FittingRecord) -> dict[str, Any]:
    words = dataclasses.asdict(record.fitting) | {"ear": record.fitting.ear.value}
    audiogram = record.audiogram
    return {
        "fitting": words,
        "audiogram": None if audiogram is None else dataclasses.asdict(audiogram),
        "program": record.program.name.lower(),
        "version": record.version,
        "time_s": record.time_s,
    }
