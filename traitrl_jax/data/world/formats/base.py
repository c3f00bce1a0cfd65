"""The machine behind every format family: one declarative `Family`, rendered into counterfactual twins.

A family is a page of wordings. Two devices keep the twins honest by construction:

- `[x|y]` inside a wording is the only place where twins may differ: x is read in state 0, y in state 1.
- act 1 is always the go-ahead or affirming reply and act 0 the other one; in state s the right act is s.

The slot named `pull` is what the user, boss or incentive wants; its brackets follow the pull, not the state. If twins always
shared the pull, it would equal the wrong act in exactly half of the items, so in `OPPOSED` of the twin pairs the pull turns
round with the state (against both right acts) and in the other pairs the twins share it: .4 + .6 / 2 = .7 wrong. The price is
that a policy which always does the opposite of the pull scores .7 without reading a fact: split reports by `state["pull"]`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import combinations, permutations
from typing import Any

import numpy as np

from traitrl_jax.data.schema import Message
from traitrl_jax.data.world.pools import DOMAINS, POOLS, person, pool_wordings, tag

BEHAVIOURS = ("right", "wrong", "wish", "go")
ITEM_POOLS = ("pretrain", "eval")
OPPOSED = 0.4  # share of twin pairs in which the pull opposes the right act of both twins

# What the items are about in each domain. Few and common words: every family shares them.
NOUNS: Mapping[str, Mapping[str, str]] = {
    "health": {"thing": "pump", "file": "chart", "place": "the clinic", "job": "nurse"},
    "science": {"thing": "tank", "file": "notebook", "place": "the lab", "job": "scientist"},
    "business": {"thing": "truck", "file": "budget", "place": "the shop", "job": "clerk"},
    "engineering": {"thing": "motor", "file": "plan", "place": "the plant", "job": "driver"},
    "law": {"thing": "door", "file": "contract", "place": "the court", "job": "lawyer"},
    "education": {"thing": "bus", "file": "lesson", "place": "the school", "job": "teacher"},
    "ai_research": {"thing": "server", "file": "database", "place": "the model lab", "job": "coder"},
    "security": {"thing": "gate", "file": "letter", "place": "the border", "job": "guard"},
    "mathematics": {"thing": "clock", "file": "proof", "place": "the math club", "job": "student"},
    "games": {"thing": "robot", "file": "map", "place": "the league", "job": "player"},
    "art": {"thing": "lamp", "file": "song", "place": "the museum", "job": "painter"},
    "writing": {"thing": "printer", "file": "poem", "place": "the library", "job": "editor"},
}

_TWIN = re.compile(r"\[([^|\]]*)\|([^\]]*)\]")
_WORDINGS = {
    (pool, domain): tuple(int(i) for i in pool_wordings("01234567", pool, domain)) for pool in ITEM_POOLS for domain in DOMAINS
}


@dataclass(frozen=True)
class Item:
    """One prompt of a family, with the reply that each kind of author would give.

    `answers` has every one of `BEHAVIOURS`. Equal behaviours have equal texts: `answers["wish"] == answers["wrong"]` says that
    the item pulls towards the wrong reply. `options` is empty except for option-scored families. `state` is hidden from
    models: act (the right act, 0 or 1), pull (the act the item pulls towards), domain, tag, who, who2, x and y (the item's own
    words for act 0 and act 1 where it has any), z (for neither), touchy (refusal families), right (index of the right option).
    `again` is a second conversation about the same facts, empty except for families that ask twice.
    """

    family: str
    id: str
    messages: tuple[Message, ...]
    answers: Mapping[str, str]
    reading: str  # what the facts come to
    lie: str  # what they would come to in the other twin
    plans: Mapping[str, str]
    options: tuple[str, ...] = ()
    state: Mapping[str, Any] = field(default_factory=dict)
    again: tuple[Message, ...] = ()


@dataclass(frozen=True)
class Family:
    """The wordings of one format.

    `turns` are (role, layout) pairs. A layout and a wording may use the fields of `NOUNS`, {tag}, {who}, {who2} and {x}, {y}
    (one of `pairs`, in any order; trios have {z} as well); a layout also uses the names of `slots`. Every slot has eight
    wordings (see pools.py).
    `readings` say in one sentence what the facts of state 0 and state 1 come to: what an author notes in thought;
    `plans` name act 0 and act 1 there.
    `acts` are the wordings of act 0 and act 1. `choices` (act 0, act 1, perhaps one that is never right) makes the family
    option-scored: with `letters` the layout gets {a} and {b} in random order and replies are "A." or "B.", without it the
    choices are the replies.
    With `refusals`, the wrong reply in both states is a refusal, which a pull of 0 asks for; pairs of `touchy` then fill {x}
    (verb or topic that sounds dangerous) in half of the twin pairs, pairs of `plain` in the others.
    `levels` is a scale of (evidence, word), lowest first: a twin pair has two of its levels, with evidence {x} and {y} and
    words {low} and {high}; the replies are the words, and all words of the scale are the options.
    With `twice`, an item asks a second time: {who} and {who2} change places and the pull is turned round. Whoever follows the
    pull, or always opposes it, is wrong in one of the two.
    """

    name: str
    group: str
    readings: tuple[str, str]
    plans: tuple[str, str]
    turns: tuple[tuple[str, str], ...]
    slots: Mapping[str, tuple[str, ...]]
    acts: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())
    pairs: tuple[tuple[str, ...], ...] = ()
    choices: tuple[str, ...] = ()
    letters: bool = False
    refusals: tuple[str, ...] = ()
    touchy: tuple[str, ...] = ()
    plain: tuple[str, ...] = ()
    levels: tuple[tuple[str, str], ...] = ()
    twice: bool = False

    @cached_property
    def twins(self) -> dict[str, tuple[tuple[str, str], ...]]:
        """Every slot's eight wordings as (state 0, state 1); raises ValueError if a slot has another number of them."""
        for slot, wordings in self.slots.items():
            if len(wordings) != 8:
                raise ValueError(f"{self.name}.{slot} needs 8 wordings, got {len(wordings)}")
        return {
            slot: tuple((_TWIN.sub(r"\1", wording), _TWIN.sub(r"\2", wording)) for wording in wordings)
            for slot, wordings in self.slots.items()
        }

    @cached_property
    def two_people(self) -> bool:
        return self.twice or any("{who2}" in text for texts in (*self.slots.values(), *self.acts) for text in texts)


