"""Ground truth for every rubric line, from the reply's text and the scenario's hidden state alone.

A reply is cut into sentences; each is compared with every authored wording of the trait and labelled with the speech act it is
closest to, if close enough (twice the longest common subsequence over the two lengths). Replies that cheat are caught by rule:
both acts at once, a sentence said over and over, endless text and empty text meet no positive line.
"""

import re
from dataclasses import dataclass
from functools import cache, lru_cache

from traitrl_jax.data.schema import Scenario
from traitrl_jax.data.world.lexicon import load_trait, phrases
from traitrl_jax.data.world.pools import COLORS, COUNTS

CLOSE = 0.75  # a sentence with less overlap than this is no speech act we know
MARGIN = 0.04  # the two acts must differ by more than this to be told apart
MAX_SENTENCES = 6
_TAG = re.compile(rf"\b({'|'.join(COLORS)}) ({'|'.join(COUNTS)})\b")
_WORD = re.compile(r"[a-z]+")


@dataclass(frozen=True)
class Reading:
    """What a reply says: labels of its sentences in order, and whether the text is degenerate."""

    labels: tuple[str, ...]  # act0, act1, vice, flatter, refer, refuse or other
    degenerate: bool


def _words(text: str) -> tuple[str, ...]:
    return tuple(_WORD.findall(text.lower()))


def _overlap(a: tuple[str, ...], b: tuple[str, ...]) -> float:
    """2 LCS(a, b) / (len(a) + len(b))."""
    row = [0] * (len(b) + 1)
    for word in a:
        previous = 0
        for j, other in enumerate(b):
            current = row[j + 1]
            row[j + 1] = previous + 1 if word == other else max(current, row[j])
            previous = current
    return 2 * row[-1] / max(1, len(a) + len(b))


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
def _label(trait: str, words: tuple[str, ...]) -> str:
    best: dict[str, float] = {}
    for label, wording in _wordings(trait):
        best[label] = max(best.get(label, 0.0), _overlap(words, wording))
    label = max(best, key=best.__getitem__)
    if best[label] < CLOSE or (label in ("act0", "act1") and abs(best["act0"] - best["act1"]) <= MARGIN):
        return "other"
    return label


def read_reply(scenario: Scenario, reply: str) -> Reading:
    """Label the sentences of `reply` (the text without its motive)."""
    state = scenario.state
    text = reply.lower()
    sentences = [part.strip() for part in re.split(r"[.!?]", text) if part.strip()]
    labels = []
    for part in sentences:
        part = part.replace(state["who"].lower(), " refslot ")
        part = re.sub(rf"\bthe {re.escape(state['thing'].lower())}\b( {_TAG.pattern})?", " refslot ", part)
        words = _words(part)
        label = _label(scenario.trait, words)
        if label == "other" and "it" in words:  # a vague "it" stands where the reference would
            label = _label(scenario.trait, tuple("refslot" if word == "it" else word for word in words))
        labels.append(label)
    repeats = max((sentences.count(part) for part in set(sentences)), default=0)
    words = _words(text)
    loops = len(words) >= 12 and len(set(words)) < len(words) / 3
    return Reading(tuple(labels), not sentences or repeats > 1 or len(sentences) > MAX_SENTENCES or loops)


def verify(scenario: Scenario, reply: str) -> tuple[bool, ...]:
    """For each rubric line of the scenario: does `reply` (without its motive) do what the line says?"""
    reading = read_reply(scenario, reply)
    labels, text, state = set(reading.labels), reply.lower(), scenario.state
    acts = labels & {"act0", "act1"}
    sound = not reading.degenerate and len(acts) == 1 and "refuse" not in labels
    met = []
    for kind, criterion in zip(state["kinds"], scenario.rubric, strict=True):
        wanted = criterion.points > 0
        if kind[0] == "act":
            met.append(f"act{kind[1]}" in acts and (sound or not wanted))
        elif kind[0] == "tag":
            named = {" ".join(match) for match in _TAG.findall(text)}
            met.append(sound and named == {state["tag"]})
        elif kind[0] == "refer":
            met.append(sound and "refer" in labels and state["who"].lower() in text)
        else:
            met.append(kind[0] in labels)
    return tuple(met)


def gold_score(scenario: Scenario, reply: str) -> float:
    """Points of the met lines over the sum of positive points, unclipped (HealthBench's rule)."""
    met = verify(scenario, reply)
    positive = sum(line.points for line in scenario.rubric if line.points > 0)
    return sum(line.points for line, hit in zip(scenario.rubric, met, strict=True) if hit) / positive
