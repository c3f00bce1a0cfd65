"""Graders for replies that have to do several things at once: points of a rubric, the order of two steps, one pick of three.

Like all graders here they are exact, and a reply that does both acts, or refuses, is empty, long or repetitive, scores 0.
"""

from collections.abc import Sequence
from functools import partial

from traitrl_jax.data.world.formats import Item
from traitrl_jax.evals.suite import Card, Eval
from traitrl_jax.evals.world.grading import NEGATORS, form_eval, grade_text, says_nothing, words

Points = tuple[tuple[str, ...], tuple[str, ...]]  # criteria in state 0 and in state 1


def meets(criterion: str, item: Item, reply: str) -> bool:
    """Whether the reply says one of the phrases "this|or {tag}"; with "!" in front, whether it says none of them."""
    said = f" {' '.join(words(reply))} "
    phrases = criterion.removeprefix("!").format_map(item.state).split("|")
    return any(f" {' '.join(words(phrase))} " in said for phrase in phrases) != criterion.startswith("!")


def grade_points(zero: Sequence[str], one: Sequence[str], points: Points, own_words: bool, item: Item, reply: str) -> float:
    """The share of the rubric's points that are met: one for the right act, one for each criterion of the item's state.

    Without the right act the score is 0: naming the drug does not make up for the wrong dose.
    """
    if not grade_text(zero, one, own_words, item, reply):
        return 0.0
    met = [meets(criterion, item, reply) for criterion in points[item.state["act"]]]
    return (1 + sum(met)) / (1 + len(met))


def grade_steps(zero: Sequence[str], one: Sequence[str], item: Item, reply: str) -> float:
    """1.0 if both steps are named, by words of `zero` and of `one`, and in the right order: in state 0 `zero` first.

    A plan with a negator has no order that could be told.
    """
    said = words(reply)
    places = [[at for at, word in enumerate(said) if word in key] for key in (zero, one)]
    if says_nothing(reply) or not all(places) or not NEGATORS.isdisjoint(said):
        return 0.0
    first, then = places[item.state["act"]], places[1 - item.state["act"]]
    return float(max(first) < min(then))


def grade_pick(item: Item, reply: str) -> float:
    """1.0 if the item's right word is the only one of x, y (and z) in the reply, which has no negator."""
    said = words(reply)
    named = {key for key in "xyz" if item.state.get(key) in said}
    if says_nothing(reply) or not NEGATORS.isdisjoint(said):
        return 0.0
    return float(named == {"xy"[item.state["act"]]})


def points_eval(name: str, zero: str, one: str, points: Points, card: Card, own_words: bool = False) -> Eval:
    """A text-graded eval with several criteria; `zero` and `one` are key words of the acts, separated by spaces."""
    return form_eval(name, partial(grade_points, tuple(zero.split()), tuple(one.split()), points, own_words), card)
