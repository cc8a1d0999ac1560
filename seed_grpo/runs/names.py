"""The names of the files that runs, evaluations and studies leave in their folders."""

from __future__ import annotations

# A training run.
CONFIG = "config.yaml"
METRICS = "metrics.jsonl"
PROMPTS = "prompts.jsonl"
SUMMARY = "summary.json"
CURVES = "curves.png"
TRAIN_LOG = "train.log"
STOP, STOPPED = "stop", "stopped"
"""A file named `stop` in a run's folder asks it to save a checkpoint after the current step and end; the run renames
the file to `stopped` when it has."""
TRACKER = "latest_checkpointed_iteration.txt"
"""verl's: the step of the newest checkpoint."""

# An evaluation.
RESPONSES = "responses.jsonl"
PROBLEMS = "problems.jsonl"
RESULTS = "results.json"

# A study, and what it adds to the folders of its runs.
STUDY = "study.yaml"
FAILED = "failed.json"
RUNNING = "running.json"
EVALUATION = "evaluation"
"""The folder of `seed-grpo eval` in a run's."""
EVAL_LOG = "eval.log"
