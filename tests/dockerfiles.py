"""What the Dockerfiles copy, and what .dockerignore lets through to the builder."""

from __future__ import annotations

import fnmatch
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DOCKERFILES = sorted((ROOT / "docker").glob("Dockerfile*"))


def instructions(path: Path) -> list[tuple[str, str]]:
    """The instructions of a Dockerfile and their arguments, with continued lines joined."""
    text = re.sub(r"^\s*#.*\n", "", path.read_text(encoding="utf-8"), flags=re.M)
    lines = re.sub(r"\\\n", " ", text).splitlines()
    return [(line.split()[0].upper(), line.split(maxsplit=1)[1]) for line in lines if line.strip()]


def copied(path: Path) -> list[tuple[list[str], str]]:
    """The sources and the destination of each COPY and ADD of a Dockerfile."""
    arguments = [rest.split() for word, rest in instructions(path) if word in ("COPY", "ADD")]
    return [(names, destination) for *names, destination in arguments]


def ignored(name: str) -> bool:
    """Whether .dockerignore keeps a path from the builder. The last pattern that matches decides; only the forms of
    pattern that the file uses are understood."""
    decided = False
    for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines():
        if not line or line.startswith("#"):
            continue
        pattern = line.removeprefix("!").removeprefix("**/")
        path = Path(name)
        tries = [path, *path.parents, *(Path(part) for part in path.parts)]
        if any(fnmatch.fnmatch(str(part), pattern) for part in tries if str(part) != "."):
            decided = not line.startswith("!")
    return decided
