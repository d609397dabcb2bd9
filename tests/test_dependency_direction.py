"""What running code has loaded: the device knows nothing of torch or the host.

`test_repository.py` reads the import statements; this looks at what they bring with them.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def modules_of(package: Path) -> list[str]:
    """All modules of a package that are written in Python."""
    files = [path.relative_to(package.parent).with_suffix("") for path in package.rglob("*.py")]
    return sorted(".".join(file.parts).removesuffix(".__init__") for file in files)


def loaded_by(statements: str) -> set[str]:
    """Top-level names in `sys.modules` after the statements have run in a fresh Python."""
    script = f"import sys\n{statements}\nprint(*{{name.split('.')[0] for name in sys.modules}})"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return set(run.stdout.split())


def test_the_device_loads_neither_torch_nor_the_host() -> None:
    modules = modules_of(ROOT / "device" / "neuroamp")
    assert "neuroamp.engines.onnx" in modules
    loaded = loaded_by("\n".join(f"import {name}" for name in modules))
    assert "neuroamp" in loaded
    assert not loaded & {"torch", "scipy", "onnx", "neuroamp_host", "neuroamp_export"}
    # Engines and sound libraries come when they are used, not before.
    assert not loaded & {"onnxruntime", "ai_edge_litert", "tflite_runtime", "soundfile", "soxr"}


def test_the_exporter_loads_nothing_of_the_host() -> None:
    modules = modules_of(ROOT / "firmware_export" / "neuroamp_export")
    loaded = loaded_by("\n".join(f"import {name}" for name in modules))
    assert "neuroamp_export" in loaded
    assert "neuroamp_host" not in loaded


def test_process_runs_without_torch() -> None:
    loaded = loaded_by("import neuroamp_host.commands.process")
    assert not loaded & {"torch", "scipy", "onnx", "onnxruntime", "matplotlib", "rich"}
