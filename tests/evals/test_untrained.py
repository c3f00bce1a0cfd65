"""A model that has learned nothing scores what each eval says it would, and batching evals together changes no reply."""

import jax
import numpy as np
import pytest

from traitrl_jax.config import ModelSpec, PretrainConfig, WorldConfig
from traitrl_jax.data.schema import Message
from traitrl_jax.data.world import corpus
from traitrl_jax.evals import runner
from traitrl_jax.evals.engine import Engine, Reply
from traitrl_jax.evals.suite import evals
from traitrl_jax.models.lm import init_params
from traitrl_jax.models.transformer import Decoder
from traitrl_jax.text.tokenizer import train_tokenizer

ITEMS = 24
ERRORS = 4.0  # standard errors of an interval that all evals may be held to at once


@pytest.fixture(scope="module")
def subject(tmp_path_factory):
    """(engine, policy) of a tiny model as it was initialised, with a tokenizer of the world's text."""
    lines = corpus.text_lines(150, PretrainConfig(), WorldConfig(), seed=0)
    tokenizer = train_tokenizer(lines, 900, tmp_path_factory.mktemp("tokenizer") / "tokenizer.model")
    model = Decoder(ModelSpec(width=16, layers=1, heads=2, head_dim=8, mlp=32), tokenizer.size)
    return Engine(model, tokenizer, 480, 1.0), (init_params(model, jax.random.key(0)), None)


@pytest.fixture(scope="module")
def records(subject):
    return runner.run_families(*subject, evals(), ITEMS, 0, 0)


def test_an_untrained_model_scores_what_each_eval_says(records):
    for each in evals():
        scores = np.array([r["score"] for r in records if r["eval"] == each.name])
        assert len(scores) == ITEMS
        twins = scores.reshape(-1, 2).mean(axis=1)
        error = twins.std(ddof=1) / len(twins) ** 0.5
        assert abs(scores.mean() - each.untrained) <= ERRORS * error + 0.02, (each.name, scores.mean(), each.untrained)


def test_an_eval_alone_has_the_replies_it_has_among_others(subject, records):
    names = ("yes_no_survey", "two_audiences")
    alone = runner.run_families(*subject, evals(names), ITEMS, 0, 0)
    beside = [r for r in records if r["eval"] in names]
    assert [(r["id"], r["reply"], r.get("again")) for r in alone] == [(r["id"], r["reply"], r.get("again")) for r in beside]
    assert [r["score"] for r in alone] == pytest.approx([r["score"] for r in beside], abs=1e-4)


def test_a_second_ask_must_be_answered_right_too(subject, monkeypatch):
    (each,) = evals(["two_audiences"])
    items = [each.make(i, 0) for i in range(4)]

    engine, policy = subject
    right, wrong = (
        [Reply(Message("assistant", item.answers[kind]), (), True) for item in items] for kind in ("right", "wrong")
    )
    for second, score in ((right, 1.0), (wrong, 0.0)):
        monkeypatch.setattr(engine, "replies", lambda *a, second=second: [*right, *second])
        found = runner.run_families(engine, policy, [each], 4, 0, 0)
        assert [r["score"] for r in found] == [score] * 4
        assert [r["again"] for r in found] == [r.message.content for r in second]
