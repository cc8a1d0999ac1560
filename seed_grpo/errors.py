"""Errors that a person reads: what went wrong, and what to do about it."""

from __future__ import annotations


class SeedGrpoError(Exception):
    """A failure with a named cause and a remedy. The command line prints both in one line and exits with 1."""

    exit_code = 1

    def __init__(self, cause: str, remedy: str = "") -> None:
        super().__init__(cause, remedy)
        self.cause = cause
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.cause} Remedy: {self.remedy}" if self.remedy else self.cause


class RunStopped(SeedGrpoError):
    """A run that stopped early because it was asked to, after saving a checkpoint. The command line exits with 75
    (EX_TEMPFAIL: start it again to go on)."""

    exit_code = 75


class UsageError(SeedGrpoError, ValueError):
    """The caller asked for something that does not exist or cannot be. The command line exits with 2."""

    exit_code = 2
