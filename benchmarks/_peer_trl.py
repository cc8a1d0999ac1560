"""TRL's GRPOTrainer on the quickstart's sums: `python _peer_trl.py SPEC.json`, in an environment of its own; run by
peers.py. Writes a line a step, as our runs do. Rewards are our grader's, so that both grade alike.
"""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

ON_A_CPU: dict[str, Any] = {
    "bf16": False,
    "use_cpu": True,
    "gradient_checkpointing": False,
    "model_init_kwargs": {"dtype": "float32"},
    "logging_steps": 1,
    "save_strategy": "no",
    "report_to": "none",
    "disable_tqdm": True,
}
"""Options of GRPOConfig for training on a CPU without reporting to any service."""


def main(spec: dict[str, Any]) -> None:
    import pandas
    import torch
    from datasets import Dataset
    from transformers import AutoTokenizer, TrainerCallback
    from trl import GRPOConfig, GRPOTrainer
    from trl.extras.profiling import ProfilingContext

    from seed_grpo.meaning.scoring import score_response

    torch.set_num_threads(spec["threads"])
    tokenizer = AutoTokenizer.from_pretrained(spec["model"])
    stages: Counter[str] = Counter()

    def record(self: ProfilingContext, duration: float) -> None:
        stages[self.name.partition(".")[2]] += duration

    ProfilingContext._log_metrics = record  # TRL times its stages itself, and tells trackers only

    def reward(prompts: list, completions: list[str], completion_ids: list[list[int]], gold: list, **_: Any) -> list:
        return [
            score_response(
                text,
                list(golds),
                truncated=len(ids) >= spec["max_response"] and ids[-1] != tokenizer.eos_token_id,
                template=spec["template"],
                level=spec["level"],
            ).reward
            for text, ids, golds in zip(completions, completion_ids, gold, strict=True)
        ]

    class Steps(TrainerCallback):
        begin = 0.0

        def on_step_begin(self, *_: Any, **__: Any) -> None:
            self.begin = time.perf_counter()
            stages.clear()

        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            seconds = time.perf_counter() - self.begin
            prepared = stages["_prepare_inputs"]
            generated = stages["transformers.generate"]
            line = {
                "step": state.global_step,
                "timing_s/step": seconds,
                "timing_s/gen": generated,
                "timing_s/reward and advantage": prepared - generated,
                "timing_s/update_actor": seconds - prepared,
                "tokens": trainer._metrics["train"]["completions/mean_length"][-1],
            }
            with open(spec["out"], "a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")

    rows = pandas.read_parquet(spec["data"])
    dataset = Dataset.from_list(
        [
            {"prompt": row.prompt[0]["content"], "gold": list(row.reward_model["ground_truth"])}
            for row in rows.itertuples()
        ]
    )
    samples = spec["prompts"] * spec["responses"]
    trainer = GRPOTrainer(
        model=spec["model"],
        reward_funcs=reward,
        args=GRPOConfig(
            output_dir=spec["folder"],
            max_steps=spec["steps"],
            num_generations=spec["responses"],
            per_device_train_batch_size=samples,
            gradient_accumulation_steps=1,
            steps_per_generation=1,
            max_completion_length=spec["max_response"],
            loss_type="dr_grpo",
            scale_rewards=False,
            beta=0.0,
            temperature=1.0,
            learning_rate=spec["lr"],
            lr_scheduler_type="constant",
            adam_beta1=0.9,
            adam_beta2=0.95,
            weight_decay=0.0,
            max_grad_norm=1.0,
            seed=spec["seed"],
            **ON_A_CPU,
        ),
        train_dataset=dataset,
        processing_class=tokenizer,
        callbacks=[Steps()],
    )
    trainer.train()


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
