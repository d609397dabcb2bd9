"""The repository as a whole: who imports whom, what is declared, what documents promise."""

import argparse
import ast
import importlib
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from neuroamp.audiogram import bisgaard
from neuroamp.audiogram_files import load_listener
from neuroamp_host.cli import COMMANDS, main
from neuroamp_host.prescription import prescribe

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = {
    "neuroamp": ROOT / "device/neuroamp",
    "neuroamp_export": ROOT / "firmware_export/neuroamp_export",
    "neuroamp_host": ROOT / "host/neuroamp_host",
}
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
DOCUMENTS = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]

DISTRIBUTIONS = {
    "ai_edge_litert": "ai-edge-litert",
    "ai_edge_quantizer": "ai-edge-quantizer",
    "clarity": "pyclarity",
    "litert_torch": "litert-torch",
    "serial": "pyserial",
    "tflite_micro": "tflite-micro",
    "yaml": "pyyaml",
}
"""Distributions whose import name is another."""

OPTIONAL = {"tflite_runtime", "triton"}
"""Used where a board has it, or where torch brings it for a GPU; deliberately no requirement."""


def sources(package: str) -> list[Path]:
    return sorted(PACKAGES[package].rglob("*.py"))


def imports(path: Path, loading: bool) -> Iterator[str]:
    """Top-level names that a file imports; with `loading` only those that loading it imports."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    functions = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports here are absolute"
            yield str(node.module).partition(".")[0]
        elif not (loading and isinstance(node, functions)):
            waiting.extend(ast.iter_child_nodes(node))


def third_party(names: set[str]) -> set[str]:
    return names - set(sys.stdlib_module_names) - set(PACKAGES)


def tracked_files() -> list[Path]:
    """What git tracks; without git (an unpacked archive) everything but hidden folders."""
    if (ROOT / ".git").exists() and shutil.which("git"):
        listed = subprocess.run(
            ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
        )
        names = [name for name in listed.stdout.split("\0") if name]
        return [ROOT / name for name in names if (ROOT / name).is_file()]
    return [
        path
        for path in ROOT.rglob("*")
        if path.is_file() and not any(part.startswith(".") for part in path.parts)
    ]


@pytest.mark.parametrize("path", sources("neuroamp"), ids=lambda path: path.stem)
def test_the_device_loads_on_numpy_alone(path: Path) -> None:
    assert third_party(set(imports(path, loading=True))) <= {"numpy"}


@pytest.mark.parametrize(
    ("package", "forbidden"),
    [
        ("neuroamp", {"neuroamp_host", "neuroamp_export", "torch", "scipy", "matplotlib", "rich"}),
        ("neuroamp_export", {"neuroamp_host"}),
    ],
)
def test_dependencies_point_from_host_to_export_to_device(
    package: str, forbidden: set[str]
) -> None:
    for path in sources(package):
        assert not set(imports(path, loading=False)) & forbidden, path


def test_everything_that_is_imported_is_declared() -> None:
    project = PYPROJECT["project"]
    declared = [*project["dependencies"]]
    for extra in project["optional-dependencies"].values():
        declared += extra
    names = {re.split(r"[^A-Za-z0-9_.-]", line, maxsplit=1)[0].lower() for line in declared}
    for package in PACKAGES:
        for path in sources(package):
            for module in third_party(set(imports(path, loading=False))) - OPTIONAL:
                assert DISTRIBUTIONS.get(module, module).lower() in names, f"{module} in {path}"


def test_every_package_is_in_the_distribution() -> None:
    setuptools = PYPROJECT["tool"]["setuptools"]
    for name, folder in PACKAGES.items():
        assert ROOT / setuptools["package-dir"][name] == folder
    found = {
        ".".join([name, *init.parent.relative_to(folder).parts])
        for name, folder in PACKAGES.items()
        for init in folder.rglob("__init__.py")
    }
    assert set(setuptools["packages"]) == found


def test_a_board_without_the_host_s_packages_can_process() -> None:
    """These commands must run on the base install: the host's other packages are blocked here."""
    blocked = ["torch", "scipy", "numba", "matplotlib", "rich", "clarity", "onnx", "onnxscript"]
    commands = ["process", "run", "profile", "models", "export", "firmware", "device", "fit"]
    script = (
        "import sys\n"
        f"sys.modules.update(dict.fromkeys({blocked!r}))\n"
        "from neuroamp_host.cli import main\n"
        f"for command in {commands!r}:\n"
        "    try:\n"
        "        main([command, '--help'])\n"
        "    except SystemExit as stop:\n"
        "        assert stop.code == 0, command\n"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr


def help_of(command: str, capsys: pytest.CaptureFixture[str], *steps: str) -> str:
    with pytest.raises(SystemExit) as stop:
        main([command, *steps, "--help"])
    assert stop.value.code == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert f"neuroamp {command}" in help_of(command, capsys)
    parser = argparse.ArgumentParser()
    importlib.import_module(f"neuroamp_host.commands.{command}").add_arguments(parser)
    for action in parser._actions:
        assert action.help, f"{action.option_strings or action.dest} has no help"


def commands_in(document: Path) -> Iterator[list[str]]:
    """The commands of the document's code blocks, a `\\` at a line's end joined with the next."""
    text = document.read_text(encoding="utf-8").replace("\\\n", " ")
    for block in re.findall(r"^```(?:sh|bash)\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL):
        for line in block.splitlines():
            words = shlex.split(line, comments=True)
            while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
                words.pop(0)
            if words:
                yield words


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_the_documents_commands_exist(document: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words in commands_in(document):
        program = words[0].removeprefix(".venv/bin/")
        if program == "neuroamp" and not words[1].startswith("-"):
            assert words[1] in COMMANDS, words
            text = help_of(words[1], capsys)
            if len(words) > 2 and re.search(rf"^    {re.escape(words[2])} ", text, re.MULTILINE):
                text = help_of(words[1], capsys, words[2])
            for word in words[2:]:
                option = word.partition("=")[0]
                if option.startswith("--"):
                    assert re.search(rf"{option}\b", text), f"{option} in {words}"
        for word in words:
            if word.startswith(("tools/", "models/", "docs/")) and word.endswith((".sh", ".py")):
                assert (ROOT / word).is_file(), words


def test_the_service_starts_a_command_that_exists(capsys: pytest.CaptureFixture[str]) -> None:
    text = (ROOT / "tools/neuroamp.service").read_text(encoding="utf-8").replace("\\\n", " ")
    line = next(line for line in text.splitlines() if line.startswith("ExecStart="))
    program, command, *rest = shlex.split(line.removeprefix("ExecStart="))
    assert program.endswith("/bin/neuroamp")
    text = help_of(command, capsys)
    for word in rest:
        if word.startswith("--"):
            assert re.search(rf"{word}\b", text), word


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_the_documents_links_lead_somewhere(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", text):
        if "://" not in target:
            assert (document.parent / target).exists(), f"{target} in {document.name}"


def test_the_documented_files_are_read(tmp_path: Path) -> None:
    text = (ROOT / "docs/audiograms.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```(csv|json)\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)
    assert len(blocks) == 5
    for kind, content in blocks:
        path = tmp_path / f"example.{kind}"
        path.write_text(content, encoding="utf-8")
        if "gain_db" in content:
            assert prescribe(str(path), bisgaard("N3"), [500.0]).gain_65_db[0] == 10.0
        else:
            assert load_listener(path).name == "Ada"


def test_ci_runs_the_test_command() -> None:
    script = ROOT / ".ci/run"
    assert os.access(script, os.X_OK)
    lines = [line for line in script.read_text(encoding="utf-8").splitlines() if line[:1] != "#"]
    assert lines == ["exec bash tools/test.sh"]


@pytest.mark.parametrize("script", sorted((ROOT / "tools").glob("*.sh")), ids=lambda p: p.name)
def test_the_scripts_are_bash(script: Path) -> None:
    assert subprocess.run(["bash", "-n", script], check=False).returncode == 0


def test_no_file_names_a_place_on_one_machine() -> None:
    folders = ("work", "root", "home")
    place = re.compile(rb"(?<![\w.~])/(?:" + "|".join(folders).encode() + rb")/\w")
    for path in tracked_files():
        content = path.read_bytes()
        if b"\0" not in content:
            found = place.search(content)
            assert found is None, f"{found} in {path}"
