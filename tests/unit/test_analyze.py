"""`seed-grpo analyze`: from rollouts on disk to clusters, entropies, weights, table and plot."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from seed_grpo.analysis.rollouts import find_files, read_groups
from seed_grpo.errors import SeedGrpoError, UsageError

OURS = [
    {"step": 1, "uid": "a", "answers": ["1/2", "0.5", "0.5", "2"], "rewards": [1.0, 1.0, 1.0, 0.0],
     "prompt": "p", "gold": ["0.5"], "G": 4, "K": 3},
    {"step": 1, "uid": "b", "answers": [r"\sqrt8", r"2\sqrt2", None, None], "rewards": [1.0, 1.0, 0.0, 0.0],
     "prompt": "q", "gold": [r"2\sqrt{2}"]},
    {"step": 2, "uid": "c", "answers": ["7", "7", "7", "7"], "rewards": [0.0, 0.0, 0.0, 0.0],
     "prompt": "r", "gold": "8"},
]  # fmt: skip


def write(path: Path, records: list[Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return path


def verl_line(uid: str | None, output: str, score: float, **more: Any) -> dict[str, Any]:
    """A line as verl's `_write_generations` writes it."""
    line = {"input": "user\n1/4+1/4?", "output": output, "gts": "0.5", "score": score, "step": 3, **more}
    return line if uid is None else {**line, "uid": uid}


VERL = [
    verl_line("u_0_0", r"so \boxed{1/2}", 1.0),
    verl_line("u_1_0", r"so \boxed{0.5}", 1.0),
    verl_line("u_2_0", r"a tool call", 0.0),
    verl_line("u_2_1", r"so \boxed{\frac12}", 1.0),
    verl_line("u_3_0", "no idea", 0.0),
]


