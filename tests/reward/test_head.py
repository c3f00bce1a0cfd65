"""The rubric head: K criteria in one call are K calls, thought and points are hidden, failures are NaN, not guesses."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from traitrl_jax.config import ModelSpec
from traitrl_jax.models.lm import init_params
from traitrl_jax.models.transformer import Decoder
from traitrl_jax.reward.head import Criteria, grade, init_head, strip_thought
from traitrl_jax.text.tokenizer import ANSWER, CRITERION, END, THOUGHT

VOCABULARY, ROWS, P, R, K, C = 40, 4, 7, 10, 3, 5
EXACT = {"atol": 1e-5, "rtol": 0}


def right(rows, length) -> tuple[np.ndarray, np.ndarray]:
    """Rows of ids, padded on the right."""
    tokens, valid = np.zeros((len(rows), length), np.int32), np.zeros((len(rows), length), bool)
    for b, row in enumerate(rows):
        tokens[b, : len(row)], valid[b, : len(row)] = row, True
    return tokens, valid


class Grader:
    """A random head with its compiled program, and a batch of replies with rubrics of one to three lines."""

    replies = (
        [THOUGHT, 20, 21, ANSWER, 11, 12, 13, END],
        [ANSWER, 14, 15, END],
        [THOUGHT, 22, ANSWER, 16, 17, 18, 19, 20, 21, 22],  # cut off
        [ANSWER, 30, END],
    )
    lines = (([23, 24], [25], [26, 27, 28]), ([24],), ([25, 26], [27]), ([28], [23], [24, 25, 26]))

    def __init__(self):
        self.model = Decoder(ModelSpec(width=16, layers=2, heads=2, head_dim=8, mlp=32), VOCABULARY)
        head = init_head(jax.jit(partial(init_params, self.model))(jax.random.key(0)), 16)
        self.head = {**head, "weight": jax.random.normal(jax.random.key(1), (16,)), "bias": jnp.float32(0.1)}
        options = {"xla_backend_optimization_level": 0}
        self.program = jax.jit(partial(grade, self.model), compiler_options=options)
        self.prompt = np.random.default_rng(0).integers(9, VOCABULARY, (ROWS, P)).astype(np.int32)
        self.valid = np.arange(P) >= np.array([[0], [3], [6], [1]])
        self.reply, self.mask = right(self.replies, R)
        self.criteria = self.rubrics(self.lines)

    def rubrics(self, lines) -> Criteria:
        tokens, valid, points = np.zeros((ROWS, K, C), np.int32), np.zeros((ROWS, K, C), bool), np.zeros((ROWS, K), np.float32)
        for b, rubric in enumerate(lines):
            tokens[b, : len(rubric)], valid[b, : len(rubric)] = right([[CRITERION, *line, END] for line in rubric], C)
            points[b, : len(rubric)] = [3, -2, 1][: len(rubric)]
        return Criteria(tokens, valid, points, np.ones((ROWS, K), bool))

    def __call__(self, head=None, **changes) -> tuple[np.ndarray, np.ndarray]:
        """(score, P(met)) of the batch with some arguments changed."""
        own = {"prompt": self.prompt, "prompt_valid": self.valid, "reply": self.reply, "mask": self.mask}
        args = own | {"criteria": self.criteria} | changes
        return tuple(np.asarray(x) for x in self.program(head or self.head, *args.values()))


@pytest.fixture(scope="module")
def grader() -> Grader:
    return Grader()


def counted(grader) -> np.ndarray:
    return grader.criteria.points != 0


def test_all_criteria_in_one_call_are_separate_calls(grader):
    """Each line alone, first in its rubric, has the verdict it has in company."""
    _, together = grader()
    for k in range(K):
        alone = grader.rubrics([rubric[k : k + 1] for rubric in grader.lines])
        rows = counted(grader)[:, k]
        np.testing.assert_allclose(grader(criteria=alone)[1][rows, 0], together[rows, k], **EXACT)
    assert together[counted(grader)].std() > 0.05


def test_the_order_of_criteria_changes_nothing(grader):
    turned = Criteria(*(a[:, ::-1] for a in grader.criteria))
    (score, p_met), (again, p_again) = grader(), grader(criteria=turned)
    keep = counted(grader)
    np.testing.assert_allclose(p_again[:, ::-1][keep], p_met[keep], **EXACT)
    np.testing.assert_allclose(again, score, **EXACT)


def test_the_thought_is_not_seen(grader):
    """Other tokens, another length or no thought at all: the same verdicts. Another answer: others."""
    rows = [[*r[: r.index(ANSWER)], *r[r.index(ANSWER) :]] for r in grader.replies]
    _, p_met = grader()
    flattering = [[THOUGHT, 39, 38][: r.index(ANSWER)] + r[r.index(ANSWER) :] for r in rows]
    none = [r[r.index(ANSWER) :] for r in rows]
    for replies in (flattering, none):
        reply, mask = right(replies, R)
        np.testing.assert_allclose(grader(reply=reply, mask=mask)[1], p_met, **EXACT)
    reply, mask = right([[*r[:-2], 35, r[-1]] for r in rows], R)
    assert (np.abs(grader(reply=reply, mask=mask)[1] - p_met)[counted(grader)] > 1e-4).all()


def test_strip_thought_moves_the_answer_to_the_left(grader):
    answer, valid = strip_thought(jnp.array(grader.reply), jnp.array(grader.mask))
    for b, row in enumerate(grader.replies):
        expect = row[row.index(ANSWER) :]
        assert answer[b].tolist() == expect + [0] * (R - len(expect)) and int(valid[b].sum()) == len(expect)


def test_tokens_behind_the_reply_are_not_seen(grader):
    """What stands behind a reply's length, an <answer> too, is not part of it."""
    reply = np.where(grader.mask, grader.reply, ANSWER)
    np.testing.assert_allclose(grader(reply=reply)[1], grader()[1], **EXACT)


