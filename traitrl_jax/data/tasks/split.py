"""Which items a pool may use: a residue of the item decides, so that no list of held-out items has to be stored.

An item is the data of a task without the question: the set (or multiset) of words in its list, or the pair of summands. Every
word has a code, its index in its own word pool, and the pool of a list is the sum of its codes modulo 7. So the order of a
list, the wording and the question asked do not matter: a word list that eval uses in one family is held out in every family.
The pool of a pair of summands is (lower + 3 * higher) modulo 7.

The modulus is a prime other than 2 and 5, because with those a held-out sum would be a held-out combination of last digits,
and the weights 1 and 3 differ, because with equal weights whole answers (sums) would be held out.
"""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

from traitrl_jax.data.world.pools import COLORS, COUNTS, FIRST_NAMES

T = TypeVar("T")

POOLS = ("pretrain", "rl", "eval")  # append only: the position seeds the draws
MODULUS = 7
RESIDUES = {"pretrain": (0, 1, 2), "rl": (3, 4), "eval": (5, 6)}
LARGEST_SUM = 99

VOCABULARIES = {"color": COLORS, "name": FIRST_NAMES, "number": COUNTS}
VOCABULARY = len(COLORS)  # the word pools are equally long, so that one index range serves all of them

# The pairs (lower, higher) of each pool, with 1 <= lower <= higher and lower + higher <= LARGEST_SUM.
PAIRS = {
    pool: tuple(
        (lower, higher)
        for lower in range(1, LARGEST_SUM // 2 + 1)
        for higher in range(lower, LARGEST_SUM - lower + 1)
        if (lower + 3 * higher) % MODULUS in residues
    )
    for pool, residues in RESIDUES.items()
}


class Draw:
    """Choices from one batch of uniform numbers: a call of a NumPy generator per choice would cost more than the task."""

    def __init__(self, entropy: tuple[int, ...], size: int = 32) -> None:
        """`entropy`: non-negative integers; `size`: how many choices are available, after which StopIteration is raised."""
        self._numbers = iter(np.random.default_rng(entropy).random(size).tolist())

    def below(self, bound: int) -> int:
        """An integer in [0, bound)."""
        return int(next(self._numbers) * bound)

    def pick(self, options: Sequence[T]) -> T:
        """One of the options."""
        return options[self.below(len(options))]

    def sample(self, options: Sequence[int], count: int) -> list[int]:
        """`count` different options in random order."""
        rest = list(options)
        return [rest.pop(self.below(len(rest))) for _ in range(count)]


def word_codes(draw: Draw, pool: str, length: int, repeats: int = 0) -> list[int]:
    """Codes of a list of `length` words of `pool`, in random order, all different but for one, there 1 + `repeats` times.

    All but one of the different words are drawn freely, the last one from the residue class that is missing. A class has at
    least four codes, so the list may hold two to four different words: 2 <= length - repeats <= 4.
    """
    codes = draw.sample(range(VOCABULARY), length - repeats - 1)
    codes += codes[:1] * repeats
    missing = (draw.pick(RESIDUES[pool]) - sum(codes)) % MODULUS
    last = draw.pick([code for code in range(missing, VOCABULARY, MODULUS) if code not in codes])
    return draw.sample([*codes, last], length)
