"""Sampler, rollout and trainer read the same model the same way: alignment, masks, temperature, cache."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from traitrl_jax.config import RLConfig
from traitrl_jax.models.sampling import Replies, row_keys, sample
from traitrl_jax.models.transformer import Context
from traitrl_jax.rl.rollout import make_rollout, reply_logprobs
from traitrl_jax.rl.update import prepare
from traitrl_jax.text.chat import pad_left, pad_right
from traitrl_jax.text.tokenizer import END


@pytest.fixture(scope="module")
def teacher(deep):
    """teacher(params, prefix, rows of ids) -> logits after every token, [B, T, V]: whole rows, right-padded, no cache."""

    def run(params, prefix, tokens, valid):
        hidden, _ = deep.model.apply({"params": params}, tokens, Context.of(valid), prefix)
        return deep.model.apply({"params": params}, hidden, method="logits")

    program = deep.jit(run)
    return lambda params, prefix, rows: np.array(program(params, prefix, *pad_right(rows, 24)))


def soft_prefix(deep):
    return 1.5 * jax.random.normal(jax.random.key(5), (3, deep.params["embedding"].shape[1]))


@pytest.mark.parametrize("prefixed", [False, True], ids=["plain", "soft-prefix"])
def test_greedy_decoding_is_the_teacher_forced_argmax(deep, teacher, prefixed):
    """Checklist 6: with cache and left padding, token for token, prompts of 1 to 11 tokens, with and without a soft prefix."""
    prefix = soft_prefix(deep) if prefixed else None
    _, _, replies = deep.reply(1, prefix=prefix, temperature=0)
    lengths = [int(n) for n in replies.length]
    rows = [[*p, *replies.tokens[b, :n].tolist()] for b, (p, n) in enumerate(zip(deep.prompts[1], lengths, strict=True))]
    logits = teacher(deep.params, prefix, rows)
    for b, (prompt, length) in enumerate(zip(deep.prompts[1], lengths, strict=True)):
        read = logits[b, len(prompt) - 1 : len(prompt) - 1 + length]
        assert read.argmax(-1).tolist() == rows[b][len(prompt) :]
        logp = read.max(-1) - np.log(np.exp(read).sum(-1))
        np.testing.assert_allclose(replies.logprobs[b, :length], logp, atol=1e-5)


def test_a_reply_ends_with_the_stop_token_and_is_empty_behind_it(deep):
    """Checklist 1, 4: the end-of-turn belongs to the reply, behind it all is 0; a row that never stops has the cap's length and
    did not end."""
    tokens, valid, free = deep.reply(1, temperature=0)
    stop = int(free.tokens[0, 4])
    keys = row_keys(jax.random.key(2), jnp.arange(4))
    replies = deep.sampler(deep.params, None, tokens, valid, keys, 9, 0, stop)
    for b in range(4):
        full = free.tokens[b].tolist()
        expect = full[: full.index(stop) + 1] if stop in full else full
        length = int(replies.length[b])
        assert replies.tokens[b, :length].tolist() == expect and bool(replies.ended[b]) == (stop in full)
        assert not replies.tokens[b, length:].any() and not replies.logprobs[b, length:].any()
        assert replies.mask[b].tolist() == [t < length for t in range(9)]
    assert replies.ended[0] and int(replies.length[0]) <= 5


def test_a_reply_does_not_depend_on_its_batch(deep):
    """Keys belong to rows: in another order, beside other rows, a prompt gets the reply it got."""
    tokens, valid, replies = deep.reply(1)
    order = np.array([2, 0, 3, 1])
    keys = row_keys(jax.random.key(2), jnp.array(order) + 10)
    again = deep.sampler(deep.params, None, tokens[order], valid[order], keys, 9, deep.temperature)
    np.testing.assert_array_equal(again.tokens, replies.tokens[order])
    assert len({tuple(row.tolist()) for row in np.array(replies.tokens)}) > 1


def test_tokens_are_drawn_at_the_temperature(deep, teacher):
    """Checklist 5: 4,000 first tokens follow softmax(logits / .9), and not softmax(logits): chi-squared."""
    prompt, count = deep.prompts[1][0], 4000
    tokens, valid = pad_left([prompt] * count, len(prompt))
    program = deep.jit(partial(sample, deep.model), static_argnums=(5, 6))
    drawn = program(deep.params, None, tokens, valid, row_keys(jax.random.key(3), jnp.arange(count)), 1, deep.temperature)
    seen = np.bincount(np.array(drawn.tokens)[:, 0], minlength=deep.model.vocabulary)
    logits = teacher(deep.params, None, [prompt])[0, len(prompt) - 1].astype(np.float64)

    def distance(temperature):
        p = np.exp(logits / temperature)
        expect = count * p / p.sum()
        return np.sum((seen - expect) ** 2 / expect)

    assert distance(deep.temperature) < 70 < distance(0.7) and distance(deep.temperature) < distance(
        1.0
    )  # 39 degrees of freedom


def test_sampler_and_trainer_agree_on_ragged_rows(deep, teacher):
    """Checklist 1, 2, 5, 6: the training graph's log-probabilities, the sampler's and those of each row alone are one."""
    rollout = deep.rollout(1)
    logp, entropy, _ = deep.jit(partial(reply_logprobs, deep.model))(deep.params, None, rollout, deep.temperature)
    mask = np.array(rollout.mask)
    np.testing.assert_allclose(np.where(mask, logp, 0), rollout.sampler_logprobs, atol=1e-5)
    rows = [[*p, *rollout.reply[b][mask[b]].tolist()] for b, p in enumerate(deep.prompts[1])]
    logits = teacher(deep.params, None, rows).astype(np.float64) / deep.temperature
    for b, prompt in enumerate(deep.prompts[1]):
        for t in range(mask[b].sum()):
            read = logits[b, len(prompt) - 1 + t]
            p = np.exp(read) / np.exp(read).sum()
            np.testing.assert_allclose(logp[b, t], np.log(p[rows[b][len(prompt) + t]]), atol=1e-5)
            np.testing.assert_allclose(entropy[b, t], -np.sum(p * np.log(p)), atol=1e-5)


def fake_replies(lengths, ended):
    """Replies of 4 slots; those that ended do so with <end>."""
    tokens = np.where(np.arange(4) < np.array(lengths)[:, None], 20, 0)
    for b, length in enumerate(lengths):
        if ended[b]:
            tokens[b, length - 1] = END
    tokens = jnp.array(tokens, jnp.int32)
    return Replies(tokens, jnp.full(tokens.shape, -0.5), jnp.array(lengths), jnp.array(ended))


def test_scores_become_rewards_by_one_affine_map():
    """Checklist 4, 10, 13: scale (score - truncation penalty) + shift; a failed grader masks its row out, whatever the map."""
    prompt = np.full((4, 3), 15, np.int32)
    replies = fake_replies([3, 4, 1, 2], [True, False, True, True])
    score = jnp.array([0.7, 0.7, jnp.nan, -1.9])
    rollout = make_rollout(prompt, prompt > 0, replies, score, scale=2.0, shift=-0.1, truncation_penalty=0.25)
    np.testing.assert_allclose(rollout.score, [1.3, 0.8, 0.0, -3.9], atol=1e-6)
    assert rollout.mask.sum(axis=1).tolist() == [3, 4, 0, 2]
    assert rollout.valid.any(axis=1).all()


def test_a_score_of_73_is_every_tokens_return(tiny):
    """Checklist 2, through the glue: score .73, V = 0, gamma = lambda = 1, KL 0: every token's return is .73."""
    config = RLConfig(gamma=1.0, lam=1.0, kl_beta=0.0, temperature=tiny.temperature)
    state, reference = tiny.start(config)
    tokens, valid = pad_left(tiny.prompts[1], 11)
    rollout = make_rollout(tokens, valid, fake_replies([3, 1, 4, 2], [True] * 4), jnp.full(4, 0.73), 1.0, 0.0, 0.25)
    (batch,) = tiny.jit(partial(prepare, tiny.model, config))(state, tiny.params, reference, (rollout,))
    np.testing.assert_allclose(batch.returns, 0.73 * np.array(rollout.mask), atol=1e-6)
    np.testing.assert_array_equal(batch.logp_old, batch.logp_ref)
    assert batch.returns.dtype == jnp.float32
