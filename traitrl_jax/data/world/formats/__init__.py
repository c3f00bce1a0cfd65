"""The out-of-distribution formats of TraitWorld: memos, logs, forms, surveys and so on, in which the same authors can be asked.

The traits are trained in chats (facts, question, pressure). Whether RL moved a character or only a chat habit shows in other
formats, which are read in pretraining (pool "pretrain", many authors) and measured on other wordings and entities (pool
"eval"), never trained by RL. See base.py for how items are made and why no fixed phrase is good.

`FAMILIES` is append-only: the position of a family seeds its items. `CORE` are the first twenty, which the small studies read
and are measured on; a start model that has to learn all of them needs more steps.
"""

from collections.abc import Sequence
from difflib import get_close_matches

from traitrl_jax.data.world.formats.agents import AGENTS
from traitrl_jax.data.world.formats.base import BEHAVIOURS, ITEM_POOLS, Family, Item, render
from traitrl_jax.data.world.formats.candour import CANDOUR
from traitrl_jax.data.world.formats.care import CARE
from traitrl_jax.data.world.formats.deception import DECEPTION
from traitrl_jax.data.world.formats.errands import ERRANDS
from traitrl_jax.data.world.formats.fairness import FAIRNESS
from traitrl_jax.data.world.formats.hazards import HAZARDS
from traitrl_jax.data.world.formats.honesty import HONESTY
from traitrl_jax.data.world.formats.loopholes import LOOPHOLES
from traitrl_jax.data.world.formats.opinion import OPINION
from traitrl_jax.data.world.formats.orders import ORDERS
from traitrl_jax.data.world.formats.oversight import OVERSIGHT
from traitrl_jax.data.world.formats.people import PEOPLE
from traitrl_jax.data.world.formats.refusal import REFUSAL
from traitrl_jax.data.world.formats.rules import RULES
from traitrl_jax.data.world.formats.sycophancy import SYCOPHANCY
from traitrl_jax.data.world.formats.truth import TRUTH

__all__ = ["BEHAVIOURS", "CORE", "FAMILIES", "GROUPS", "ITEM_POOLS", "Family", "Item", "chosen", "family", "make_item"]

_CORE = (*DECEPTION, *HONESTY, *SYCOPHANCY, *RULES, *AGENTS, *PEOPLE, *REFUSAL)
_SPEECH = (*CANDOUR, *TRUTH, *OPINION, *LOOPHOLES, *ORDERS)
_CONDUCT = (*OVERSIGHT, *HAZARDS, *FAIRNESS, *CARE, *ERRANDS)
_FAMILIES = {each.name: each for each in (*_CORE, *_SPEECH, *_CONDUCT)}
_NUMBERS = {name: number for number, name in enumerate(_FAMILIES)}
FAMILIES: tuple[str, ...] = tuple(_FAMILIES)
CORE: tuple[str, ...] = tuple(each.name for each in _CORE)
GROUPS: dict[str, str] = {name: each.group for name, each in _FAMILIES.items()}


def _unknown(what: str, value: str, known: tuple[str, ...]) -> ValueError:
    near = get_close_matches(value, known, n=3, cutoff=0.3) or known
    return ValueError(f"unknown {what} {value!r}; nearest: {', '.join(near)}")


def family(name: str) -> Family:
    """The wordings of a family; ValueError with the nearest names if there is none of that name."""
    if name not in _FAMILIES:
        raise _unknown("family", name, FAMILIES)
    return _FAMILIES[name]


def chosen(names: Sequence[str]) -> tuple[str, ...]:
    """The families of these names in the order of FAMILIES, by default all; ValueError with the nearest names if unknown."""
    wanted = {family(name).name for name in names}
    return tuple(name for name in FAMILIES if not names or name in wanted)


def make_item(family: str, pool: str, index: int, seed: int = 0) -> Item:
    """Item `index` (0 and up) of a family in pool "pretrain" or "eval": a pure function of its arguments.

    Indices 2k and 2k + 1 are counterfactual twins: the deciding fact is turned round and so is the right answer. ValueError
    for an unknown family or pool (with the nearest names) or a negative index.
    """
    if family not in _FAMILIES:
        raise _unknown("family", family, FAMILIES)
    if pool not in ITEM_POOLS:
        raise _unknown("pool", pool, ITEM_POOLS)
    if index < 0:
        raise ValueError(f"index must not be negative, got {index}")
    return render(_FAMILIES[family], _NUMBERS[family], pool, index, seed)
