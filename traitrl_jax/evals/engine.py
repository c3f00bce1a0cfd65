"""One batched engine for every measurement: replies by sampling, options by log-probability.

Conversations are sorted into prompt-length buckets of static shape; a row's random numbers depend on the seed and its
index alone, so a result does not depend on how rows were batched.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from traitrl_jax.config import UserError
from traitrl_jax.models.logprobs import token_logprobs
from traitrl_jax.models.sampling import row_keys, sample
from traitrl_jax.models.transformer import Context, Decoder
from traitrl_jax.runtime.mesh import feed_rows, to_host
from traitrl_jax.text.chat import Message, decode_reply, encode_prompt, pad_left, pad_right, thought_length
from traitrl_jax.text.tokenizer import Tokenizer

Policy = tuple[Any, jax.Array | None]  # decoder parameters and soft prefix (models/adapt.materialise)
PROMPT_BUCKETS = (64, 128, 256, 512)


@dataclass(frozen=True)
class Reply:
    """A sampled reply: its message, its ids, and whether it ended by itself."""

    message: Message
    ids: tuple[int, ...]
    ended: bool


class Engine:
    """Holds the compiled programs of one model shape; parameters are arguments, so every subject shares them."""

    def __init__(
        self,
        model: Decoder,
        tokenizer: Tokenizer,
        batch: int,
        temperature: float,
        buckets: Sequence[int] = PROMPT_BUCKETS,
    ):
        self.model, self.tokenizer, self.batch, self.temperature = model, tokenizer, batch, temperature
        self.buckets = tuple(buckets)  # static lengths, ascending
        self._sample = jax.jit(
            lambda params, prefix, tokens, valid, keys, max_new, temperature: sample(
                model, params, prefix, tokens, valid, keys, max_new, temperature, tokenizer.stops
            ),
            static_argnums=(5, 6),
        )
        self._option = jax.jit(partial(_option_logprobs, model))

    @property
    def context(self) -> int:
        """Tokens of the longest prompt, or of the longest prompt and option."""
        return self.buckets[-1]

    def replies(self, policy: Policy, conversations: Sequence[Sequence[Message]], max_new: int, seed: int) -> list[Reply]:
        """One reply per conversation, in order."""
        prompts = [encode_prompt(self.tokenizer, messages) for messages in conversations]
        out: list[Reply | None] = [None] * len(prompts)
        for length, rows in _buckets([len(p) for p in prompts], self.buckets):
            for start in range(0, len(rows), self.batch):
                part = rows[start : start + self.batch]
                size = _fit(len(part), self.batch)
                full = [part[i % len(part)] for i in range(size)]  # the last batch repeats rows up to its static size
                tokens, valid = feed_rows(pad_left([prompts[i] for i in full], length))
                keys = row_keys(jax.random.key(seed), jnp.array(full))
                got = to_host(self._sample(*policy, tokens, valid, keys, max_new, self.temperature))
                for j, i in enumerate(part):
                    ids = tuple(int(t) for t in got.tokens[j, : got.length[j]])
                    out[i] = Reply(decode_reply(self.tokenizer, ids), ids, bool(got.ended[j]))
        return out

    def option_logprobs(
        self,
        policy: Policy,
        conversations: Sequence[Sequence[Message]],
        thoughts: Sequence[Reply],
        options: Sequence[Sequence[str]],
    ) -> list[list[float]]:
        """Log-probability of each option as the reply's text, after the thought the model had itself."""
        opening = () if self.tokenizer.answer is None else (self.tokenizer.answer,)
        starts, tails = [], []
        for messages, reply, choices in zip(conversations, thoughts, options, strict=True):
            thought = reply.ids[: thought_length(self.tokenizer, reply.ids)] or opening
            for choice in choices:
                starts.append([*encode_prompt(self.tokenizer, messages), *thought])
                tails.append([*self.tokenizer.encode(choice), self.tokenizer.stops[0]])
        flat = np.zeros(len(starts))
        for length, rows in _buckets([len(a) + len(b) for a, b in zip(starts, tails, strict=True)], self.buckets):
            for start in range(0, len(rows), self.batch):
                part = rows[start : start + self.batch]
                full = [part[i % len(part)] for i in range(_fit(len(part), self.batch))]
                tokens, valid = pad_right([[*starts[i], *tails[i]] for i in full], length)
                scored = np.zeros_like(valid)
                for j, i in enumerate(full):
                    scored[j, len(starts[i]) : len(starts[i]) + len(tails[i])] = True
                flat[part] = to_host(self._option(*policy, *feed_rows((tokens, valid, scored))))[: len(part)]
        out, at = [], 0
        for choices in options:
            out.append(flat[at : at + len(choices)].tolist())
            at += len(choices)
        return out


def _option_logprobs(model: Decoder, params: Any, prefix, tokens: jax.Array, valid: jax.Array, scored: jax.Array) -> jax.Array:
    hidden, _ = model.apply({"params": params}, tokens[:, :-1], Context.of(valid[:, :-1]), prefix)
    logp, _ = token_logprobs(model, params, hidden, tokens[:, 1:])
    return jnp.sum(jnp.where(scored[:, 1:], logp, 0.0), axis=1)


def _buckets(lengths: Sequence[int], sizes: Sequence[int]) -> list[tuple[int, list[int]]]:
    """(static length, row indices) for every bucket that has rows."""
    if lengths and max(lengths) > sizes[-1]:
        raise UserError(f"a conversation of {max(lengths)} tokens is longer than {sizes[-1]}; shorten it")
    out = []
    for low, high in zip((0, *sizes), sizes, strict=False):
        rows = [i for i, n in enumerate(lengths) if low < n <= high]
        if rows:
            out.append((high, rows))
    return out


def _fit(rows: int, batch: int) -> int:
    """Static batch sizes: the full one, a quarter or one row, so that few programs are compiled."""
    return next(size for size in (1, batch // 4, batch) if size >= rows or size == batch)
