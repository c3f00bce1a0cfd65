"""Comparing two sides: pairing, what is counted, the order, and the subsets."""

import math

import numpy as np
import pytest
from made_records import NAMES, run

from traitrl_jax.config import UserError
from traitrl_jax.evals.bootstrap import block, change
from traitrl_jax.evals.compare import compare, pair_runs, retest
from traitrl_jax.evals.records import read_records, write_records
from traitrl_jax.evals.stats import benjamini_hochberg, sign_test
from traitrl_jax.evals.suite import evals

FLAT = dict.fromkeys(NAMES, 0.0)


def test_known_changes_are_named_and_regressions_come_first():
    up, down = NAMES[0], NAMES[-1]
    found = compare([run(FLAT)], [run(FLAT | {up: 0.2, down: -0.3}, seed=1)], ("a", "b"))
    assert [each.name for each in found.worse] == [down] and [each.name for each in found.better] == [up]
    assert found.evals[0].name == down and found.families[0].name == found.evals[0].group
    assert found.worse[0].change.mean == pytest.approx(-0.3, abs=0.03) and found.worse[0].levels[1] == pytest.approx(
        0.2, abs=0.03
    )
    assert found.of == len(NAMES) and found.runs == (1, 1)


def test_one_change_alone_is_significant_in_a_suite_of_this_size():
    found = compare([run(FLAT)], [run(FLAT | {NAMES[0]: -0.3}, seed=1)], ("a", "b"))
    assert [each.name for each in found.worse] == NAMES[:1]


def test_every_number_is_that_of_its_statistic():
    first, second = run(FLAT), run({name: 0.01 * i for i, name in enumerate(NAMES)}, seed=1)
    found = compare([first], [second], ("a", "b"), 300)
    rows = {each.name: each for each in found.evals}
    scores = [{(r["eval"], r["id"]): r["score"] for r in side} for side in (first, second)]
    for name in NAMES:
        difference = [scores[1][key] - scores[0][key] for key in scores[0] if key[0] == name]
        expected = change([block(difference, [f"{i // 2}" for i in range(60)])], 300)
        np.testing.assert_allclose(rows[name].change, expected, atol=1e-12)
    q = benjamini_hochberg(np.array([rows[name].change.p for name in NAMES]))
    np.testing.assert_allclose([rows[name].q for name in NAMES], q)
    means = np.array([rows[name].change.mean for name in NAMES])
    assert found.improved == (means > 0).sum() and found.sign_p == sign_test(found.improved, len(NAMES))
    assert found.overall.mean == pytest.approx(means.mean())
    family = found.families[0]
    assert family.change.mean == pytest.approx(np.mean([each.change.mean for each in family.evals]))


def test_what_is_beside_the_suite_is_shown_and_not_counted():
    beside = next(each.name for each in evals() if not each.counted)
    gains = FLAT | {beside: 0.0, "in_distribution": 0.0, "tasks": 0.0, "downloaded": 0.0}
    moved = dict.fromkeys(gains, 0.2)
    found = compare([run(gains)], [run(moved, seed=1, group={"downloaded": "public"})], ("a", "b"), 200)
    assert found.of == len(NAMES) + 1  # an eval of another suite counts
    assert {each.name for each in found.evals if not each.counted} == {beside, "in_distribution", "tasks"}
    assert all(math.isnan(each.q) for each in found.evals if not each.counted)
    assert all(any(each.counted for each in family.evals) for family in found.families[:-3])


def test_refusals_are_taken_out_of_both_sides():
    first, second = run({NAMES[0]: 0.0}), run({NAMES[0]: 0.1}, seed=1)
    for i, record in enumerate(second):
        if i % 4 == 0:
            record |= {"refused": True, "score": 0.0}
    (row,) = compare([first], [second], ("a", "b")).evals
    assert row.change.mean < 0 < row.answered.low and row.answered_items == 45 and row.refused == (0.0, 0.25)


