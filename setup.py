"""Builds the C core beside the Python package and takes the released models in; everything else is
in pyproject.toml.

The core is optional: where no C compiler is found, the package installs without it and runs
its models by the onnx or tflite engine.
"""

from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_py import build_py

CORE = Path("device/core")
FLAGS = ["-std=c11", "-O3", "-ffp-contract=off", "-fvisibility=hidden", "-Wall", "-Wextra"]
MODEL_FILES = ("*.nam", "*.onnx", "*.tflite", "README.md")


class BuildWithModels(build_py):
    """Also copies `models/` to `neuroamp/models`; a checkout's own are found where they are."""

    def run(self) -> None:
        super().run()
        if self.editable_mode:
            return
        for pattern in MODEL_FILES:
            for path in sorted(Path("models").glob(f"*/{pattern}")):
                target = Path(self.build_lib, "neuroamp", path)
                self.mkpath(str(target.parent))
                self.copy_file(str(path), str(target))


core = Extension(
    "neuroamp._core",
    sources=sorted(str(path) for path in [*CORE.glob("src/*.c"), *CORE.glob("hosted/*.c")]),
    include_dirs=[str(CORE / "include")],
    depends=sorted(str(path) for path in CORE.glob("**/*.h")),
    extra_compile_args=FLAGS,
    optional=True,
)

setup(ext_modules=[core], cmdclass={"build_py": BuildWithModels})