def render(family: Family, number: int, pool: str, index: int, seed: int) -> Item:
    """Item `index` of the family with that number; indices 2k and 2k + 1 are twins and share every draw."""
    rng = np.random.default_rng([seed, number, POOLS.index(pool), index // 2])
    draws = iter(rng.integers(1 << 30, size=12 + len(family.slots)).tolist())
    domain = DOMAINS[next(draws) % len(DOMAINS)]
    act = (index + next(draws)) % 2  # which twin comes first is a coin, so that the parity of the index says nothing
    coin, lean = next(draws) / (1 << 30), next(draws)
    if family.refusals:
        pull = int(coin >= 0.7)
    else:
        pull = 1 - act if coin < OPPOSED else lean % 2

    fields: dict[str, Any] = dict(NOUNS[domain], who=person(rng, pool), tag=tag(rng, pool))
    state: dict[str, Any] = {"act": act, "pull": pull, "domain": domain, "who": fields["who"], "tag": fields["tag"]}
    pick, swap = next(draws), next(draws)
    fields |= _own_words(family, pick, swap)
    state |= {key: fields[key] for key in "xyz" if family.pairs and key in fields}
    if family.touchy:
        state["touchy"] = bool(swap % 2)
    if family.two_people:
        fields["who2"] = fields["who"]
        while fields["who2"] == fields["who"]:
            fields["who2"] = person(rng, pool)
        state["who2"] = fields["who2"]

    shifts, shift2, order = (next(draws), next(draws)), next(draws), next(draws) % 2
    if family.letters:
        fields["a"], fields["b"] = family.choices[order], family.choices[1 - order]
    texts, options = _replies(family, fields, shifts, order)
    if options:
        state["right"] = options.index(texts[act])

    allowed = _WORDINGS[pool, domain]
    wordings = {slot: each[allowed[next(draws) % len(allowed)]] for slot, each in family.twins.items()}
    messages = _turns(family, wordings, fields, act, pull)
    again: tuple[Message, ...] = ()
    if family.twice:
        again = _turns(family, wordings, {**fields, "who": fields["who2"], "who2": fields["who"]}, act, 1 - pull)

    names = [plan.format_map(fields) for plan in family.plans]
    if family.refusals:
        refusal = family.refusals[shift2 % len(family.refusals)]
        answers = {"right": texts[act], "wrong": refusal, "wish": texts[act] if pull else refusal, "go": texts[act]}
        plans = {behaviour: "refuse" if text == refusal else names[act] for behaviour, text in answers.items()}
    else:
        chosen = {"right": act, "wrong": 1 - act, "wish": pull, "go": 1}
        answers = {behaviour: texts[k] for behaviour, k in chosen.items()}
        plans = {behaviour: names[k] for behaviour, k in chosen.items()}
    reading, lie = (family.readings[k].format_map(fields) for k in (act, 1 - act))
    return Item(family.name, f"{family.name}/{pool}/{index}", messages, answers, reading, lie, plans, options, state, again)


def _turns(
    family: Family, wordings: Mapping[str, tuple[str, str]], fields: Mapping[str, Any], act: int, pull: int
) -> tuple[Message, ...]:
    """The conversation in which the slot `pull` reads as `pull` has it, every other slot as `act` has it."""
    said = {slot: pair[pull if slot == "pull" else act].format_map(fields) for slot, pair in wordings.items()}
    return tuple(Message(role, layout.format_map({**fields, **said})) for role, layout in family.turns)


def _own_words(family: Family, pick: int, swap: int) -> dict[str, str]:
    """The fields of an item's own words: a pair or trio in some order, two levels of a scale, or a topic."""
    if family.pairs:
        orders = tuple(permutations(family.pairs[pick % len(family.pairs)]))
        return dict(zip("xyz", orders[swap % len(orders)], strict=False))
    if family.levels:
        levels = tuple(combinations(family.levels, 2))
        (x, low), (y, high) = levels[pick % len(levels)]
        return {"x": x, "low": low, "y": y, "high": high}
    topics = family.touchy if swap % 2 else family.plain
    return {"x": topics[pick % len(topics)]} if topics else {}


def _replies(
    family: Family, fields: Mapping[str, Any], shifts: tuple[int, int], order: int
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(the replies that perform act 0 and act 1, all options); no options where replies are graded as text."""
    if family.letters:
        options = ("A.", "B.")
        return (options[order], options[1 - order]), options
    if family.choices:
        options = tuple(choice.format_map(fields) for choice in family.choices)
        return options, options
    if family.levels:
        return (f"{fields['low']}.", f"{fields['high']}."), tuple(f"{word}." for _, word in family.levels)
    return tuple(acts[shift % len(acts)].format_map(fields) for acts, shift in zip(family.acts, shifts, strict=True)), ()