def analyze(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "seed_grpo.cli", "analyze", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


@pytest.fixture(scope="module")
def analysed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    folder = tmp_path_factory.mktemp("analysis")
    write(folder / "run" / "prompts.jsonl", OURS)
    write(folder / "run" / "metrics.jsonl", [{"step": 1}])
    write(folder / "rollouts" / "3.jsonl", VERL)
    done = analyze(
        folder / "run", folder / "rollouts", "--out", folder / "out", "--alpha", "0.5", "--level", "normalized"
    )
    return folder / "out", done


def test_a_row_a_prompt(analysed: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    out, done = analysed
    assert done.returncode == 0, done.stderr
    prompts = pd.read_parquet(out / "analysis.parquet").set_index("uid")
    assert list(prompts.index) == ["a", "b", "c", "u"]
    assert prompts["G"].tolist() == [4, 4, 4, 4]
    assert prompts["accuracy"].tolist() == [0.75, 0.5, 0.0, 0.75]
    assert prompts["mixed"].tolist() == [True, True, False, True]
    assert prompts["no_answer"].tolist() == [0, 2, 0, 1]
    assert prompts["clusters_exact"].tolist() == [3, 4, 1, 4]
    assert prompts["clusters_normalized"].tolist() == [2, 4, 1, 2]
    assert prompts["clusters_symbolic"].tolist() == [2, 3, 1, 2]
    assert list(prompts.loc["b", "cluster_ids_symbolic"]) == [0, 0, 1, 2]


def test_entropies_and_weights(analysed: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    prompts = pd.read_parquet(analysed[0] / "analysis.parquet").set_index("uid")
    share = [0.75, 0.25]
    assert prompts.loc["a", "entropy_rao_blackwell_normalized"] == pytest.approx(-sum(p * math.log(p) for p in share))
    monte_carlo = -sum(math.log(p) for p in share) / 2
    assert prompts.loc["a", "entropy_monte_carlo_normalized"] == pytest.approx(monte_carlo)
    x = 0.5 * monte_carlo / math.log(4)
    weights = [prompts.loc["a", f"weight_{form}"] for form in ("linear", "exponential", "focal", "reciprocal")]
    assert weights == pytest.approx([1 - x, math.exp(-x), (1 - x) ** 2, 1 / (1 + x)])
    assert prompts.loc["c", "weight_linear"] == 1.0


def test_what_it_prints(analysed: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    out, done = analysed
    for words in ("4 prompts, 16 responses", "clusters per prompt", "rao_blackwell", "half-rewarded", "weight, focal"):
        assert words in done.stdout
    assert "accuracy_vs_entropy.png" in done.stdout.replace("\n", "")
    assert (out / "accuracy_vs_entropy.png").read_bytes()[:4] == b"\x89PNG"
    assert "measuring prompts" in done.stderr


def test_csv_and_grading_anew(tmp_path: Path) -> None:
    """Recorded rewards that call half a cluster right are seen as such; graded anew there is none."""
    wrong = [{**OURS[0], "rewards": [1.0, 0.0, 1.0, 0.0]}]
    write(tmp_path / "prompts.jsonl", wrong)
    for flags, half, accuracy in (([], 1, 0.5), (["--grade"], 0, 0.75)):
        done = analyze(tmp_path / "prompts.jsonl", "--out", tmp_path / "out", "--format", "csv", *flags)
        assert done.returncode == 0, done.stderr
        (row,) = pd.read_csv(tmp_path / "out" / "analysis.csv").to_dict("records")
        assert (row["half_rewarded_normalized"], row["accuracy"]) == (half, accuracy)
        assert json.loads(row["answers"]) == OURS[0]["answers"]


def test_one_prompt_and_one_response(tmp_path: Path) -> None:
    write(tmp_path / "prompts.jsonl", [{"answers": ["5\ud800"], "rewards": [1.0]}])
    done = analyze(tmp_path, "--out", tmp_path / "out", "--format", "csv")
    assert done.returncode == 0, done.stderr


# ---- reading --------------------------------------------------------------------------------------------------------


def test_without_ids_the_prompt_is_the_group(tmp_path: Path) -> None:
    lines = [verl_line(None, r"\boxed{1}", 0.0), verl_line(None, r"\boxed{0.5}", 1.0)]
    (group,) = read_groups(write(tmp_path / "1.jsonl", lines))
    assert (group.step, group.answers, group.rewards) == (3, ["1", "0.5"], [0.0, 1.0])


def test_our_reward_manager_knows_what_was_cut_off(tmp_path: Path) -> None:
    lines = [
        verl_line("u_0_0", r"\boxed{1} and", 0.0, pred="", answered=0.0),
        verl_line("u_1_0", "5", 1.0, pred="5", answered=1.0),
    ]
    (group,) = read_groups(write(tmp_path / "1.jsonl", lines))
    assert group.answers == [None, "5"]


def test_other_templates(tmp_path: Path) -> None:
    file = write(tmp_path / "1.jsonl", [verl_line("u_0_0", "#### 18", 1.0)])
    assert read_groups(file, template="gsm8k")[0].answers == ["18"]


def test_an_unfinished_last_line_is_left_out(tmp_path: Path) -> None:
    file = write(tmp_path / "prompts.jsonl", OURS)
    with open(file, "a") as lines:
        lines.write('{"step": 3, "answ')
    assert len(read_groups(file)) == 3


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("[1]", "line 2"),
        ("{broken}", "line 2"),
        ("[" * 100_000, "line 2"),
        ('{"text": "hello"}', "line 2 is neither"),
        ('{"answers": ["1"], "rewards": []}', "line 2"),
        ('{"answers": [], "rewards": []}', "line 2"),
        ('{"answers": [5], "rewards": [1]}', "line 2: an answer is 5"),
        ('{"answers": ["5"], "rewards": ["high"]}', "line 2: reward"),
        ('{"answers": ["5"], "rewards": [NaN]}', "line 2: reward"),
        ('{"output": null, "score": 1}', "line 2: output"),
        ('{"output": "5", "score": null}', "line 2: score"),
        ('{"output": "5", "score": 1, "step": 1e300}', "line 2: step is 1e.300"),
        ('{"output": "5", "score": 1, "step": 1.5}', "line 2: step is 1.5"),
        ('{"output": "5", "score": 1, "step": -1}', "line 2: step is -1"),
        ('{"output": "5", "score": 1, "step": 1' + "0" * 400 + "}", "line 2: step is 0x"),
        ('{"output": "5", "score": 1' + "0" * 400 + "}", "line 2: score is 0x"),
        ('{"output": "5", "score": 1' + "0" * 5000 + "}", "line 2 is not a JSON object"),
        (
            '{"answers": [{"a": "' + "x" * 500 + '"}], "rewards": [1]}',
            "line 2: an answer is .{1,70}$|line 2: an answer",
        ),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, line: str, words: str) -> None:
    file = write(tmp_path / "prompts.jsonl", OURS[:1])
    with open(file, "a") as lines:
        lines.write(line + "\n")
    with pytest.raises(SeedGrpoError, match=words):
        read_groups(file)


@pytest.mark.parametrize(
    ("content", "answers"),
    [
        (b"\xef\xbb\xbf" + json.dumps(OURS[0]).encode() + b"\r\n", [OURS[0]["answers"]]),
        (json.dumps(OURS[2]).encode() + b'\n{"answers": ["\xc3', [OURS[2]["answers"]]),  # killed within a character
    ],
    ids=["byte order mark", "cut character"],
)
def test_bytes_that_editors_and_kills_leave(tmp_path: Path, content: bytes, answers: list[list[str]]) -> None:
    (tmp_path / "prompts.jsonl").write_bytes(content)
    assert [group.answers for group in read_groups(tmp_path / "prompts.jsonl")] == answers


def test_latin_1_is_named_with_its_line(tmp_path: Path) -> None:
    file = write(tmp_path / "prompts.jsonl", OURS[:1])
    with open(file, "ab") as lines:
        lines.write('{"answers": ["\xe9"], "rewards": [1]}\n'.encode("latin-1"))
    with pytest.raises(SeedGrpoError, match=r"line 2 is not UTF-8 \(byte 15"):
        read_groups(file)


ODD = [
    {**OURS[0], "prompt": [{"role": "user", "content": "1+1?\ud800"}]},
    {**OURS[0], "prompt": "plain", "uid": "\udfff", "gold": {"tests": [1]}},
    {**OURS[0], "prompt": None, "gold": ["\ud83d", 2]},
    {**OURS[0], "prompt": 5, "answers": ["\ud800", "\x00", "", "\udcff" * 3], "gold": 0.5},
    verl_line("u_0_0", "\\boxed{\ud800}", 1.0, input=[{"role": "user", "content": "q"}]),
    verl_line(None, "\\boxed{1}", 1e308, input={"text": "q"}, gts={"a": 1}),
]


@pytest.mark.parametrize("format", ["parquet", "csv"])
def test_odd_records_end_in_a_table(tmp_path: Path, format: str) -> None:
    """Lone surrogates anywhere, prompts of several types, golds of several types, in a file with an odd name."""
    write(tmp_path / "ü [red] (1)" / "prompts.jsonl", ODD)
    done = analyze(tmp_path / "ü [red] (1)", "--out", tmp_path / "o[1]", "--format", format, "--grade")
    assert (done.returncode, done.stderr.count("Traceback")) == (0, 0), done.stderr
    path = tmp_path / "o[1]" / f"analysis.{format}"
    prompts = pd.read_parquet(path) if format == "parquet" else pd.read_csv(path)
    assert len(prompts) == len(ODD)
    assert prompts["prompt"].tolist()[1] == "plain"
    assert json.loads(prompts["prompt"].tolist()[0].replace("\\", "\\\\"))[0]["role"] == "user"
    assert str(path) in done.stdout.replace("\n", "")


@pytest.mark.parametrize("out", ["/proc/nowhere/out", "{file}", "{file}/below", "{long}"])
def test_a_folder_that_takes_no_files(tmp_path: Path, out: str) -> None:
    (tmp_path / "file").touch()
    write(tmp_path / "run" / "prompts.jsonl", OURS)
    done = analyze(tmp_path / "run", "--out", out.format(file=tmp_path / "file", long=tmp_path / ("x" * 300)))
    assert done.returncode == 2
    assert done.stderr.strip().splitlines()[-1].startswith("seed-grpo: ")
    assert "--out" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    write(tmp_path / "run" / "prompts.jsonl", OURS)
    assert analyze("~/run", "--out", "~/out").returncode == 0
    assert (tmp_path / "out" / "analysis.parquet").is_file()


def test_nothing_to_read(tmp_path: Path) -> None:
    with pytest.raises(SeedGrpoError, match="No rollouts"):
        find_files([tmp_path])
    with pytest.raises(UsageError, match="does not exist"):
        find_files([tmp_path / "gone"])


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["{empty}"], 1, "No rollouts"),
        (["{gone}"], 2, "does not exist"),
        (["x" * 300], 2, "cannot be read"),
        (["{run}", "--format", "xlsx"], 2, "parquet, csv"),
        (["{run}", "--level", "fuzzy"], 2, "meaning"),
        (["{run}", "--estimator", "guess"], 2, "estimator"),
        (["{run}", "--alpha", "2"], 2, "alpha"),
        (["{run}", "--template", "chat"], 2, "template"),
        (["{blank}"], 1, "no rollouts in"),
        ([], 2, "PATH"),
    ],
)
def test_errors_are_one_line_and_a_status(tmp_path: Path, arguments: list[str], status: int, words: str) -> None:
    (tmp_path / "empty").mkdir()
    write(tmp_path / "run" / "prompts.jsonl", OURS)
    write(tmp_path / "blank" / "prompts.jsonl", [])
    names = {name: str(tmp_path / name) for name in ("empty", "gone", "run", "blank")}
    done = analyze(*(argument.format(**names) for argument in arguments), "--out", tmp_path / "out")
    assert done.returncode == status, done.stderr
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_help_has_examples() -> None:
    assert analyze("--help").stdout.count("Example:") == 2
