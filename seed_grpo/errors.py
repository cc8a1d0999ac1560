"""Errors for people to read: what went wrong, and what to do about it."""

from __future__ import annotations


class SeedGrpoError(Exception):
    """A failure with its cause and a remedy. The command line prints both on one line and exits with status 1."""

    exit_code = 1

    def __init__(self, cause: str, remedy: str = "") -> None:
        super().__init__(cause, remedy)
        self.cause = cause
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.cause} Remedy: {self.remedy}" if self.remedy else self.cause


class RunStopped(SeedGrpoError):
    """A run stopped early on request, after saving a checkpoint. The command line exits with status 75 (EX_TEMPFAIL:
    start the same command again to resume)."""

    exit_code = 75


class UsageError(SeedGrpoError, ValueError):
    """The caller asked for something that does not exist or is impossible. The command line exits with status 2."""

    exit_code = 2


def last_line(error: BaseException) -> str:
    """An error of other people's code in one line: its type, and the last line of its message."""
    lines = [line for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[-1].strip().rstrip('.') if lines else 'no message'}"
