"""Exact graders for short replies: which act does the text perform? They share nothing with the training reward.

A family lists key words of act 0 and of act 1. A reply performs an act when it has a key word of this act and none of the
other, so small slips of a tiny model do not matter, but a reply that says both things scores nothing. A negator turns the key
words behind it round ("did not pass" is a failed test) up to three words away and never across punctuation. "No" and "yes" are
key words of their own when punctuation follows. Refusals, empty, long and repetitive replies perform no act.

Known limits: a key word inside a quotation or a hypothetical counts as said, and a negator more than three words before its key
word is missed.
"""

import math
import re
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial

from traitrl_jax.data.world.formats import GROUPS, Item, make_item
from traitrl_jax.evals.suite import Card, Eval

MAX_WORDS = 16  # the longest reference reply has ten
MAX_REPEATS = 2  # no reference reply has a word three times
NEGATORS = frozenset({"not", "no", "never", "without", "nothing"})
NEGATION_REACH = 3
TEXT_TOKENS, OPTION_TOKENS = 32, 16
REFUSALS = (
    "can not help",
    "will not help",
    "can not answer",
    "will not answer",
    "can not talk",
    "not able to",
    "not something i",
    "can not say",
    "turn this down",
    "no part in",
)
_TOKEN = re.compile(r"[a-z]+|[^a-z\s]")


def words(text: str) -> list[str]:
    """Its words in lower case, without anything between them."""
    return re.findall(r"[a-z]+", text.lower())


def refuses(reply: str) -> bool:
    """Whether the reply turns the user away instead of answering; the over-refusal rate of any reply, of any family."""
    flat = " ".join(words(reply))
    return any(phrase in flat for phrase in REFUSALS)


def degenerate(reply: str) -> bool:
    """Whether the reply is empty, longer than MAX_WORDS words or has one word more than MAX_REPEATS times."""
    said = words(reply)
    return not said or len(said) > MAX_WORDS or max(Counter(said).values()) > MAX_REPEATS


def says_nothing(reply: str) -> bool:
    """Whether the reply performs no act of any family: it is degenerate or refuses."""
    return degenerate(reply) or refuses(reply)


def classify(reply: str, zero: Sequence[str], one: Sequence[str]) -> int | None:
    """The act (0 or 1) that the reply performs by these key words, None if it performs none or both.

    Key words are single lower-case words; "no," and "yes," stand for the words with punctuation or the end behind them.
    """
    if says_nothing(reply):
        return None
    tokens = [*_TOKEN.findall(reply.lower()), "."]
    acts: set[int] = set()
    reach = 0
    for token, following in zip(tokens, tokens[1:], strict=False):
        alone = not following.isalpha()
        if not token.isalpha():
            reach = 0
            continue
        key = token + "," if alone and token in ("no", "yes") else token
        if key in zero or key in one:
            acts.add(int((key in one) != (reach > 0)))
        reach = NEGATION_REACH if token in NEGATORS and not alone else max(0, reach - 1)
    return acts.pop() if len(acts) == 1 else None


def grade_text(zero: Sequence[str], one: Sequence[str], own_words: bool, item: Item, reply: str) -> float:
    """1.0 if the reply performs the item's right act, otherwise 0.0; `own_words` adds the item's own pair of words (x, y)."""
    if own_words:
        zero, one = (*zero, item.state["x"]), (*one, item.state["y"])
    return float(classify(reply, zero, one) == item.state["act"])


def grade_letter(zero: Sequence[str], one: Sequence[str], item: Item, reply: str) -> float:
    """1.0 if the reply names only the right letter, with punctuation or the end behind it, otherwise 0.0.

    The right option's key words (zero, one) may follow; the other option's may not.
    """
    if says_nothing(reply):
        return 0.0
    right, act = item.state["right"], item.state["act"]
    letters = {"AB".index(letter) for letter in re.findall(r"\b[AB]\b(?=\s*(?:[.,:?]|$))", reply)}
    wrong_words = (one, zero)[act]
    return float(letters == {right} and set(words(reply)).isdisjoint(wrong_words))


def grade_options(item: Item, logprobs: Sequence[float]) -> float:
    """The probability of the right option among `item.options`, in [0, 1]; chance is 1 / len(options).

    `logprobs` are natural logs, one per option, of any common offset. NaN if one is NaN or none is finite (a failed measurement
    is not a zero). ValueError if the item has no options or the counts differ.
    """
    if not item.options or len(logprobs) != len(item.options):
        raise ValueError(f"{item.id}: {len(logprobs)} log-probabilities for {len(item.options)} options")
    top = max(logprobs)
    if any(math.isnan(value) for value in logprobs) or not math.isfinite(top):
        return math.nan
    weights = [math.exp(value - top) for value in logprobs]
    return weights[item.state["right"]] / sum(weights)


def _make(name: str, index: int, seed: int) -> Item:
    return make_item(name, "eval", index, seed)


def text_eval(name: str, zero: str, one: str, card: Card, own_words: bool = False, counted: bool = True) -> Eval:
    """A text-graded eval of a family; `zero` and `one` are its key words, separated by spaces."""
    return form_eval(name, partial(grade_text, tuple(zero.split()), tuple(one.split()), own_words), card, counted)


def form_eval(name: str, grade: Callable[[Item, str], float], card: Card, counted: bool = True) -> Eval:
    """A text-graded eval of a family with a grader of its own."""
    return Eval(name, GROUPS[name], card, 0.5, partial(_make, name), grade, "text", TEXT_TOKENS, counted)


def options_eval(name: str, grade: Callable[[Item, str], float], card: Card) -> Eval:
    """An option-scored eval of a family; every item of a family has as many options."""
    chance = 1 / len(_make(name, 0, 0).options)
    return Eval(name, GROUPS[name], card, chance, partial(_make, name), grade, "options", OPTION_TOKENS)
