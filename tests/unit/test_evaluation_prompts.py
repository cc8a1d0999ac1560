"""One function renders prompts: the model reads in evaluation, by every backend, what it reads in training."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
from chat_models import CHAT, build
from completion_servers import completion, send, serve
from typer.testing import CliRunner, Result

from seed_grpo.cli import app
from seed_grpo.data.prepare import Options, plan, prepare
from seed_grpo.data.templates import PASS_THROUGH, get_template
from seed_grpo.engines.prompts import prompt_ids, prompt_text
from seed_grpo.engines.sampling import Sampling
from seed_grpo.errors import SeedGrpoError, UsageError
from seed_grpo.evaluation.backends import BackendOptions, Prompt, Request, Source
from seed_grpo.evaluation.backends.dialects import transformers as transformers_body
from seed_grpo.evaluation.backends.openai import OpenAIBackend
from seed_grpo.evaluation.problems import DataOptions, load_benchmark
from seed_grpo.evaluation.prompts import PromptWriter

TEMPLATES = {"plain": CHAT, "with BOS": "{{ bos_token }}" + CHAT, "pass through": PASS_THROUGH}
MESSAGES = [{"role": "system", "content": "Box it."}, {"role": "user", "content": "Was ist 2+2? é\n"}]


@pytest.mark.parametrize("adds_bos", [False, True], ids=["without BOS", "adds BOS"])
@pytest.mark.parametrize("template", TEMPLATES)
def test_the_same_token_ids_everywhere(template: str, adds_bos: bool, tmp_path: Path) -> None:
    """Training by groups, training on verl's path, and evaluation by each backend."""
    pytest.importorskip("verl")
    from verl.utils.tokenizer.continuous_token_wiring import create_continuous_token_builder

    from seed_grpo.verl_plugin.group_rollout import GroupRolloutManager

    source = Source(BackendOptions(str(build(tmp_path, TEMPLATES[template], adds_bos=adds_bos)), device="cpu"))
    tokenizer = source.load_tokenizer()
    assert (tokenizer("x")["input_ids"][0] == tokenizer.bos_token_id) == adds_bos, "the tokenizer is as described"
    ids = prompt_ids(tokenizer, MESSAGES)
    assert tokenizer.decode(ids) == prompt_text(tokenizer, MESSAGES)
    assert ids.count(tokenizer.bos_token_id) == (template == "with BOS"), "the template decides, and no BOS is doubled"

    manager = SimpleNamespace(
        _tokenizer=tokenizer, _template_options={}, _rollout=SimpleNamespace(prompt_length=len(ids))
    )
    assert GroupRolloutManager._prompt_ids(manager, {"raw_prompt": MESSAGES}) == ids  # type: ignore[arg-type]
    builder = create_continuous_token_builder(tokenizer, hf_model_type="llama", chat_template_kwargs={})
    assert builder.build_initial_tokens(MESSAGES) == ids

    prompt = Prompt(prompt_text(tokenizer, MESSAGES), tuple(ids))
    assert read_by_hf(source, tokenizer, prompt) == ids
    assert read_by_server(tokenizer, prompt) == ids


def read_by_hf(source: Source, tokenizer: Any, prompt: Prompt) -> list[int]:
    """What the model itself is given."""
    backend: Any = source.load(tokenizer)
    seen: list[list[int]] = []
    backend._engine.model.register_forward_pre_hook(
        lambda module, args, kwargs: seen.append(kwargs["input_ids"][0].tolist()), with_kwargs=True
    )
    list(backend.complete([Request(prompt, 0)], Sampling(1, 0.0)))
    return seen[0]


def read_by_server(tokenizer: Any, prompt: Prompt) -> list[int]:
    with serve(lambda handler, body: send(handler, completion("4"))) as (url, received):
        backend = OpenAIBackend(BackendOptions("m", "openai", base_url=url), tokenizer)
        list(backend.complete([Request(prompt, 0)], Sampling(1, 0.0)))
    return received[0]["prompt"]


