"""Two sides measured on the same items: what changed on every eval, by family and over the suite, regressions first.

A change is the second side minus the first. Items pair by id, runs by position; a single run pairs with every run of the other
side.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.stats import binomtest

from traitrl_jax.config import UserError
from traitrl_jax.evals.bootstrap import Block, Change, block, change
from traitrl_jax.evals.runner import IN_DISTRIBUTION, TASKS, Record
from traitrl_jax.evals.stats import benjamini_hochberg, length_adjusted, sign_test
from traitrl_jax.evals.suite import evals

LEVEL = 0.05  # q below which a change is called significant
ItemKey = tuple[str, str]  # eval, id
Runs = Sequence[Sequence[Record]]  # records of every run of a side


@dataclass(frozen=True)
class EvalChange:
    """What changed on one eval. Pairs of values are (first side, second side)."""

    name: str
    group: str
    counted: bool  # does it enter k of n, the correction and the mean?
    levels: tuple[float, float]
    change: Change
    q: float  # Benjamini-Hochberg over counted evals; NaN if not counted or not tested
    items: int  # pairs of replies that have a score on both sides
    unscored: int  # pairs left out because a grader failed on either side
    refused: tuple[float, float]
    answered: Change  # on the items that neither side refused
    answered_items: int
    words: tuple[float, float]  # mean length of replies
    same_length: Change  # had both sides' replies been equally long

    @property
    def significant(self) -> bool:
        return self.q < LEVEL


@dataclass(frozen=True)
class Family:
    """A group of evals: each weighs the same, and the interval is over items and runs of these very evals."""

    name: str
    evals: tuple[EvalChange, ...]
    change: Change

    @property
    def improved(self) -> int:
        return sum(each.change.mean > 0 for each in self.evals)


@dataclass(frozen=True)
class Comparison:
    """The whole comparison. `families` with regressions come first, and in each the evals that fell most."""

    names: tuple[str, str]
    runs: tuple[int, int]
    families: tuple[Family, ...]
    improved: int
    of: int
    sign_p: float
    overall: Change  # mean over counted evals; its interval resamples evals
    answered: Change  # the same on the items that neither side refused
    same_length: Change

    @property
    def evals(self) -> list[EvalChange]:
        return [each for family in self.families for each in family.evals]

    @property
    def worse(self) -> list[EvalChange]:
        """Significantly worse, the largest fall first."""
        return sorted((e for e in self.evals if e.significant and e.change.mean < 0), key=lambda e: e.change.mean)

    @property
    def better(self) -> list[EvalChange]:
        """Significantly better, the largest rise first."""
        return sorted((e for e in self.evals if e.significant and e.change.mean > 0), key=lambda e: -e.change.mean)


def pair_runs(first: Runs, second: Runs) -> list[tuple[dict[ItemKey, Record], dict[ItemKey, Record]]]:
    """Runs of the two sides that are compared with each other, as records by eval and id.

    Raises UserError when the numbers of runs do not fit or any two runs were not measured on the same items.
    """
    if len(first) != len(second) and 1 not in (len(first), len(second)):
        raise UserError(
            f"{len(first)} runs can not be paired with {len(second)}; compare equal numbers of seeds, or single runs"
        )
    sides = [[_by_item(run) for run in side] for side in (first, second)]
    reference = sides[0][0]
    for run in (*sides[0], *sides[1]):
        if odd := reference.keys() ^ run.keys():
            name, item = min(odd)
            raise UserError(
                f"{len(odd)} items were measured in one run only (first: {name} {item}); run traitrl eval on both sides"
            )
    count = max(map(len, sides))
    return [tuple(side[i % len(side)] for side in sides) for i in range(count)]


def _by_item(run: Sequence[Record]) -> dict[ItemKey, Record]:
    found = {(record["eval"], record["id"]): record for record in run}
    if len(found) < len(run):
        raise UserError(f"{len(run) - len(found)} items occur twice in one run of records; delete the file and measure again")
    return found


def compare(first: Runs, second: Runs, names: tuple[str, str], samples: int = 5000) -> Comparison:
    """Compare two sides, each some runs (seeds) of records. Raises UserError as `pair_runs`, and for empty records.

    A p-value is at least 2 / (samples + 1): for one change alone to be significant among N evals, samples must exceed 40 N.
    """
    pairs = pair_runs(first, second)
    by_eval: dict[str, list[str]] = {}
    for name, item in pairs[0][0]:
        by_eval.setdefault(name, []).append(item)
    if not by_eval:
        raise UserError("nothing to compare: the records are empty; run traitrl eval first")
    registry = {each.name: (each.group, each.counted) for each in evals()}
    registry |= {IN_DISTRIBUTION: ("held-out scenarios", False), TASKS: ("standard tasks", False)}
    made = [_one_eval(name, items, pairs, registry, samples) for name, items in by_eval.items()]
    counted = [i for i, (row, _) in enumerate(made) if row.counted]
    q = dict(zip(counted, benjamini_hochberg([made[i][0].change.p for i in counted]), strict=True))
    made = [(replace(row, q=float(q.get(i, math.nan))), blocks) for i, (row, blocks) in enumerate(made)]
    rows = [row for row, _ in made if row.counted]
    moved = [row.change.mean for row in rows if row.change.mean]
    return Comparison(
        names=names,
        runs=(len(first), len(second)),
        families=_families(made, samples),
        improved=sum(value > 0 for value in moved),
        of=len(rows),
        sign_p=sign_test(sum(value > 0 for value in moved), sum(math.isfinite(value) for value in moved)),
        overall=_over_evals(rows, lambda row: row.change),
        answered=_over_evals(rows, lambda row: row.answered),
        same_length=_over_evals(rows, lambda row: row.same_length),
    )


def _one_eval(
    name: str, items: Sequence[str], pairs: Sequence, registry: Mapping[str, tuple[str, bool]], samples: int
) -> tuple[EvalChange, Block]:
    before, after = ([[side[name, item] for item in items] for side in run] for run in zip(*pairs, strict=True))
    clusters = [record["cluster"] for record in before[0]]
    scores = _field(before, _score), _field(after, _score)
    refused = _field(before, _refused), _field(after, _refused)
    words = _field(before, _words), _field(after, _words)
    difference = scores[1] - scores[0]
    there = np.isfinite(difference)
    answered = np.where(refused[0] + refused[1] > 0, np.nan, difference)
    lengths = np.log1p(words[1]) - np.log1p(words[0])
    group, counted = registry.get(name) or (str(before[0][0].get("group", "other")), True)
    plain = block(difference, clusters)
    row = EvalChange(
        name=name,
        group=group,
        counted=counted,
        levels=tuple(float(side[there].mean()) if there.any() else math.nan for side in scores),
        change=change([plain], samples),
        q=math.nan,
        items=int(there.sum()),
        unscored=int((~there).sum()),
        refused=tuple(float(side.mean()) for side in refused),
        answered=change([block(answered, clusters)], samples),
        answered_items=int(np.isfinite(answered).sum()),
        words=tuple(float(side.mean()) for side in words),
        same_length=change([block(length_adjusted(difference, lengths), clusters)], samples),
    )
    return row, plain


def _field(runs: Sequence[Sequence[Record]], read: Callable[[Record], float]) -> np.ndarray:
    return np.array([[read(record) for record in run] for run in runs], np.float64)  # [S, N]


def _score(record: Record) -> float:
    return math.nan if record["score"] is None else record["score"]


def _refused(record: Record) -> float:
    return float(record["refused"])


def _words(record: Record) -> float:
    return float(len(record["reply"].split()))


def _families(made: Sequence[tuple[EvalChange, Block]], samples: int) -> tuple[Family, ...]:
    """Families of counted evals first; those with significant regressions lead, then the largest fall."""
    groups: dict[str, list[tuple[EvalChange, Block]]] = {}
    for row, blocks in made:
        groups.setdefault(row.group, []).append((row, blocks))
    families = []
    for name, found in groups.items():
        found = sorted(found, key=lambda each: _regression_first(each[0]))
        rows, blocks = zip(*found, strict=True)
        families.append(Family(name, rows, change([each for each in blocks if each.counts.sum()], samples)))
    return tuple(sorted(families, key=_family_order))


def _regression_first(row: EvalChange) -> tuple[bool, float]:
    return not (row.significant and row.change.mean < 0), row.change.mean if math.isfinite(row.change.mean) else math.inf


def _family_order(family: Family) -> tuple[bool, int, float]:
    regressions = sum(row.significant and row.change.mean < 0 for row in family.evals)
    mean = family.change.mean
    return not any(row.counted for row in family.evals), -regressions, mean if math.isfinite(mean) else math.inf


def _over_evals(rows: Sequence[EvalChange], read: Callable[[EvalChange], Change]) -> Change:
    means = np.array([read(row).mean for row in rows])
    return change([block(means, range(len(means)))] if np.isfinite(means).any() else [])


@dataclass(frozen=True)
class Retest:
    """Two measurements of one checkpoint with other seeds: how many evals differ beyond their intervals, and which."""

    beyond: tuple[str, ...]
    of: int
    p: float  # of so many or more, if every interval covers at 95%


def retest(comparison: Comparison) -> Retest:
    """Read a comparison of a checkpoint with itself; all evals count, those beside the suite too."""
    tested = [row for row in comparison.evals if math.isfinite(row.change.p)]
    beyond = tuple(row.name for row in tested if row.change.clear)
    p = float(binomtest(len(beyond), len(tested), 0.05, alternative="greater").pvalue) if tested else 1.0
    return Retest(beyond, len(tested), p)
