"""Studies with hypotheses are registered at their first start: what is decided afterwards decides nothing."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

from seed_grpo.errors import SeedGrpoError
from seed_grpo.runs.files import replace_file
from seed_grpo.runs.summary import code_commit

if TYPE_CHECKING:
    from seed_grpo.ablation.study import Study

REGISTERED = "registered.json"


def fingerprint(study: Study) -> str:
    """SHA-256 of everything that the study's file says."""
    content = {key: value for key, value in asdict(study).items() if key != "assumed"}  # times, of no run's outcome
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def register(study: Study, out: Path) -> None:
    """Note what the study says before its first run; nothing for a study without hypotheses, or one that is noted.

    Raises:
        SeedGrpoError: the study has changed since.
    """
    check_registered(study, out)
    if study.hypotheses and not (out / REGISTERED).is_file():
        noted = {
            "study": study.name,
            "sha256": fingerprint(study),
            "registered": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "commit": code_commit(),
            "hypotheses": [asdict(each) for each in study.hypotheses],
        }
        replace_file(out / REGISTERED, json.dumps(noted, indent=1, ensure_ascii=False) + "\n")


def check_registered(study: Study, out: Path) -> None:
    """Check that the study is the one that was registered, if one was.

    Raises:
        SeedGrpoError: it has changed, or lost its hypotheses; or the file cannot be read.
    """
    path = out / REGISTERED
    if not path.is_file():
        return
    try:
        noted = json.loads(path.read_text(encoding="utf-8"))
        same = noted["sha256"] == fingerprint(study)
        when = str(noted["registered"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SeedGrpoError(f"{path} cannot be read: {error!r}.", "restore it; it says what was expected.") from error
    if not same:
        raise SeedGrpoError(
            f"The study {study.name} has changed after its first run: {out} was registered at {when}.",
            "choose another --out for the changed study, or give the study back what it said.",
        )