class TestServersThatTokenizeByThemselves:
    """`transformers serve` puts its special tokens in front of text: ours must come out all the same, or nothing."""

    def ask(self, tokenizer: Any, messages: Sequence[dict[str, str]]) -> str:
        prompt = Prompt(prompt_text(tokenizer, messages), tuple(prompt_ids(tokenizer, messages)))
        options = BackendOptions("m", "openai", base_url="http://localhost/v1", dialect="transformers")
        return OpenAIBackend(options, tokenizer)._body(Request(prompt, 0), Sampling(1))["prompt"]

    @pytest.mark.parametrize(("template", "adds_bos"), [("plain", False), ("with BOS", False), ("with BOS", True)])
    def test_the_text_makes_the_same_ids(self, template: str, adds_bos: bool, tmp_path: Path) -> None:
        source = Source(BackendOptions(str(build(tmp_path, TEMPLATES[template], adds_bos=adds_bos))))
        tokenizer = source.load_tokenizer()
        text = self.ask(tokenizer, MESSAGES)
        assert tokenizer(text)["input_ids"] == prompt_ids(tokenizer, MESSAGES)

    def test_a_bos_too_many_is_refused(self, tmp_path: Path) -> None:
        tokenizer = Source(BackendOptions(str(build(tmp_path, CHAT, adds_bos=True)))).load_tokenizer()
        with pytest.raises(SeedGrpoError, match="special tokens to it that the prompts do not have in training"):
            self.ask(tokenizer, MESSAGES)

    def test_without_a_tokenizer_nobody_can_tell(self) -> None:
        options = BackendOptions("m", "openai", base_url="http://localhost/v1", dialect="transformers")
        with pytest.raises(SeedGrpoError, match="--tokenizer"):
            OpenAIBackend(options)._body(Request(Prompt("2+2="), 0), Sampling(1))

    def test_every_parameter_is_in_the_generation_config(self) -> None:
        sampled = transformers_body(Request(Prompt("x"), 3), Sampling(9, 0.5, 0.9, 7))
        config = json.loads(sampled["generation_config"])
        assert (config["do_sample"], config["temperature"], config["top_p"], config["top_k"]) == (True, 0.5, 0.9, 7)
        assert (config["repetition_penalty"], config["min_p"], config["max_new_tokens"]) == (1.0, 0.0, 9)
        greedy = json.loads(transformers_body(Request(Prompt("x"), 3), Sampling(9, 0.0))["generation_config"])
        assert (greedy["do_sample"], greedy["top_k"]) == (False, 0)


# ---- what is rendered -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("model"), TEMPLATES["with BOS"], adds_bos=True)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sums, as text and as messages, under three names; and a file as verl's example writes GSM8K."""
    folder = tmp_path_factory.mktemp("data")
    for name, template, form, answers in (
        ("text", "qwen_math", "text", None),
        ("messages", "qwen_math", "messages", None),
        ("tags", "r1", "text", None),
        ("line", "none", "text", "answer_line"),
    ):
        options = Options(get_template(template), form, answer_template=answers)
        [made] = prepare(plan(["arithmetic"], [], split="test"), folder / "made", options)
        made.path.rename(folder / f"{name}.parquet")
        (folder / "made/arithmetic_test.manifest.json").rename(folder / f"{name}.manifest.json")
    row = {
        "data_source": "openai/gsm8k",
        "prompt": [{"role": "user", "content": 'What is 2+2? Let\'s think, and output the final answer after "####".'}],
        "ability": "math",
        "reward_model": {"style": "rule", "ground_truth": "4"},
        "extra_info": {"split": "test", "index": 0, "answer": "#### 4", "question": "What is 2+2?"},
    }
    pd.DataFrame([row]).to_parquet(folder / "gsm8k.parquet")
    chat = [{"role": "system", "content": "s"}, {"role": "user", "content": "2+2?"}]
    pd.DataFrame([{**row, "prompt": chat}]).to_parquet(folder / "chat.parquet")
    return folder


def first_prompt(model: Path, data: Path, name: str, template: str | None = None) -> str:
    """The text that the model reads first, as training renders it or as `--template` says."""
    benchmark = load_benchmark(name, DataOptions(data, name, template=template))
    writer = PromptWriter(Source(BackendOptions(str(model))).load_tokenizer(), {})
    prompt = writer.write(benchmark, benchmark.problems[0])
    assert list(prompt.token_ids or ()) == writer.tokenizer(prompt.text, add_special_tokens=False)["input_ids"]
    return prompt.text


def problem_of(data: Path, name: str) -> str:
    return load_benchmark(name, DataOptions(data, name)).problems[0].problem


