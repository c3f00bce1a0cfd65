"""The data model of every scenario: messages, rubric criteria, and the scenario that holds them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from traitrl_jax.config import UserError
from traitrl_jax.text.chat import ROLES, Message

__all__ = ["ROLES", "Criterion", "Message", "Scenario", "check_rubric"]


@dataclass(frozen=True)
class Criterion:
    """One rubric line: a short imperative, worth `points` when the reply does it (negative: a failure to avoid)."""

    text: str
    points: float


@dataclass(frozen=True)
class Scenario:
    """A conversation that waits for a reply, with the rubric that reply is scored by.

    `state` is hidden from every model: what the verifier needs to decide each rubric line (TraitWorld only).
    """

    id: str
    trait: str
    domain: str
    messages: tuple[Message, ...]
    rubric: tuple[Criterion, ...]
    pressure: str = ""
    state: Mapping[str, Any] = field(default_factory=dict)


def check_rubric(rubric: Sequence[Criterion], where: str) -> None:
    """Raises UserError, naming `where`, unless some criterion has positive points."""
    if not any(line.points > 0 for line in rubric):
        raise UserError(f"{where}: the rubric has no criterion with positive points; give at least one what a good reply does")
