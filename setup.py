"""Builds the C core beside the Python package; everything else is in pyproject.toml.

The core is optional: where no C compiler is found, the package installs without it and runs
its models by the onnx or tflite engine.
"""

from pathlib import Path

from setuptools import Extension, setup

CORE = Path("device/core")
FLAGS = ["-std=c11", "-O3", "-ffp-contract=off", "-fvisibility=hidden", "-Wall", "-Wextra"]

core = Extension(
    "neuroamp._core",
    sources=sorted(str(path) for path in [*CORE.glob("src/*.c"), *CORE.glob("hosted/*.c")]),
    include_dirs=[str(CORE / "include")],
    depends=sorted(str(path) for path in CORE.glob("**/*.h")),
    extra_compile_args=FLAGS,
    optional=True,
)

setup(ext_modules=[core])
