"""What the README shows, run as it stands there."""

from __future__ import annotations

import io
import os
import re
import shlex
import shutil
import subprocess
import sys
from math import log
from pathlib import Path
from xml.etree import ElementTree

import pytest
from rich.console import Console
from runs import ROOT, RUN_SECONDS, command
from typer.testing import CliRunner

from seed_grpo import cluster_answers, seed_grpo_advantages, semantic_entropy, uncertainty_weight
from seed_grpo.cli import app
from seed_grpo.runs.summary import summary_table
from seed_grpo.training.compose import compose_config
from seed_grpo.training.preflight import check_run

README = (ROOT / "README.md").read_text(encoding="utf-8")
TABLE = re.findall(r"^\| .* \| `([^`]+)` \|$", README, flags=re.MULTILINE)


def test_the_library_example_gives_the_numbers_beside_it() -> None:
    [block] = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    names: dict = {}
    exec(block, names)  # our own page
    assert names["ids"] == [0, 0, 0, 1]
    assert f"# {names['entropy']:.3f} nats" in block
    assert f"# {names['weight']:.3f}" in block


def test_the_picture_has_the_numbers_of_the_library_example() -> None:
    picture = ElementTree.parse(ROOT / "docs" / "images" / "architecture.svg")
    texts = {"".join(text.itertext()) for text in picture.iter("{http://www.w3.org/2000/svg}text")}
    ids = cluster_answers(["½", "0.5", "2/4", "3"], level="normalized")
    entropy = semantic_entropy(ids)
    advantages = seed_grpo_advantages([1, 1, 1, 0], ["q"] * 4, ids, alpha=0.5)
    assert ids == [0, 0, 0, 1]
    assert {"{½, 0.5, 2/4}", "{3}", f"{entropy:.3f} nats", f"at most log 4 = {log(4):.3f}"} <= texts
    assert f"{uncertainty_weight(entropy, log(4), alpha=0.5):.3f}" in texts
    assert {f"{advantages[0]:+.2f} three times", f"−{abs(advantages[3]):.2f}"} <= texts


def test_the_clone_line_and_the_quickstart_script(tmp_path: Path) -> None:
    """The lines before the script itself, with this folder as the address."""
    if not (ROOT / ".git").exists():
        pytest.skip("this is not a clone")
    [block] = [block for block in re.findall(r"```bash\n(.*?)```", README, flags=re.DOTALL) if "git clone" in block]
    lines = block.replace("REPOSITORY_URL", shlex.quote(str(ROOT))).splitlines()
    assert lines[-1] == "bash examples/quickstart.sh"
    start = "\n".join(["set -e", *lines[:-1], "bash -n examples/quickstart.sh"])
    done = subprocess.run(["bash", "-c", start], cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr


def test_the_quickstart_table_is_what_a_run_prints() -> None:
    block = README.split("<!-- quickstart -->\n```\n", 1)[1].split("```\n<!-- /quickstart -->", 1)[0]
    rows = dict(re.findall(r"^│ (.*?) +│ (.*?) +│$", block, flags=re.MULTILINE))
    accuracies = rows["validation accuracy before step 1"] + rows["validation accuracy after step 80"]
    before, after, points = (float(number) for number in re.findall(r"[\d.]+", accuracies))
    assert after - before == pytest.approx(points)
    numbers = [float(re.match(r"[\d.]+", value)[0]) for value in list(rows.values())[2:]]  # type: ignore[index]
    names = ("entropy", "entropy_mixed", "weight", "weight_mixed", "mixed_share", "step_seconds_median",
             "samples_per_second", "wall_seconds")  # fmt: skip
    summary = dict(zip(names, numbers, strict=True))
    summary["mixed_share"] /= 100
    console = Console(width=80, file=io.StringIO())
    console.print(
        summary_table(
            {"adv_estimator": "seed_grpo", "steps": 80, **summary,
             "base_accuracy": before / 100, "final_accuracy": after / 100, "final_step": 80}
        )
    )  # fmt: skip
    printed = console.file.getvalue()  # type: ignore[attr-defined]
    assert [line.split() for line in printed.splitlines()] == [line.split() for line in block.splitlines()]


def test_every_script_that_it_names_is_there() -> None:
    for script in re.findall(r"bash ((?:examples|tests)/[\w./]+\.sh)", README):
        assert (ROOT / script).is_file(), script


@pytest.mark.parametrize("line", [line for line in TABLE if line.startswith("seed-grpo ")])
def test_every_command_in_the_table_takes_these_options(line: str) -> None:
    name, *arguments = shlex.split(line)[1:]
    subcommand = [name, arguments.pop(0)] if name == "data" else [name]
    text = CliRunner().invoke(app, [*subcommand, "--help"]).output
    for option in [argument for argument in arguments if argument.startswith("--")]:
        assert option in text, (option, line)


def test_the_data_command_runs(shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(shared_data / "gsm8k.jsonl", tmp_path)
    [line] = [line for line in TABLE if line.startswith("seed-grpo data ")]
    done = CliRunner().invoke(app, shlex.split(line)[1:])
    assert done.exit_code == 0, done.output
    assert list(Path("data").glob("gsm8k*.parquet"))


@pytest.mark.e2e
def test_the_quickstart_script(quickstart_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The script itself, in this very environment; only the warm start is done already, and the steps are few. Then
    the commands that the page has for what the quickstart leaves, in the folder in which a reader types them."""
    environment = Path(sys.prefix)
    if not (environment / ".seed-grpo-dev.txt").is_file():
        pytest.skip("these tests do not run in the environment that tests/run.sh makes")
    reader = tmp_path / "ünï x (1) {red}=y, it's"  # verl, Ray and the checkpoints take none of it apart
    out = reader / "runs" / "quickstart"
    shutil.copytree(quickstart_base, out / "seed_1" / "base")
    done = subprocess.run(
        ["bash", str(ROOT / "examples" / "quickstart.sh"), "--out", str(out), "trainer.total_training_steps=1",
         "trainer.save_freq=1", "data.train_batch_size=32"],
        capture_output=True, text=True, timeout=RUN_SECONDS,
        env={**os.environ, "SEED_GRPO_VENV": str(environment)},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "validation accuracy after" in done.stdout
    assert (out / "seed_1" / "run" / "curves.png").is_file()
    assert (out / "seed_1" / "run" / "global_step_1" / "actor").is_dir()
    assert str(out / "seed_1" / "run") in done.stdout.replace("\n", "")

    monkeypatch.chdir(reader)
    [baseline] = [line for line in TABLE if line.startswith("seed-grpo train ")]
    config = compose_config(shlex.split(baseline)[2:])
    assert config.algorithm.adv_estimator == "grpo"
    check_run(config)  # it finds the quickstart's model and data
    after = [line for line in TABLE if "runs/quickstart" in line]
    assert [line.split()[1] for line in after] == ["report", "export"]
    for line in after:
        again = CliRunner().invoke(app, shlex.split(line)[1:])
        assert again.exit_code == 0, (line, again.output, again.exception)
    assert Path("report/report.html").is_file()
    assert Path("exported/config.json").is_file()


def test_what_the_readme_says_of_a_machine_without_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    [line] = [line for line in TABLE if "doctor" in line]
    done = subprocess.run(command(*shlex.split(line)[1:], "--quick"), capture_output=True, text=True, timeout=300)
    assert done.returncode == 1, done.stdout
    assert "GPUs" in done.stdout
    assert "platform=cpu" in " ".join(done.stdout.split())