class TestWhatIsRendered:
    def test_text_passes_through(self, model: Path, data: Path) -> None:
        problem = problem_of(data, "text")
        assert first_prompt(model, data, "text") == get_template("qwen_math").text(problem)
        assert first_prompt(model, data, "tags") == get_template("r1").text(problem_of(data, "tags"))

    def test_messages_get_the_model_s_own_template(self, model: Path, data: Path) -> None:
        system = get_template("qwen_math").system
        expected = f"<s><system>{system}<user>{problem_of(data, 'messages')}<assistant>"
        assert first_prompt(model, data, "messages") == expected
        assert first_prompt(model, data, "text", "model") == expected.replace(
            problem_of(data, "messages"), problem_of(data, "text")
        )

    def test_so_do_other_people_s_files(self, model: Path, data: Path) -> None:
        row = 'What is 2+2? Let\'s think, and output the final answer after "####".'
        assert first_prompt(model, data, "gsm8k") == f"<s><user>{row}<assistant>"
        assert first_prompt(model, data, "gsm8k", "model") == f"<s><user>{row}<assistant>"
        assert first_prompt(model, data, "gsm8k", "none") == row
        assert first_prompt(model, data, "chat") == "<s><system>s<user>2+2?<assistant>"

    def test_a_template_of_ours_goes_around_our_problems(self, model: Path, data: Path) -> None:
        for stored in ("text", "messages", "tags"):
            for template in ("qwen_math", "r1", "none"):
                expected = get_template(template).text(problem_of(data, stored))
                assert first_prompt(model, data, stored, template) == expected

    @pytest.mark.parametrize(
        ("name", "template", "words"),
        [
            ("gsm8k", "qwen_math", "does not hold the problem apart"),
            ("chat", "none", "does not hold the problem apart"),
            ("tags", "model", "'r1', which is not a chat"),
        ],
    )
    def test_what_cannot_be_rendered_is_an_error(self, data: Path, name: str, template: str, words: str) -> None:
        with pytest.raises(SeedGrpoError, match=words):
            load_benchmark(name, DataOptions(data, name, template=template))

    def test_a_file_of_ours_without_its_manifest(self, model: Path, data: Path, tmp_path: Path) -> None:
        for name in ("text", "messages", "tags"):
            (tmp_path / f"{name}.parquet").write_bytes((data / f"{name}.parquet").read_bytes())
            assert first_prompt(model, tmp_path, name) == first_prompt(model, data, name)
            forms = [load_benchmark(name, DataOptions(folder, name)).form for folder in (tmp_path, data)]
            assert forms[0] == forms[1]

    def test_a_model_without_a_template(self, data: Path, tmp_path: Path) -> None:
        build(tmp_path, "", adds_bos=False)
        with pytest.raises(SeedGrpoError, match=r"has no chat template.*--template none"):
            first_prompt(tmp_path, data, "messages")
        assert "Please reason" in first_prompt(tmp_path, data, "text")

    @pytest.mark.parametrize(
        "template", ["{{ raise_exception('no system role') }}", "{{ messages[7]['content'] + 1 }}"]
    )
    def test_a_template_that_refuses(self, template: str, data: Path, tmp_path: Path) -> None:
        build(tmp_path, template, adds_bos=False)
        with pytest.raises(SeedGrpoError, match="does not take messages of the roles system, user"):
            first_prompt(tmp_path, data, "messages")

    def test_answers_stand_where_the_template_asks_for_them(self, data: Path) -> None:
        for name, template, given, expected in (
            ("tags", None, None, "answer_tag"),
            ("text", "r1", None, "answer_tag"),
            ("tags", "qwen_math", None, "boxed"),
            ("text", "none", None, "boxed"),
            ("messages", "model", None, "boxed"),
            ("gsm8k", None, None, "gsm8k"),
            ("gsm8k", "none", None, "gsm8k"),
            ("gsm8k", None, "phrase", "phrase"),
            ("line", None, None, "answer_line"),
            ("line", "r1", None, "answer_tag"),
            ("line", "none", None, "answer_line"),
        ):
            options = DataOptions(data, name, template=template, answer_template=given)
            assert load_benchmark(name, options).form.answer_template == expected
        with pytest.raises(UsageError, match="Unknown answer template 'xml'"):
            DataOptions(data, "text", answer_template="xml")

    def test_data_that_were_prepared_for_another_answer_template(self, tmp_path: Path) -> None:
        options = Options(get_template("none"), answer_template="answer_line")
        prepare(plan(["arithmetic"], [], split="test"), tmp_path, options)
        for template, given, expected in (
            (None, None, "answer_line"),
            (None, "boxed", "boxed"),
            ("r1", None, "answer_tag"),
        ):
            chosen = DataOptions(tmp_path, "arithmetic", template=template, answer_template=given)
            assert load_benchmark("arithmetic", chosen).form.answer_template == expected


