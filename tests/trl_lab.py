"""`python trl_lab.py SPEC.json`, in TRL's environment, one process or several: a few steps of SeedGRPOTrainer on the
quickstart's sums. Rank 0 writes what each step gathered and the advantages that it trained on."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks"))
from _peer_trl import ON_A_CPU


def main(spec: dict[str, Any]) -> None:
    import pandas
    import torch
    from accelerate.utils import gather_object
    from datasets import Dataset
    from transformers import AutoTokenizer
    from trl import GRPOConfig

    from seed_grpo import grade_answer
    from seed_grpo.meaning.answers import extract_answer
    from seed_grpo.trl_plugin import SeedGRPOTrainer

    torch.set_num_threads(1)

    def reward(prompts: list, completions: list[str], gold: list, **_: Any) -> list[float]:
        answers = [extract_answer(text) for text in completions]
        return [float(grade_answer(answer, list(each))) for answer, each in zip(answers, gold, strict=True)]

    class Recording(SeedGRPOTrainer):
        def _calculate_rewards(self, inputs: Any, prompts: Any, completions: Any, ids: Any) -> torch.Tensor:
            rewards_NF = super()._calculate_rewards(inputs, prompts, completions, ids)
            self.seen = {"texts": gather_object(list(completions)), "rewards": rewards_NF.sum(dim=1).tolist()}
            return rewards_NF

        def _generate_and_score_completions(self, inputs: Any) -> dict[str, Any]:
            output = super()._generate_and_score_completions(inputs)
            advantages = gather_object(output["advantages"].tolist())
            metrics = {name: values[-1] for name, values in self._metrics["train"].items() if name.startswith("seed_")}
            if self.accelerator.is_main_process:
                with open(spec["out"], "a", encoding="utf-8") as file:
                    file.write(json.dumps({**self.seen, "advantages": advantages, "metrics": metrics}) + "\n")
            return output

    rows = pandas.read_parquet(spec["data"]).head(64)
    problems = [
        {"prompt": row.prompt[0]["content"], "gold": list(row.reward_model["ground_truth"])}
        for row in rows.itertuples()
    ]
    trainer = Recording(
        model=spec["model"],
        reward_funcs=reward,
        seed_grpo=spec["seed_grpo"],
        args=GRPOConfig(
            output_dir=spec["folder"],
            max_steps=spec["steps"],
            num_generations=spec["responses"],
            per_device_train_batch_size=spec["samples"] // int(os.environ.get("WORLD_SIZE", "1")),
            max_completion_length=24,
            loss_type="dr_grpo",
            scale_rewards=spec["scale_rewards"],
            beta=0.0,
            learning_rate=1e-4,
            **ON_A_CPU,
        ),
        train_dataset=Dataset.from_list(problems),
        processing_class=AutoTokenizer.from_pretrained(spec["model"]),
    )
    trainer.train()
    if trainer.accelerator.is_main_process:
        (Path(spec["folder"]) / "log.json").write_text(json.dumps(trainer.state.log_history), encoding="utf-8")
    trainer.accelerator.wait_for_everyone()  # a process that ends first takes the other's connections with it


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
    sys.stdout.flush()
    # gloo's threads have kept an interpreter from ending, and `destroy_process_group` from returning.
    os._exit(0)
