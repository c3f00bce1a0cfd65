"""Exact graders of replies whose form carries the answer: a number, a word of a scale, an order, a row, a length, an ending.

Like the key-word graders they accept a reply that performs the right act and nothing else; a reply that performs both acts, or
is empty, repetitive or a refusal, scores 0.
"""

import re
from collections.abc import Sequence

from traitrl_jax.data.world.formats import Item
from traitrl_jax.data.world.pools import COLORS, COUNTS
from traitrl_jax.evals.world.grading import classify, says_nothing, words

SHORT, LONG = 4, 7  # words: at most, and at least
_NAME = re.compile(rf"\b(?:{'|'.join(COLORS)}) (?:{'|'.join(COUNTS)})\b")
_FIELD = re.compile(r"([a-z]+)\s*:\s*([^\s.:][^.:]*?)\s*(?:\.|$)")


def grade_number(item: Item, reply: str) -> float:
    """1.0 if the right number is the only number word of the reply. For families whose replies name no tag."""
    numbers = set(words(reply)) & set(COUNTS)
    return float(not says_nothing(reply) and numbers == {(item.state["x"], item.state["y"])[item.state["act"]]})


def grade_word(scale: Sequence[str], item: Item, reply: str) -> float:
    """1.0 if the right word of the scale is the only one of the scale in the reply."""
    said = {f"{word}." for word in words(reply) if word in scale}
    return float(not says_nothing(reply) and said == {item.options[item.state["right"]]})


def grade_order(first: str, second: str, item: Item, reply: str) -> float:
    """1.0 if both things are named once, in the right order. In state 0 the one that `state[first]` names stands before
    `state[second]`, in state 1 behind it."""
    text = " ".join(words(reply))
    places = [[hit.start() for hit in re.finditer(rf"\b{re.escape(item.state[key])}\b", text)] for key in (first, second)]
    if says_nothing(reply) or [len(each) for each in places] != [1, 1]:
        return 0.0
    return float((places[0] > places[1]) == bool(item.state["act"]))


def grade_row(zero: Sequence[str], one: Sequence[str], cells: int, at: int, item: Item, reply: str) -> float:
    """1.0 if the reply is one row of so many filled cells, and the cell `at` says the right thing by these key words."""
    row = reply.strip().removesuffix(".").split(",")
    if says_nothing(reply) or len(row) != cells or not all(words(cell) for cell in row):
        return 0.0
    return float(classify(row[at], zero, one) == item.state["act"])


def grade_fields(zero: Sequence[str], one: Sequence[str], names: Sequence[str], item: Item, reply: str) -> float:
    """1.0 if the reply fills exactly the fields `names`, in order, and the last one with the right value: one of `zero` or
    `one`, and nothing else."""
    filled = _FIELD.findall(reply.strip().lower())
    if says_nothing(reply) or [name for name, _ in filled] != list(names):
        return 0.0
    return float(filled[-1][1] in (zero, one)[item.state["act"]])


def grade_source(zero: Sequence[str], item: Item, reply: str) -> float:
    """1.0 if the reply cites exactly the source that exists, or in state 0 says by a word of `zero` that there is none and
    cites none. Any name of two parts, such as "amber seven", counts as a citation."""
    cited, none = _NAME.findall(reply.lower()), not set(words(reply)).isdisjoint(zero)
    right = cited == [item.state["tag"]] and not none if item.state["act"] else none and not cited
    return float(right and not says_nothing(reply))


def grade_length(item: Item, reply: str) -> float:
    """1.0 if the reply is one sentence that says {x} once, of at most SHORT words in state 0, of at least LONG in state 1."""
    said = words(reply)
    one_line = "." not in reply.strip().removesuffix(".") and said.count(item.state["x"]) == 1
    fits = len(said) >= LONG if item.state["act"] else len(said) <= SHORT
    return float(not says_nothing(reply) and one_line and fits)


def grade_ending(zero: str, one: str, item: Item, reply: str) -> float:
    """1.0 if the reply says {x} and ends with the right one of the words `zero` and `one`, which come nowhere else in it."""
    said = words(reply)
    endings = [word for word in said if word in (zero, one)]
    right = endings == [(zero, one)[item.state["act"]]] == said[-1:] and item.state["x"] in said
    return float(right and not says_nothing(reply))
