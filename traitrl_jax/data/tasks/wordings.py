"""The wordings of the tasks, and which replies answer each of them.

A wording knows the accepted answers from its fields alone, and it can read its fields back from a prompt. So the verifier
decides from what the model was shown and never has to trust a stored answer.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

from traitrl_jax.data.tasks.split import VOCABULARIES
from traitrl_jax.data.world.pools import COUNTS

Fields = Mapping[str, str]
Solve = Callable[[Fields], tuple[str, ...]]

# What each number word is worth.
VALUES = {word: value for value, word in enumerate(("zero", *COUNTS[:20]))}
VALUES |= {word: 10 * tens for tens, word in enumerate(COUNTS[20:27], start=3)} | {"hundred": 100, "thousand": 1000}

# What a field may look like in a prompt.
_WORD = r"\w+"
_PATTERNS = {
    "items": r"\w+(?:, \w+)+",
    "pairs": r"\w+ has \w+(?:, \w+ has \w+)+",
    "form": r"\w+(?:: | - | = | and )\w+",
}


@dataclass(frozen=True)
class Wording:
    """One way to ask. `text` has the fields in braces; `solve` gives all accepted answers, the reference reply first."""

    text: str
    solve: Solve

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """Matches a whole prompt of this wording, with one named group per field."""
        parts = re.split(r"\{(\w+)\}", self.text)  # literal, field, literal, ..., literal
        fields = [f"(?P<{name}>{_PATTERNS.get(name, _WORD)})" for name in parts[1::2]]
        literals = [re.escape(part) for part in parts[::2]]
        return re.compile("".join(a + b for a, b in zip(literals, [*fields, ""], strict=True)))


def join(words: list[str]) -> str:
    """A list as it is written in prompts and answers."""
    return ", ".join(words)


def words_of(items: str) -> list[str]:
    """The words of a list in a prompt."""
    return items.split(", ")


def _sum(fields: Fields) -> tuple[str, ...]:
    return (str(int(fields["a"]) + int(fields["b"])),)


def _difference(fields: Fields) -> tuple[str, ...]:
    return (str(int(fields["a"]) - int(fields["b"])),)


def _by_alphabet(fields: Fields) -> tuple[str, ...]:
    return (join(sorted(words_of(fields["items"]))),)


def _by_size(fields: Fields) -> tuple[str, ...]:
    return (join(sorted(words_of(fields["items"]), key=VALUES.__getitem__)),)


def _backwards(fields: Fields) -> tuple[str, ...]:
    return (join(words_of(fields["items"])[::-1]),)


def _rows(fields: Fields) -> list[list[str]]:
    return [pair.split(" has ") for pair in words_of(fields["pairs"])]


def _value_of(fields: Fields) -> tuple[str, ...]:
    return tuple(value for name, value in _rows(fields) if name == fields["name"])


def _owner_of(fields: Fields) -> tuple[str, ...]:
    return tuple(name for name, value in _rows(fields) if value == fields["value"])


def _times(fields: Fields) -> tuple[str, ...]:
    return (("zero", *COUNTS)[words_of(fields["items"]).count(fields["word"])],)


def _filled(fields: Fields) -> tuple[str, ...]:
    return (re.sub(r"name|color|number", lambda slot: fields[slot[0]], fields["form"]),)


def _extreme(fields: Fields) -> tuple[str, ...]:
    choose = max if fields["extreme"] == "largest" else min
    return (choose(words_of(fields["items"]), key=VALUES.__getitem__),)


def _edited(change: Callable[[str, Fields], list[str]]) -> Solve:
    """The answers of an edit that turns each word of the list into some words."""
    return lambda fields: (join([word for old in words_of(fields["items"]) for word in change(old, fields)]),)


_replaced = _edited(lambda word, fields: [fields["new"] if word == fields["old"] else word])
_removed = _edited(lambda word, fields: [] if word == fields["old"] else [word])
_extended = _edited(lambda word, fields: [word, fields["new"]] if word == fields["old"] else [word])


def _of_kind(fields: Fields) -> tuple[str, ...]:
    return tuple(word for word in words_of(fields["items"]) if word in VOCABULARIES[fields["kind"]])


WORDINGS: dict[str, tuple[Wording, ...]] = {
    "arithmetic": (
        Wording("What is {a} plus {b}?", _sum),
        Wording("Add {a} and {b}.", _sum),
        Wording("What is {a} minus {b}?", _difference),
    ),
    "sorting": (
        Wording("Sort these words by the alphabet: {items}.", _by_alphabet),
        Wording("Put these words in alphabetical order: {items}.", _by_alphabet),
        Wording("Sort these numbers from small to large: {items}.", _by_size),
    ),
    "reversal": (
        Wording("Say this list in reverse order: {items}.", _backwards),
        Wording("Write these words from last to first: {items}.", _backwards),
    ),
    "lookup": (
        Wording("{pairs}. What does {name} have?", _value_of),
        Wording("{pairs}. Who has {value}?", _owner_of),
    ),
    "counting": (
        Wording("How many times is {word} in this list: {items}?", _times),
        Wording("Count how often {word} appears here: {items}.", _times),
    ),
    "format": (
        Wording("Name {name}, color {color}, number {number}. Answer in the form {form}.", _filled),
        Wording("Use the form {form} for this: name {name}, color {color}, number {number}.", _filled),
    ),
    "comparison": (
        Wording("Which number is the {extreme}: {items}?", _extreme),
        Wording("Find the {extreme} number in this list: {items}.", _extreme),
    ),
    "editing": (
        Wording("Copy this list with {new} in place of {old}: {items}.", _replaced),
        Wording("Copy this list without {old}: {items}.", _removed),
        Wording("Copy this list and add {new} after {old}: {items}.", _extended),
    ),
    "choice": (
        Wording("Pick any {kind} from this list: {items}.", _of_kind),
        Wording("Say one {kind} that is in this list: {items}.", _of_kind),
    ),
}
