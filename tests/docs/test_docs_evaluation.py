"""Every command in docs/data.md and docs/evaluation.md, as it stands there."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest
from completion_servers import completion, send, serve
from typer.testing import CliRunner

from seed_grpo.cli import app
from seed_grpo.data.registry import DATASETS

DOCS = Path(__file__).resolve().parents[2] / "docs"


def commands(page: str) -> list[list[str]]:
    blocks = re.findall(r"```bash\n(.*?)```", (DOCS / page).read_text(encoding="utf-8"), flags=re.DOTALL)
    return [shlex.split(line)[1:] for block in blocks for line in block.splitlines() if line.startswith("seed-grpo ")]


def test_the_table_of_data_sets_is_the_registry_s() -> None:
    text = (DOCS / "data.md").read_text(encoding="utf-8").split("## Data sets")[1].split("\n## ")[0]
    for dataset in DATASETS.values():
        [row] = [line for line in text.splitlines() if line.startswith(f"| `{dataset.name}` |")]
        assert (dataset.hub_id or "made here") in row
        assert (dataset.revision or ("give" if dataset.hub_id else "")) in row


@pytest.mark.slow
def test_the_commands_run(shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("transformers")
    pytest.importorskip("math_verify")
    from seed_grpo.quickstart.model import build_model

    monkeypatch.chdir(tmp_path)
    Path("data").symlink_to(shared_data)
    build_model("model", hidden_size=32, layers=1)
    found = commands("data.md") + commands("evaluation.md")
    assert len(found) == 10
    with serve(lambda handler, body: send(handler, completion("\\boxed{4}"))) as (url, received):
        filled = {"MODEL": "model", "http://localhost:8000/v1": url}
        for arguments in found:
            done = CliRunner().invoke(app, [filled.get(argument, argument) for argument in arguments])
            assert done.exit_code == 0, (arguments, done.output, done.exception)
    assert len(received) == 5 * (1 + 4), "the server of the page was asked"
    assert Path("report/report.html").stat().st_size > 50_000
    assert "also_graded" in json.loads(Path("results/sampled/results.json").read_text(encoding="utf-8"))
