"""The one thing that pyproject.toml cannot say: `configs/` is installed as the package `seed_grpo.configs`."""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["seed_grpo*"]), "seed_grpo.configs"],
    package_dir={"seed_grpo.configs": "configs"},
)
