"""What is known of each prompt of a batch, once its responses are graded and clustered: what weights look at."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from seed_grpo.method.entropy import GroupEntropy
from seed_grpo.method.groups import Bools, Floats, Groups, Ints


@dataclass(frozen=True)
class PromptStatistics:
    """N responses to P prompts, as weights see them.

    Attributes:
        groups: which responses belong to which prompt; groups may differ in size.
        rewards_N: the rewards, shape (N,), finite.
        entropy: clusters and entropy of each prompt.
        log_probs_N: one log-probability per response, shape (N,); None where nothing measures them.
    """

    groups: Groups
    rewards_N: Floats
    entropy: GroupEntropy
    log_probs_N: Floats | None = None

    @property
    def size_P(self) -> Ints:
        """Responses of each prompt (G)."""
        return self.groups.size_P

    @cached_property
    def mean_P(self) -> Floats:
        """The mean reward of each prompt; with rewards 0 and 1, its success rate."""
        return self.groups.mean(self.rewards_N)

    @cached_property
    def deviation_N(self) -> Floats:
        """Each reward less the mean of its prompt: the advantage before any weight (paper, Eq. 1)."""
        return self.rewards_N - self.mean_P[self.groups.prompt_N]

    @cached_property
    def std_P(self) -> Floats:
        """The standard deviation of each prompt's rewards, with G − 1 in the denominator, as torch and verl have it."""
        squares_P = self.groups.mean(self.deviation_N**2) * self.size_P
        return np.sqrt(squares_P / np.maximum(self.size_P - 1, 1))

    @cached_property
    def mad_P(self) -> Floats:
        """The mean absolute deviation of each prompt's rewards from their mean."""
        return self.groups.mean(np.abs(self.deviation_N))

    @cached_property
    def mixed_P(self) -> Bools:
        """Whether a prompt's rewards differ. Where they do not, every advantage is 0, whatever the weight."""
        best_P, worst_P = np.full(len(self.size_P), -np.inf), np.full(len(self.size_P), np.inf)
        np.maximum.at(best_P, self.groups.prompt_N, self.rewards_N)
        np.minimum.at(worst_P, self.groups.prompt_N, self.rewards_N)
        return best_P > worst_P

    @cached_property
    def log_prob_P(self) -> Floats | None:
        """The mean log-probability of each prompt's responses."""
        return None if self.log_probs_N is None else self.groups.mean(self.log_probs_N)
