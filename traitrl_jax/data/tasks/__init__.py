"""Standard RL tasks: short questions with an exact verifier, the plain control next to the rubric-graded conversations.

A model of 0.4M parameters reads the pretrain pool and is then trained on the rl pool and measured on the eval pool. The pools
share no item (see `split`), so a gain on eval is not memory. A task is a function of its family, pool, index and seed; no
state has to be saved to resume.
"""

from contextlib import suppress
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache

from traitrl_jax.data.tasks.families import GENERATORS
from traitrl_jax.data.tasks.split import POOLS, Draw
from traitrl_jax.data.tasks.wordings import WORDINGS

__all__ = ["FAMILIES", "POOLS", "Task", "make_task", "partial_credit", "verify"]

FAMILIES: tuple[str, ...] = tuple(GENERATORS)


@dataclass(frozen=True)
class Task:
    """One question with its reference reply; other replies may be right too, `verify` knows."""

    family: str  # one of FAMILIES
    prompt: str  # the user's message, at most 18 words
    answer: str  # at most 8 words, without a final period


def make_task(family: str, pool: str, index: int, seed: int = 0) -> Task:
    """The task number `index` (from 0, without end) of a pool; two indices may give the same task.

    Raises ValueError for an unknown family or pool and for a negative index or seed.
    """
    _check("family", family, FAMILIES)
    _check("pool", pool, POOLS)
    if index < 0 or seed < 0:
        raise ValueError(f"index and seed must not be negative, got index={index} and seed={seed}")
    draw = Draw((seed, FAMILIES.index(family), POOLS.index(pool), index))
    wording, fields = GENERATORS[family](draw, pool)
    return Task(family, wording.text.format_map(fields), wording.solve(fields)[0])


def verify(task: Task, reply: str) -> float:
    """1.0 if the reply is one of the answers that the prompt allows and nothing else, otherwise 0.0.

    Case, surrounding spaces and one final period do not matter; commas and the signs of a form do. Raises ValueError for a
    prompt that `make_task` cannot have written.
    """
    return float(_plain(reply) in _accepted(task.family, task.prompt))


def partial_credit(task: Task, reply: str) -> float:
    """A graded score in [0, 1]: 1.0 for a right reply, otherwise 0.5 times the share of leading words that are right.

    The share is of the answer's words or of the reply's words, whichever are more, so that extra words cost; of several
    accepted answers the nearest counts. Punctuation at the end of a word is ignored. Raises as `verify` does.
    """
    if verify(task, reply):
        return 1.0
    words = _words(_plain(reply))
    return max(0.5 * _leading(words, _words(answer)) for answer in _accepted(task.family, task.prompt))


def _leading(words: list[str], answer: list[str]) -> float:
    """The number of words before the first mistake, as a share of the longer one of the two lists."""
    right = 0
    while right < min(len(words), len(answer)) and words[right] == answer[right]:
        right += 1
    return right / max(len(words), len(answer))


def _words(text: str) -> list[str]:
    """Words and free-standing signs, without the punctuation at the end of a word."""
    return [word.rstrip(",.:;") or word for word in text.split()]


def _plain(text: str) -> str:
    return text.strip().removesuffix(".").rstrip().lower()


@lru_cache(maxsize=4096)  # a group of replies to one prompt is scored at once
def _accepted(family: str, prompt: str) -> tuple[str, ...]:
    """All right replies in lower case, read from the prompt."""
    _check("family", family, FAMILIES)
    for wording in WORDINGS[family]:
        with suppress(KeyError, ValueError):  # a word that is no number or kind where the wording needs one
            match = wording.pattern.fullmatch(prompt)
            if match and (answers := wording.solve(match.groupdict())):
                return tuple(answer.lower() for answer in answers)
    raise ValueError(f"no wording of the family {family!r} reads {prompt!r}; tasks must come from make_task")


def _check(what: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        nearest = get_close_matches(value, known, n=3, cutoff=0.3) or known
        raise ValueError(f"unknown {what} {value!r}; the nearest are {', '.join(map(repr, nearest))}")