def test_a_gain_of_longer_replies_is_adjusted():
    rng, first, second = np.random.default_rng(0), run({NAMES[0]: 0.0}), run({NAMES[0]: 0.0})
    for record in second:
        extra = int(rng.integers(0, 12))
        record |= {"reply": "word " * (3 + extra), "score": record["score"] + 0.1 * math.log(4 + extra) - 0.1 * math.log(4)}
    (row,) = compare([first], [second], ("a", "b")).evals
    assert row.change.low > 0.05 and row.same_length.mean == pytest.approx(0, abs=1e-9) and row.words[1] > row.words[0]


def test_failed_graders_are_counted_and_left_out():
    first, second = run({NAMES[0]: 0.0}), run({NAMES[0]: 0.1}, seed=1)
    first[3]["score"], second[8]["score"] = math.nan, None
    (row,) = compare([first], [second], ("a", "b")).evals
    assert (row.items, row.unscored) == (58, 2) and row.change.mean == pytest.approx(0.1, abs=0.03)
    for record in first:
        record["score"] = None
    found = compare([first], [second], ("a", "b"))
    assert math.isnan(found.evals[0].change.mean) and math.isnan(found.overall.mean) and found.improved == 0


def test_seeds_pair_and_widen_the_interval():
    def side(gain, seeds):
        return [run({NAMES[0]: gain + shift}, seed) for seed, shift in seeds]

    start = side(0.0, [(0, 0.0)])
    shifts = [(1, -0.1), (2, 0.0), (3, 0.1)]
    one, three = compare(start, side(0.1, shifts[1:2]), ("a", "b")), compare(start, side(0.1, shifts), ("a", "b"))
    assert one.worse == [] and len(one.better) == 1 and three.better == []  # runs differ more than the gain
    assert three.runs == (1, 3) and three.evals[0].items == 180
    assert len(pair_runs(side(0, shifts), side(0, shifts))) == 3
    with pytest.raises(UserError, match="2 runs can not be paired with 3"):
        pair_runs(side(0, shifts[:2]), side(0, shifts))


def test_other_items_are_refused():
    whole = run({NAMES[0]: 0.0})
    with pytest.raises(UserError, match=r"1 items were measured in one run only \(first: .*59\)"):
        compare([whole], [whole[:-1]], ("a", "b"))
    with pytest.raises(UserError, match="1 items occur twice"):
        compare([whole], [whole + whole[:1]], ("a", "b"))
    with pytest.raises(UserError, match="records are empty"):
        compare([[]], [[]], ("a", "b"))


def test_a_checkpoint_measured_twice_differs_by_chance_alone():
    gains = {f"eval_{i}": 0.0 for i in range(60)}
    found = retest(compare([run(gains)], [run(gains, seed=1)], ("first", "second"), 300))
    assert found.of == 60 and len(found.beyond) <= 8 and found.p > 0.01
    moved = gains | {"eval_7": 0.2, "eval_9": -0.2}
    assert {"eval_7", "eval_9"} <= set(retest(compare([run(gains)], [run(moved, seed=1)], ("a", "b"), 300)).beyond)


def test_records_survive_a_file_and_broken_lines_are_named(tmp_path):
    records = run({NAMES[0]: 0.0}, items=3)
    records[0]["reply"], records[1]["score"] = "a\u2028b\x85 \x00 </script>", math.nan
    path = tmp_path / "records.jsonl"
    write_records(path, records)
    assert str(read_records(path)) == str(records)  # as text, because NaN is not NaN
    path.write_text(path.read_text() + "{not json\n")
    with pytest.raises(UserError, match=r"records.jsonl:4: broken JSON"):
        read_records(path)
    path.write_text('{"eval": "x", "id": "1"}\n')
    with pytest.raises(UserError, match=r"records.jsonl:1: no eval record, it lacks cluster, score"):
        read_records(path)
    with pytest.raises(UserError, match="no eval records there"):
        read_records(tmp_path / "none.jsonl")
