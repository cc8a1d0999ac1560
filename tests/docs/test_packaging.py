"""The wheel and the sdist: what is in them, what they are built from, and that the wheel works by itself."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest
from dockerfiles import DOCKERFILES, ROOT, copied, ignored

pytestmark = pytest.mark.slow

IMAGE_FOLDER = "/opt/seed-grpo"
"""Where the Dockerfiles put what they install the project from."""
SOURCE = ("configs", "seed_grpo", "pyproject.toml", "setup.py", "README.md", "LICENSE", "docs", "recipe", "tests")
"""More than a build may take from the project, and nothing that earlier builds and runs left."""
BUILD = "import sys; from setuptools import build_meta; print(getattr(build_meta, sys.argv[1])(sys.argv[2]))"


def run(*command: str | Path, cwd: Path, **environment: str) -> str:
    without_path = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [str(word) for word in command],
        capture_output=True, text=True, timeout=300, cwd=cwd, env={**without_path, "COLUMNS": "200", **environment},
    )  # fmt: skip
    assert done.returncode == 0, (command, done.stdout[-2000:] + done.stderr[-4000:])
    return done.stdout


def copy_of_the_tree(out: Path) -> Path:
    out.mkdir()
    for name in SOURCE:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, out / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, out)
    return out


def build(kind: str, tree: Path, out: Path) -> Path:
    """A wheel or an sdist of a tree, by the build backend that pyproject.toml names."""
    return out / run(sys.executable, "-c", BUILD, f"build_{kind}", out, cwd=tree).splitlines()[-1]


def contents(wheel: Path) -> dict[str, int]:
    """The names and checksums of a wheel's files, but for its own list of them, whose order is the file system's."""
    with zipfile.ZipFile(wheel) as archive:
        return {file.filename: file.CRC for file in archive.infolist() if not file.filename.endswith("/RECORD")}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel that pip makes of the project, without the network and without what earlier builds left."""
    folder = tmp_path_factory.mktemp("wheel")
    tree = copy_of_the_tree(folder / "tree")
    run(
        sys.executable, "-m", "pip", "wheel", "--disable-pip-version-check", "--quiet", "--no-deps", "--no-index",
        "--no-build-isolation", "--wheel-dir", folder, tree, cwd=folder,
    )  # fmt: skip
    [path] = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sdist, unpacked."""
    folder = tmp_path_factory.mktemp("sdist")
    with tarfile.open(build("sdist", copy_of_the_tree(folder / "tree"), folder)) as archive:
        archive.extractall(folder, filter="data")
    [path] = folder.glob("seed_grpo-*/")
    return path


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs' folder of an environment that has the wheel. It finds the wheel's dependencies in this environment,
    and neither the source tree nor this environment's own installation of the project."""
    folder = tmp_path_factory.mktemp("installed")
    venv.create(folder, with_pip=False)
    programs = folder / ("Scripts" if os.name == "nt" else "bin")
    run(
        sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", programs / "python",
        "install", "--quiet", "--no-deps", "--no-index", wheel, cwd=folder,
    )  # fmt: skip
    # Python reads no .pth files of folders that a .pth file names: an editable installation there stays out of sight.
    [site] = folder.glob("**/site-packages")
    dependencies = [path for path in sys.path if Path(path).name == "site-packages"]
    (site / "dependencies.pth").write_text("\n".join(dependencies), encoding="utf-8")
    return programs


def test_the_wheel_holds_every_module_and_every_configuration(wheel: Path) -> None:
    names = set(contents(wheel))
    modules = {str(path.relative_to(ROOT)) for path in (ROOT / "seed_grpo").rglob("*.py")}
    configs = {f"seed_grpo/{path.relative_to(ROOT)}" for path in (ROOT / "configs").rglob("*.yaml")}
    assert len(configs) > 30
    assert not (modules | configs) - names
    assert {"seed_grpo/py.typed", "seed_grpo/configs/__init__.py"} <= names
    top = {name.split("/")[0] for name in names}
    assert len(top) == 2, f"something else would be installed: {top}"


def test_the_sdist_builds_the_same_wheel(sdist: Path, wheel: Path, tmp_path: Path) -> None:
    assert (sdist / "setup.py").is_file()
    assert (sdist / "configs" / "train.yaml").is_file()
    assert contents(build("wheel", sdist, tmp_path)) == contents(wheel)


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.name)
def test_the_images_install_the_same_wheel(path: Path, wheel: Path, tmp_path: Path) -> None:
    """Built from exactly what a Dockerfile copies and .dockerignore lets through."""
    tree = tmp_path / "tree"
    for names, destination in copied(path):
        if destination != IMAGE_FOLDER and not destination.startswith(f"{IMAGE_FOLDER}/"):
            continue
        for name in names:
            files = [ROOT / name] if (ROOT / name).is_file() else [*(ROOT / name).rglob("*")]
            for file in files:
                relative = file.relative_to(ROOT)
                if file.is_dir() or ignored(str(relative)):
                    continue
                # COPY puts a file into a folder and a folder's contents in the place of one.
                inner = Path(file.name) if file == ROOT / name else file.relative_to(ROOT / name)
                target = tree / destination.removeprefix(IMAGE_FOLDER).strip("/") / inner
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, target)
    assert contents(build("wheel", tree, tmp_path)) == contents(wheel)


def test_the_wheel_alone_has_the_whole_command_line(installed: Path, tmp_path: Path) -> None:
    program = installed / "seed-grpo"
    text = run(program, "--help", cwd=tmp_path)
    for command in ("doctor", "data", "train", "eval", "ablate", "report", "analyze", "plan", "quickstart"):
        assert f" {command} " in text
    plan = json.loads(run(program, "plan", "experiment=qwen2.5_math_7b", "platform=gpu", "--json", cwd=tmp_path))
    assert plan["seconds_per_step"]["all"] > 0
    lines = [
        {"step": 1, "uid": "a", "key": f"a_{i}_0", "input": "1 + 1?", "output": f"\\boxed{{{answer}}}", "gts": ["2"],
         "score": float(answer == 2)}
        for i, answer in enumerate((2, 2, 2, 3))
    ]  # fmt: skip
    (tmp_path / "1.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    run(program, "analyze", "1.jsonl", "--out", "analysis", cwd=tmp_path)
    assert list((tmp_path / "analysis").iterdir())


def test_the_wheel_alone_composes_every_experiment(installed: Path, tmp_path: Path) -> None:
    program = """
import json, pathlib, seed_grpo.configs
from seed_grpo.training.compose import compose_config
folder = pathlib.Path(seed_grpo.configs.__file__).parent
names = sorted(path.stem for path in (folder / "experiment").glob("*.yaml"))
print(json.dumps([str(folder), {name: compose_config([f"experiment={name}"]).seed_grpo.alpha for name in names}]))
"""
    folder, alphas = json.loads(run(installed / "python", "-c", program, cwd=tmp_path).splitlines()[-1])
    assert Path(folder).is_relative_to(installed.parent)
    assert alphas.keys() == {path.stem for path in (ROOT / "configs" / "experiment").glob("*.yaml")}
    assert set(alphas.values()) == {0.02}
