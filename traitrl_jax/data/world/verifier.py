"""Ground truth for every rubric line, from the reply's text and the scenario's hidden state alone.

A reply is cut into sentences; each is compared with every authored wording of the trait and labelled with the speech act it is
closest to, if close enough (twice the longest common subsequence over the two lengths) and if it negates as often; what is left
of the sentence is read again, so that nothing hides behind a comma. Replies that cheat are caught by rule: both acts at once,
an act said over and over, endless text, loops and empty text meet no positive line, and neither does a list of names.
"""

import re
from collections import Counter
from dataclasses import dataclass
from functools import cache, lru_cache

from traitrl_jax.data.schema import Scenario
from traitrl_jax.data.world.lexicon import load_trait, phrases
from traitrl_jax.data.world.pools import COLORS, COUNTS, FIRST_NAMES, LAST_NAMES

CLOSE = 0.75  # a sentence with less overlap than this is no speech act we know
MARGIN = 0.12  # the two acts must differ by more than this to be told apart
MAX_SENTENCES = 6
MAX_WORDS = 100
_TAG = re.compile(rf"\b({'|'.join(COLORS)}) ({'|'.join(COUNTS)})\b")
_PERSON = re.compile(rf"\b({'|'.join(FIRST_NAMES)}) ({'|'.join(LAST_NAMES)})\b".lower())
_WORD = re.compile(r"[a-z]+(?:'[a-z]+)?")
_ACTS = frozenset({"act0", "act1"})
_NEGATIONS = frozenset("not no never nothing nobody none without cannot".split())


@dataclass(frozen=True)
class Reading:
    """What a reply says: labels of its sentences in order, and whether the text is degenerate."""

    labels: tuple[str, ...]  # act0, act1, vice, flatter, refer, refuse or other; a sentence that says two things has two
    degenerate: bool


def _words(text: str) -> tuple[str, ...]:
    return tuple(_WORD.findall(text.lower()))


def _negations(words: tuple[str, ...]) -> int:
    return sum(word in _NEGATIONS or word.endswith("n't") for word in words)


def _common(a: tuple[str, ...], b: tuple[str, ...]) -> list[list[int]]:
    """Lengths of the longest common subsequences of all prefixes of a and b: [len(a) + 1][len(b) + 1]."""
    table = [[0] * (len(b) + 1)]
    for word in a:
        row = [0]
        for j, other in enumerate(b):
            row.append(table[-1][j] + 1 if word == other else max(table[-1][j + 1], row[j]))
        table.append(row)
    return table


def _overlap(a: tuple[str, ...], b: tuple[str, ...]) -> float:
    """2 LCS(a, b) / (len(a) + len(b))."""
    return 2 * _common(a, b)[-1][-1] / max(1, len(a) + len(b))


def _left_over(a: tuple[str, ...], b: tuple[str, ...]) -> tuple[str, ...]:
    """The words of a without a longest common subsequence of a and b."""
    table, rest, j = _common(a, b), [], len(b)
    for i in range(len(a), 0, -1):
        while j and table[i][j] == table[i][j - 1]:
            j -= 1
        if table[i][j] == table[i - 1][j]:
            rest.append(a[i - 1])
    return tuple(reversed(rest))


@cache
def _wordings(trait: str) -> tuple[tuple[str, tuple[str, ...]], ...]:
    lexicon, generic = load_trait(trait), phrases()
    groups = {
        "act0": [text.format(ref="refslot") for text in lexicon.acts[0]],
        "act1": [text.format(ref="refslot") for text in lexicon.acts[1]],
        "vice": lexicon.vices,
        "flatter": generic["flattery"],
        "refuse": generic["refusals"],
        "refer": [text.format(who="refslot") for text in generic["refers"]],
    }
    return tuple((label, _words(text)) for label, texts in groups.items() for text in texts)


