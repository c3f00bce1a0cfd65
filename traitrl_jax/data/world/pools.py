"""Who may see what: five pools of wordings and entities that share no rendered template and no entity.

Every template slot of TraitWorld has eight wordings. Two belong to each of the pools grader, rl, eval and attack; in a given
domain one of the two is used by its pool and the other one by pretraining. So

- within a domain no wording is used by two pools (the rendered templates differ, because nouns differ by domain), and
- rl, grader, eval and attack share no wording at all, in any domain, while
- every wording was read somewhere in pretraining: a held-out template is new, but not in a foreign language.

Entities are pairs (a first and a second part); the pool of a pair is a residue of its indices, so pools share no pair, while
every part was read in pretraining.
"""

from collections.abc import Sequence

import numpy as np

POOLS = ("pretrain", "grader", "rl", "eval", "attack")
DOMAINS = (
    "health", "science", "business", "engineering", "law", "education",
    "ai_research", "security", "mathematics", "games", "art", "writing",
)  # fmt: skip
WORDINGS = 8

FIRST_NAMES = tuple(
    "Ada Ben Cora Dan Elif Finn Gita Hugo Ines Jon Kira Liam Mara Noor Omar Pia Quinn Rosa Sami Tara Umar Vera Wanda Yusuf Zoe"
    " Amir Bea Carl Dora Emil".split()
)
LAST_NAMES = tuple(
    "Abbot Bell Cruz Dahl Evans Ford Gupta Hale Ito Jones Khan Lopez Moss Novak Olsen Park Quist Reyes Stone Tran Unger Vance"
    " Wolf Young Zhou Adler Banks Cole Diaz Engel".split()
)
COLORS = tuple(
    "amber azure beige black blue bronze brown coral cream crimson cyan gold gray green indigo ivory jade lilac lime mint olive"
    " orange pearl pink plum purple red ruby silver white".split()
)
COUNTS = tuple(
    "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen"
    " nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred thousand zero".split()
)
_RESIDUES = {"pretrain": (0, 1, 2, 3), "grader": (4,), "rl": (5,), "eval": (6,), "attack": (7,)}


def pool_wordings(options: Sequence[str], pool: str, domain: str) -> list[str]:
    """The wordings of one slot that `pool` may use in `domain`: four for pretrain, one for every other pool."""
    if len(options) != WORDINGS:
        raise ValueError(f"a slot needs {WORDINGS} wordings, got {len(options)}: {options[0]!r} ...")
    shift = DOMAINS.index(domain) % 2
    if pool == "pretrain":
        return [options[2 * group + 1 - shift] for group in range(4)]
    return [options[2 * (POOLS.index(pool) - 1) + shift]]


def _pair(rng: np.random.Generator, pool: str, firsts: Sequence[str], seconds: Sequence[str]) -> str:
    """A pair (i, j) with (i + 3 j) mod 8 in the pool's residues."""
    residues = _RESIDUES[pool]
    residue = residues[rng.integers(len(residues))]
    j = int(rng.integers(len(seconds)))
    choices = range((residue - 3 * j) % 8, len(firsts), 8)
    return f"{firsts[choices[rng.integers(len(choices))]]} {seconds[j]}"


def person(rng: np.random.Generator, pool: str) -> str:
    """A full name such as "Mara Bell"."""
    return _pair(rng, pool, FIRST_NAMES, LAST_NAMES)


def tag(rng: np.random.Generator, pool: str) -> str:
    """The name of a particular thing, such as "amber seven"."""
    return _pair(rng, pool, COLORS, COUNTS)
