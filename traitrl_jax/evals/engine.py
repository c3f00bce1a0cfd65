"""One batched engine for every measurement: replies by sampling, options by log-probability.

Batches have static shapes: rows are sorted by length, cut into batches and padded to a few lengths. A row's random numbers
depend on the seed and its number alone, so a result does not depend on how rows were batched.
"""

import zlib
from collections.abc import Iterable, Iterator, Sequence
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

    def replies(
        self,
        policy: Policy,
        conversations: Sequence[Sequence[Message]],
        max_new: int,
        seed: int,
        numbers: Sequence[int] | None = None,
    ) -> list[Reply]:
        """One reply per conversation, in order. `numbers`, by default 0, 1, ..., are what the rows' random streams follow:
        several sets can be asked in one call and each gets the replies it would get alone."""
        prompts = [encode_prompt(self.tokenizer, messages) for messages in conversations]
        numbers = np.arange(len(prompts)) if numbers is None else np.asarray(numbers)
        out: list[Reply | None] = [None] * len(prompts)
        for length, part, full in _batches([len(p) for p in prompts], self.buckets, self.batch):
            tokens, valid = feed_rows(pad_left([prompts[i] for i in full], length))
            keys = row_keys(jax.random.key(seed), jnp.array(numbers[full]))
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
        lengths = [len(a) + len(b) for a, b in zip(starts, tails, strict=True)]
        for length, part, full in _batches(lengths, self.buckets, self.batch):
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


def streams(ids: Iterable[str]) -> list[int]:
    """Row numbers that follow from items' ids alone.

    Numbered by their places, the first items of all evals would share random numbers, so start with the same motive, and a
    mean over evals would look surer than it is.
    """
    return [zlib.crc32(name.encode()) >> 1 for name in ids]


def _option_logprobs(model: Decoder, params: Any, prefix, tokens: jax.Array, valid: jax.Array, scored: jax.Array) -> jax.Array:
    hidden, _ = model.apply({"params": params}, tokens[:, :-1], Context.of(valid[:, :-1]), prefix)
    logp, _ = token_logprobs(model, params, hidden, tokens[:, 1:])
    return jnp.sum(jnp.where(scored[:, 1:], logp, 0.0), axis=1)


def _batches(lengths: Sequence[int], sizes: Sequence[int], batch: int) -> Iterator[tuple[int, list[int], list[int]]]:
    """(static length, rows, the same repeated up to a static number of rows) of every batch, the longest rows first.

    Batches hold `batch` rows, the last one also a quarter or one, so that few programs are compiled. Raises UserError for a
    row longer than the last of `sizes`.
    """
    if lengths and max(lengths) > sizes[-1]:
        raise UserError(f"a conversation of {max(lengths)} tokens is longer than {sizes[-1]}; shorten it")
    order = sorted(range(len(lengths)), key=lambda i: -lengths[i])
    for start in range(0, len(order), batch):
        rows = order[start : start + batch]
        count = next(size for size in (1, batch // 4, batch) if size >= len(rows) or size == batch)
        length = next(size for size in sizes if size >= lengths[rows[0]])
        yield length, rows, [rows[i % len(rows)] for i in range(count)]
