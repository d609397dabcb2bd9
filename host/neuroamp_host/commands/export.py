"""`neuroamp export`: a net as files that devices run, or as the image of a firmware."""

from __future__ import annotations

import argparse
from pathlib import Path

from neuroamp.core_file import SUFFIX, read_core_file
from neuroamp.errors import NeuroampError
from neuroamp.released import find_model
from neuroamp_export.formats import FORMATS
from neuroamp_export.target import TARGETS, Image, make_image, read_board

KILOBYTE = 1000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the options."""
    parser.add_argument(
        "source",
        metavar="CHECKPOINT|MODEL",
        help=f"checkpoint that `neuroamp train` wrote; with --target also a {SUFFIX} file or the "
        "name of a released model",
    )
    parser.add_argument("--out", type=Path, required=True, help="folder for the files")
    parser.add_argument(
        "--target",
        choices=sorted(TARGETS),
        help="write the model image of this processor's firmware, and nothing else",
    )
    parser.add_argument(
        "--board",
        metavar="NAME|FOLDER",
        help="with --target: refuse what does not fit this board of device/firmware/boards",
    )
    parser.add_argument("--data", type=Path, help="without --target: root of the audio data")
    parser.add_argument("--name", help="of the files (default: the folder's name)")
    parser.add_argument(
        "--formats",
        nargs="+",
        choices=FORMATS,
        help="what to write (default: all that there are for the net)",
    )
    parser.add_argument(
        "--gain-range",
        nargs=2,
        type=float,
        metavar=("MIN", "MAX"),
        help="what the net's output 0 and 1 mean on the device, dB on top of the prescription "
        "(default: as in training); a narrower range limits the suppression, choose it on dev",
    )
    parser.add_argument(
        "--smooth-gains",
        action="store_true",
        help="the device makes the gains of a net that gives magnitudes smooth across frequency, "
        "in the wearable net's 64 bands",
    )
    parser.add_argument(
        "--minutes", type=float, default=10.0, help="length of the parity stream, minutes"
    )


def run(options: argparse.Namespace) -> int:
    """Writes the files; prints the memory that they need, or how far they are from torch."""
    name = options.name or options.out.resolve().name
    if options.target:
        if options.smooth_gains:
            raise NeuroampError(
                "--smooth-gains does not go with --target; export the model first, and give that."
            )
        image = _image(options, name)
        if options.board:
            image.check_fits(read_board(options.board))
        image.write(options.out)
        _print_memory(image, options.out)
        return 0
    if options.board or not options.data:
        raise NeuroampError(
            "--board goes with --target, which says for which processor to export; add it."
            if options.board
            else "--data is missing: the root of the audio data to calibrate and compare with; "
            "give it, or --target to make a firmware's image."
        )
    from neuroamp_host.exporting import export_and_compare

    export_and_compare(
        Path(options.source),
        options.out,
        options.data,
        name,
        options.formats,
        options.gain_range,
        options.minutes,
        options.smooth_gains,
    )
    return 0


def _image(options: argparse.Namespace, name: str) -> Image:
    """The image of a released or exported model, or of a checkpoint.

    Raises:
        NeuroampError: the source is not there, is damaged, or does not go into the target.
    """
    source = Path(options.source)
    if source.is_file() and source.suffix != SUFFIX:
        from neuroamp_host.exporting import core_model

        data = core_model(source, name, options.gain_range)
    elif options.gain_range:
        raise NeuroampError(
            f"--gain-range needs a checkpoint, but {source} is exported already with a range of "
            "its own; give the checkpoint."
        )
    else:
        source = find_model(options.source, "native")
        data = read_core_file(source)[1]
    return make_image(data, options.target, source.name)


def _print_memory(image: Image, out: Path) -> None:
    rows = {
        "model image": len(image.model),
        "of which weights": image.weight_bytes,
        "flash, at most": image.flash_bytes,
        "aid of one ear": image.aid_bytes,
        "RAM, at most": image.ram_bytes,
    }
    print(f"{image.source} for {image.target}:")
    for what, count in rows.items():
        print(f"  {what:<18}{count / KILOBYTE:8.1f} kB")
    print(f"Written to {out}.")
