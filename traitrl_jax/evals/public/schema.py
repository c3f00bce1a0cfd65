"""What a public benchmark is here: a reader of its records, a way to score an answer, and the rule it was published with.

A benchmark of kind "options" is scored by the log-probability of its options, so it says something at any model size; "text"
by an exact check of a sampled reply; "judge" by a judge that is passed in; "code" by running the reply in a separate process.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from traitrl_jax.text.chat import Message

if TYPE_CHECKING:
    from traitrl_jax.evals.public.files import Row

Outcome = dict[str, Any]  # "score": float, NaN with a "reason" when there is none; other keys are kept in the record
Record = dict[str, Any]  # an item's line in items.jsonl
NAN = float("nan")


class Skip(Exception):
    """This record makes no item of this benchmark, or this answer no score; the text says why and is counted."""


@dataclass(frozen=True)
class Item:
    """One question. Items with one `cluster` (rows of a set, paraphrases) are no independent evidence: intervals resample them
    together."""

    id: str
    messages: tuple[Message, ...]
    cluster: str
    options: tuple[str, ...] = ()  # of kind "options": the replies whose log-probabilities are compared
    chance: float = NAN  # score of a uniform choice among the options, or of the best fixed reply to a checked text
    drawn: str = ""  # items of one name are drawn together when a sample is taken; empty: each alone
    reply: str | None = None  # a reply that comes with the file and is judged instead of the model's (calibrates a judge)
    state: Mapping[str, Any] = field(default_factory=dict)  # what scoring needs and no model sees


@dataclass(frozen=True)
class Question:
    """What a judge is asked about one reply: is the criterion met? `prompt` is the benchmark's own judge prompt, filled in, for
    judges that read text; empty where the benchmark publishes none."""

    messages: tuple[Message, ...]
    reply: str
    criterion: str
    prompt: str = ""


# One verdict per question: P(criterion met) in [0, 1], or the answer to `prompt` as text ("TRUE", "87", "REFUSAL"). NaN or
# None: the judge failed on it.
Verdict = float | str | None
Judge = Callable[[Sequence[Question]], Sequence[Verdict]]


@dataclass(frozen=True)
class Summary:
    """Scores that make the benchmark's one number: their mean, with an interval over clusters. `extra` has its other published
    numbers; `clip` is the published range of the mean."""

    scores: Sequence[float]
    clusters: Sequence[str]
    extra: Mapping[str, float] = field(default_factory=dict)
    clip: tuple[float, float] = (-math.inf, math.inf)


def scored_records(records: Sequence[Record]) -> list[Record]:
    """The records whose score is a finite number."""
    return [record for record in records if record["score"] is not None and math.isfinite(record["score"])]


def mean_of(records: Sequence[Record], key: str = "score") -> float:
    """Mean of a field over the records that have it; NaN if there are none."""
    found = [record[key] for record in records if record.get(key) is not None and math.isfinite(record[key])]
    return sum(found) / len(found) if found else NAN


def mean_score(records: Sequence[Record]) -> Summary:
    """The mean over all items that have a score."""
    found = scored_records(records)
    return Summary([r["score"] for r in found], [r["cluster"] for r in found])


def mean_score_and(**extra: str) -> Callable[[Sequence[Record]], Summary]:
    """A `summarise` that adds plain means of other fields to the mean score: name of the number = field of the record."""

    def summarise(records: Sequence[Record]) -> Summary:
        plain = mean_score(records)
        return Summary(plain.scores, plain.clusters, {name: mean_of(records, key) for name, key in extra.items()})

    return summarise


@dataclass(frozen=True)
class Benchmark:
    """One benchmark.

    `matches(record, path)` knows its files by the schema of their first record; `make(row)` gives the items of a record, raises
    UserError for a malformed one and Skip for one that is no item. `grade(item, answer)` gets the options' log-probabilities
    ("options"), the reply ("text"), the verdicts on `questions(item, reply)` ("judge") or whether each of `programs(item,
    reply)` passed ("code"). Scores are oriented: higher is better; `rule` is how the benchmark itself scores.
    """

    name: str
    family: str
    kind: Literal["options", "text", "judge", "code"]
    rule: str
    means: str  # what a high score means
    source: str
    matches: Callable[[Mapping[str, Any], Path], bool]
    make: Callable[["Row"], Iterable[Item]]
    grade: Callable[[Item, Any], Outcome]
    summarise: Callable[[Sequence[Record]], Summary] = mean_score
    questions: Callable[[Item, str], Sequence[Question]] | None = None
    programs: Callable[[Item, str], Sequence[str]] | None = None
    pooled: bool = False  # several files make one score
    empty: float = NAN  # judged benchmarks: score of an empty reply; NaN: it is counted and left out
