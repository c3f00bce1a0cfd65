"""The task families: one small generator each, which chooses a wording and draws its fields from a pool's items."""

from collections.abc import Callable

from traitrl_jax.data.tasks.split import PAIRS, VOCABULARIES, VOCABULARY, Draw, word_codes
from traitrl_jax.data.tasks.wordings import WORDINGS, Wording, join
from traitrl_jax.data.world.pools import COLORS, COUNTS, FIRST_NAMES

Question = tuple[Wording, dict[str, str]]
_SEPARATORS = (": ", " - ", " = ", " and ")


def _any_words(draw: Draw, pool: str) -> tuple[list[str], tuple[str, ...]]:
    """Three or four different words of one kind, and all words of that kind."""
    kind = draw.pick((COLORS, FIRST_NAMES, COUNTS))
    return [kind[code] for code in word_codes(draw, pool, 3 + draw.below(2))], kind


def _other(draw: Draw, kind: tuple[str, ...], words: list[str]) -> str:
    """A word of a kind which is not among `words`."""
    return draw.pick([word for word in kind if word not in words])


def arithmetic(draw: Draw, pool: str) -> Question:
    """Sums up to 99 and the differences that undo them: both belong to the pair of summands."""
    pair = draw.pick(PAIRS[pool])
    first = draw.below(2)
    a, b = pair[first], pair[1 - first]
    wording = draw.pick(WORDINGS["arithmetic"])
    return wording, {"a": str(a + b if "minus" in wording.text else a), "b": str(b)}


def sorting(draw: Draw, pool: str) -> Question:
    """Words by the alphabet, numbers by size."""
    wording = draw.pick(WORDINGS["sorting"])
    kind = COUNTS if "numbers" in wording.text else draw.pick((COLORS, FIRST_NAMES))
    return wording, {"items": join([kind[code] for code in word_codes(draw, pool, 3 + draw.below(2))])}


def reversal(draw: Draw, pool: str) -> Question:
    """A list from its end to its start."""
    return draw.pick(WORDINGS["reversal"]), {"items": join(_any_words(draw, pool)[0])}


def lookup(draw: Draw, pool: str) -> Question:
    """A table of who has what, asked in either direction; the pool is that of the list of values."""
    kind = draw.pick((COLORS, COUNTS))
    values = [kind[code] for code in word_codes(draw, pool, 3 + draw.below(2))]
    names = [FIRST_NAMES[code] for code in draw.sample(range(VOCABULARY), len(values))]
    row = draw.below(len(values))
    fields = {"pairs": join([f"{name} has {value}" for name, value in zip(names, values, strict=True)])}
    return draw.pick(WORDINGS["lookup"]), fields | {"name": names[row], "value": values[row]}


def counting(draw: Draw, pool: str) -> Question:
    """How often a word is in a list of four: zero to three times, equally likely."""
    times = draw.below(4)
    codes = word_codes(draw, pool, 4, repeats=max(times - 1, 0))
    kind = draw.pick((COLORS, FIRST_NAMES, COUNTS))
    words = [kind[code] for code in codes]
    word = _other(draw, kind, words) if times == 0 else draw.pick([word for word in words if words.count(word) == times])
    return draw.pick(WORDINGS["counting"]), {"word": word, "items": join(words)}


def format_following(draw: Draw, pool: str) -> Question:
    """Two of three facts in a given form; the sign between them and their order are what has to be followed."""
    name, color, number = word_codes(draw, pool, 3)
    first, second = draw.sample(range(3), 2)
    slots = ("name", "color", "number")
    form = slots[first] + draw.pick(_SEPARATORS) + slots[second]
    fields = {"name": FIRST_NAMES[name], "color": COLORS[color], "number": COUNTS[number], "form": form}
    return draw.pick(WORDINGS["format"]), fields


def comparison(draw: Draw, pool: str) -> Question:
    """The largest or the smallest of three or four numbers."""
    items = join([COUNTS[code] for code in word_codes(draw, pool, 3 + draw.below(2))])
    return draw.pick(WORDINGS["comparison"]), {"extreme": draw.pick(("largest", "smallest")), "items": items}


def editing(draw: Draw, pool: str) -> Question:
    """A copy of a list with one word replaced, left out or added."""
    words, kind = _any_words(draw, pool)
    fields = {"old": draw.pick(words), "new": _other(draw, kind, words), "items": join(words)}
    return draw.pick(WORDINGS["editing"]), fields


def choice(draw: Draw, pool: str) -> Question:
    """Any word of one kind from a mixed list: one to three answers are right, and giving two of them is wrong."""
    asked = draw.pick(tuple(VOCABULARIES))
    others = [kind for kind in VOCABULARIES if kind != asked]
    right = 1 + draw.below(3)
    kinds = [asked] * right + [draw.pick(others) for _ in range(4 - right)]
    codes = word_codes(draw, pool, 4)
    words = [VOCABULARIES[kinds[place]][code] for place, code in zip(draw.sample(range(4), 4), codes, strict=True)]
    return draw.pick(WORDINGS["choice"]), {"kind": asked, "items": join(words)}


GENERATORS: dict[str, Callable[[Draw, str], Question]] = {
    "arithmetic": arithmetic,
    "sorting": sorting,
    "reversal": reversal,
    "lookup": lookup,
    "counting": counting,
    "format": format_following,
    "comparison": comparison,
    "editing": editing,
    "choice": choice,
}  # append only: the position seeds the draws