def test_points_do_not_move_verdicts(grader):
    points = grader.criteria.points * np.array([[10, 0.5, -3]], np.float32)
    score, p_met = grader(criteria=grader.criteria._replace(points=points))
    np.testing.assert_array_equal(p_met, grader()[1])
    assert (score != grader()[0])[:1].all()


@pytest.mark.parametrize("empty", [[], [END], [ANSWER], [ANSWER, END], [THOUGHT, 20, 21, END], [20, 21, 22, END]], ids=str)
def test_a_reply_without_text_meets_nothing(grader, empty):
    """Nothing, no <answer>, or nothing behind it: P(met) 0 for every line; the other rows as before."""
    reply, mask = right([*grader.replies[:3], empty], R)
    score, p_met = grader(reply=reply, mask=mask)
    assert score[3] == 0 and (p_met[3] == 0).all()
    np.testing.assert_allclose(score[:3], grader()[0][:3], **EXACT)


def test_a_criterion_that_was_cut_is_no_verdict(grader):
    """NaN in that line and in its row's score, also if it counts against the reply; not in other rows or lines."""
    intact = np.ones((ROWS, K), bool)
    intact[0, 1] = intact[1, 2] = False  # row 1 has no third line: its score stands
    score, p_met = grader(criteria=grader.criteria._replace(intact=intact))
    assert np.isnan(score).tolist() == [True, False, False, False]
    assert np.isnan(p_met[0]).tolist() == [False, True, False]
    np.testing.assert_allclose(score[1:], grader()[0][1:], **EXACT)


def test_a_broken_grader_gives_nan(grader):
    score, p_met = grader({**grader.head, "bias": jnp.float32(jnp.nan)})
    assert np.isnan(score).all() and np.isnan(p_met).all()


def test_padding_of_the_prompt_changes_nothing(grader):
    """Other tokens in the padding, and more of it."""
    _, p_met = grader()
    other = np.where(grader.valid, grader.prompt, 33)
    np.testing.assert_allclose(grader(prompt=other)[1], p_met, **EXACT)
    wider = np.pad(grader.prompt, ((0, 0), (4, 0)), constant_values=12)
    np.testing.assert_allclose(grader(prompt=wider, prompt_valid=np.pad(grader.valid, ((0, 0), (4, 0))))[1], p_met, **EXACT)


def test_a_fresh_head_says_half(grader):
    score, p_met = grader(init_head(grader.head["trunk"], 16))
    np.testing.assert_array_equal(p_met, 0.5)
    np.testing.assert_allclose(score[0], 0.5 * (3 - 2 + 1) / 4)


def test_eight_criteria_on_a_long_conversation():
    """1,024 tokens read once, or in eight calls of one criterion: the same P(met), also beyond a local layer's window."""
    spec = ModelSpec(
        width=32, layers=2, heads=4, kv_heads=2, head_dim=8, mlp=64, copying=False, activation="gelu", qk_norm=True,
        window=256, pattern=2, rope_share=1.0,
    )  # fmt: skip
    model, rng, lines = Decoder(spec, VOCABULARY), np.random.default_rng(5), 8
    head = init_head(jax.jit(partial(init_params, model))(jax.random.key(0)), 32)
    head |= {"weight": jax.random.normal(jax.random.key(1), (32,)) / 4}
    prompt, reply = (rng.integers(9, VOCABULARY, (2, n)).astype(np.int32) for n in (896, 128))
    valid = np.arange(896) >= np.array([[0], [100]])
    lengths = rng.integers(2, 25, (2, lines, 1))
    criteria = Criteria(
        rng.integers(9, VOCABULARY, (2, lines, 24)), np.arange(24) < lengths, np.ones((2, lines)), np.ones((2, lines), bool)
    )
    program = jax.jit(partial(grade, model, answer_id=None))
    together = program(head, prompt, valid, reply, np.ones(reply.shape, bool), criteria)[1]
    for k in range(lines):
        one = Criteria(*(a[:, k : k + 1] for a in criteria))
        alone = program(head, prompt, valid, reply, np.ones(reply.shape, bool), one)[1]
        np.testing.assert_allclose(alone[:, 0], together[:, k], **EXACT)
    assert together.std() > 0.05