def evaluate(model: Path | str, data: Path, out: Path, *arguments: str) -> Result:
    return CliRunner().invoke(
        app,
        ["eval", "--model", str(model), "--data", str(data), "--out", str(out), "--device", "cpu", "--max-tokens", "4",
         "--limit", "2", *arguments],
    )  # fmt: skip


class TestTheResult:
    def test_holds_and_shows_the_first_prompt(self, model: Path, data: Path, tmp_path: Path) -> None:
        for _ in range(2):  # the second time nothing is left to do
            done = evaluate(model, data, tmp_path, "--benchmarks", "messages,gsm8k", "--verbose")
            assert done.exit_code == 0, (done.output, done.exception)
            settings = json.loads((tmp_path / "results.json").read_text())["settings"]
            prompt = settings["first_prompt"]["messages"]
            assert prompt["text"] == first_prompt(model, data, "messages")
            assert prompt["token_ids"].count(0) == 1
            assert settings["template"] == {"messages": "model", "gsm8k": "model"}
            assert prompt["text"] in done.stderr.replace("\n", "") or prompt["text"] in done.stderr
            assert f"first prompt of gsm8k, {len(settings['first_prompt']['gsm8k']['token_ids'])} tokens" in done.stderr
        assert "first prompt" not in evaluate(model, data, tmp_path, "--benchmarks", "messages,gsm8k").stderr

    def test_other_prompts_are_not_mixed_in(self, model: Path, data: Path, tmp_path: Path) -> None:
        assert evaluate(model, data, tmp_path, "--benchmarks", "messages").exit_code == 0
        template = model / "chat_template.jinja"
        own = template.read_text()
        template.write_text(own.replace("<assistant>", "<model>"))  # not among what the fingerprint reads
        try:
            done = evaluate(model, data, tmp_path, "--benchmarks", "messages", "--k", "2")
        finally:
            template.write_text(own)
        assert isinstance(done.exception, UsageError)
        assert "other prompts of messages" in str(done.exception)

    def test_variables_of_the_template(self, data: Path, tmp_path: Path) -> None:
        build(tmp_path / "m", "{% if think %}<think>{% endif %}" + CHAT, adds_bos=False)
        options = ["--benchmarks", "messages", "--chat-template-kwargs", '{"think": true}']
        assert evaluate(tmp_path / "m", data, tmp_path / "out", *options).exit_code == 0
        settings = json.loads((tmp_path / "out/results.json").read_text())["settings"]
        assert settings["first_prompt"]["messages"]["text"].startswith("<think><system>")
        wrong = evaluate(
            tmp_path / "m", data, tmp_path / "o", "--benchmarks", "messages", "--chat-template-kwargs", "["
        )
        assert isinstance(wrong.exception, UsageError)

    def test_a_server_s_model_is_named_by_its_tokenizer(self, model: Path, data: Path, tmp_path: Path) -> None:
        with serve(lambda handler, body: send(handler, completion("\\boxed{4}"))) as (url, received):
            server = ["--backend", "openai", "--base-url", url, "--benchmarks", "messages"]
            alone = evaluate("m", data, tmp_path / "alone", *server)
            assert "--tokenizer" in str(alone.exception)
            named = evaluate("m", data, tmp_path / "named", *server, "--tokenizer", str(model))
            assert named.exit_code == 0, (named.output, named.exception)
            assert all(isinstance(request["prompt"], list) for request in received)
            text = evaluate("m", data, tmp_path / "text", *[*server[:-1], "text"], "--tokenizer", "none")
            assert text.exit_code == 0, (text.output, text.exception)
            assert received[-1]["prompt"].startswith("<|im_start|>system")
            assert received[-1]["add_special_tokens"] is False

    def test_one_model_under_several_names(
        self, model: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("HOME", str(tmp_path))
        Path("m").symlink_to(model)
        Path("prepared").symlink_to(data)
        for name in ("m", "./m", "m/", str(tmp_path / "m"), "~/m", str(model)):
            done = evaluate(name, Path("~/prepared"), Path("~/out"), "--benchmarks", "text")
            assert done.exit_code == 0, (name, done.exception)
        assert json.loads((tmp_path / "out/evaluation.json").read_text())["identity"]["model"] == str(model)
        assert not Path("~").exists()