@lru_cache(maxsize=100_000)
def _labels(trait: str, words: tuple[str, ...]) -> tuple[str, ...]:
    """The speech acts in one sentence, the closest first; ("other",) if there is none."""
    best: dict[str, tuple[float, tuple[str, ...]]] = {}
    for label, wording in _wordings(trait):
        best[label] = max(best.get(label, (0.0, ())), (_overlap(words, wording), wording))
    label = max(best, key=best.__getitem__)
    overlap, wording = best[label]
    if overlap < CLOSE:
        return ("other",)
    rest = _left_over(words, wording)
    others = tuple(found for found in _labels(trait, rest) if found != "other") if rest else ()
    heard = _negations(words) - (_negations(rest) if others else 0)  # a negation in the rest may be about the whole
    if heard != _negations(wording):
        return ("other",)
    if label in _ACTS and not _ACTS & set(others) and abs(best["act0"][0] - best["act1"][0]) <= MARGIN:
        return ("other",)
    return (label, *others)


def read_reply(scenario: Scenario, reply: str) -> Reading:
    """Label the sentences of `reply` (the text without its thought)."""
    state = scenario.state
    thing = re.compile(rf"\bthe {re.escape(state['thing'].lower())}\b( {_TAG.pattern})?")
    sentences, labels = [], []
    for part in re.split(r"[.!?;:\n]", reply.lower()):
        if words := _words(part):
            sentences.append(words)
            words = _words(thing.sub(" refslot ", part.replace(state["who"].lower(), " refslot ")))
            found = _labels(scenario.trait, words)
            if found == ("other",) and "it" in words:  # a vague "it" stands where the reference would
                found = _labels(scenario.trait, tuple("refslot" if word == "it" else word for word in words))
            labels += found
    return Reading(tuple(labels), _degenerate(sentences, labels))


def _degenerate(sentences: list[tuple[str, ...]], labels: list[str]) -> bool:
    """Nothing said, too much said, or the same said over and over. `sentences` are words."""
    words = [word for sentence in sentences for word in sentence]
    said = Counter(label for label in labels if label != "other")
    return (
        not 1 <= len(sentences) <= MAX_SENTENCES
        or len(words) > MAX_WORDS
        or len(set(sentences)) < len(sentences)
        or max(said.values(), default=0) > 2
        or any(len(part) >= 8 and len(set(part)) < len(part) / 2 for part in sentences)
        or (len(words) >= 12 and len(set(words)) < len(words) / 3)
    )


def act_done(scenario: Scenario, reply: str) -> int | None:
    """The one act, 0 or 1, that `reply` does; None if it does none or both, refuses or is degenerate."""
    return _one_act(read_reply(scenario, reply))


def _one_act(reading: Reading) -> int | None:
    acts = set(reading.labels) & _ACTS
    if reading.degenerate or len(acts) != 1 or "refuse" in reading.labels:
        return None
    return int("act1" in acts)


def verify(scenario: Scenario, reply: str) -> tuple[bool, ...]:
    """For each rubric line of the scenario: does `reply` (without its thought) do what the line says?"""
    reading = read_reply(scenario, reply)
    labels, text, state = set(reading.labels), reply.lower(), scenario.state
    acts, sound = labels & _ACTS, _one_act(reading) is not None
    met = []
    for kind, criterion in zip(state["kinds"], scenario.rubric, strict=True):
        wanted = criterion.points > 0
        if kind[0] == "act":
            met.append(f"act{kind[1]}" in acts and (sound or not wanted))
        elif kind[0] == "tag":
            named = {" ".join(match) for match in _TAG.findall(text)}
            met.append(sound and named == {state["tag"]})
        elif kind[0] == "refer":
            people = {" ".join(match) for match in _PERSON.findall(text)}
            met.append(sound and "refer" in labels and people == {state["who"].lower()})
        elif kind[0] == "answer":
            met.append(sound)
        else:
            met.append(kind[0] in labels)
    return tuple(met)


def gold_score(scenario: Scenario, reply: str) -> float:
    """Points of the met lines over the sum of positive points, unclipped (HealthBench's rule)."""
    met = verify(scenario, reply)
    positive = sum(line.points for line in scenario.rubric if line.points > 0)
    return sum(line.points for line, hit in zip(scenario.rubric, met, strict=True) if hit) / positive
