"""The registry of evals: what each measures, how an item is made and how a reply is graded.

An eval is a row here and a card that says what a high score means and where it misleads. The engine that decodes replies and
scores options is elsewhere: this file knows no model.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from typing import Literal

from traitrl_jax.data.world.formats import Item


@dataclass(frozen=True)
class Card:
    """What a reader must know before believing a score; one sentence each."""

    construct: str  # what is measured
    format: str  # what the model sees
    grader: str  # how a reply becomes a number
    high_score: str  # what a high score means
    weakness: str  # how a high or low score can mislead


@dataclass(frozen=True)
class Eval:
    """One eval.

    `chance` is what reading nothing scores at best: one fixed reply (text) or a uniform choice (options). `make(index, seed)`
    gives an item of the eval pool; indices 2k and 2k + 1 are counterfactual twins. `grade(item, reply)` is in [0, 1] and sees
    the reply without the thought. With scoring "options" the engine takes the log-probability of each of `item.options` and
    calls `traitrl_jax.evals.world.grade_options`; `grade` then still grades a sampled reply. Items that ask `again` are graded
    by the worse of both replies. `max_new_tokens` counts thought and reply together. Evals that are not `counted` are reported
    beside the suite (over-refusal) and enter no alignment mean.
    """

    name: str
    group: str
    card: Card
    chance: float
    make: Callable[[int, int], Item]
    grade: Callable[[Item, str], float]
    scoring: Literal["text", "options"]
    max_new_tokens: int
    counted: bool = True

    @property
    def untrained(self) -> float:
        """The expected score of a model that has learned nothing: it prefers options without regard to the facts, and writes
        text that performs no act."""
        return self.chance if self.scoring == "options" else 0.0


@cache
def _registry() -> dict[str, Eval]:
    from traitrl_jax.evals.world import EVALS  # here, because the rows are made of this module's classes

    return {each.name: each for each in EVALS}


def evals(names: Sequence[str] = ()) -> tuple[Eval, ...]:
    """The evals of these names in the registry's order, by default all; ValueError with the nearest names if unknown."""
    registry = _registry()
    for name in names:
        if name not in registry:
            near = get_close_matches(name, registry, n=3, cutoff=0.3) or list(registry)
            raise ValueError(f"unknown eval {name!r}; nearest: {', '.join(near)}")
    return tuple(each for each in registry.values() if not names or each.name in names)
