"""The engine: what a row gets depends on neither its batch nor its neighbours."""

from functools import partial

import jax
import numpy as np
import pytest

from tests.text.conftest import WORDS
from traitrl_jax.config import ModelSpec, UserError
from traitrl_jax.data.schema import Message
from traitrl_jax.evals.engine import Engine, _batches
from traitrl_jax.models.lm import init_params
from traitrl_jax.models.transformer import Decoder
from traitrl_jax.text.tokenizer import train_tokenizer

SIZES = (8, 16, 32)


@pytest.fixture(scope="module")
def subject(tmp_path_factory):
    """(model, tokenizer, policy) of a tiny random model."""
    lines = [" ".join(WORDS[(i * k) % len(WORDS)] for k in range(1, 9)) for i in range(200)]
    tokenizer = train_tokenizer(lines, 360, tmp_path_factory.mktemp("tokenizer") / "tokenizer.model")
    model = Decoder(ModelSpec(width=16, layers=1, heads=2, head_dim=8, mlp=32), tokenizer.size)
    return model, tokenizer, (init_params(model, jax.random.key(0)), None)


def asked(count: int) -> list[tuple[Message, ...]]:
    """Conversations of ragged lengths."""
    return [(Message("user", " ".join(WORDS[(i + k) % len(WORDS)] for k in range(1 + 3 * i % 11))),) for i in range(count)]


def test_batches_hold_every_row_once_the_longest_first():
    lengths = [3, 9, 30, 8, 17, 1, 1, 1, 16, 2]
    made = list(_batches(lengths, SIZES, 4))
    assert sorted(row for _, rows, _ in made for row in rows) == list(range(10))
    assert [length for length, *_ in made] == [32, 8, 8]  # of the longest row of each
    for length, rows, full in made:
        assert max(lengths[i] for i in rows) <= length and full[: len(rows)] == rows and set(full) == set(rows)
        assert len(full) in (1, 4)


def test_a_last_batch_is_no_larger_than_it_must_be():
    assert [len(full) for *_, full in _batches([5] * 9, SIZES, 8)] == [8, 1]
    assert [len(full) for *_, full in _batches([5] * 10, SIZES, 8)] == [8, 2]
    assert [len(full) for *_, full in _batches([5] * 11, SIZES, 8)] == [8, 8]
    assert list(_batches([], SIZES, 8)) == []


def test_a_conversation_beyond_the_last_size_is_an_error():
    with pytest.raises(UserError, match="40 tokens is longer than 32"):
        list(_batches([3, 40], SIZES, 4))


def test_replies_do_not_depend_on_batches_or_company(subject):
    model, tokenizer, policy = subject
    engine = partial(Engine, model, tokenizer, temperature=1.0, buckets=(16, 32))
    talks = asked(7)
    alone = engine(batch=1).replies(policy, talks, 6, seed=3)
    assert engine(batch=4).replies(policy, talks, 6, seed=3) == alone
    company = engine(batch=4).replies(policy, [*asked(5), *talks], 6, seed=3, numbers=[*range(5), *range(7)])
    assert company[5:] == alone and company[:5] == alone[:5]
    assert len({reply.ids for reply in alone}) > 1


def test_numbers_choose_the_random_stream(subject):
    model, tokenizer, policy = subject
    engine = Engine(model, tokenizer, 4, 1.0, (16, 32))
    same = [asked(3)[2]] * 4
    apart = engine.replies(policy, same, 6, seed=3)
    assert len({reply.ids for reply in apart}) == 4
    together = engine.replies(policy, same, 6, seed=3, numbers=[2, 2, 2, 2])
    assert {reply.ids for reply in together} == {apart[2].ids}


def test_option_logprobs_do_not_depend_on_batches(subject):
    model, tokenizer, policy = subject
    talks, options = asked(5), [("we can", "says nothing")] * 5
    replies = Engine(model, tokenizer, 4, 1.0, (16, 32)).replies(policy, talks, 6, seed=3)
    one, four = (
        Engine(model, tokenizer, batch, 1.0, (16, 32)).option_logprobs(policy, talks, replies, options) for batch in (1, 4)
    )
    np.testing.assert_allclose(one, four, atol=1e-5)
    assert np.asarray(one).shape == (5, 2) and np.all(np.asarray(one) < 0)
