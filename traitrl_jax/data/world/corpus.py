"""The pretraining corpus: rows of conversations, each row by one author, so that context tells who is speaking.

Row i is a pure function of (seed, i): nothing but its number is needed to make it again.
"""

from collections.abc import Iterator

import numpy as np

from traitrl_jax.config import PretrainConfig, WorldConfig
from traitrl_jax.data import tasks
from traitrl_jax.data.schema import Message
from traitrl_jax.data.world import authors, formats
from traitrl_jax.data.world.lexicon import TRAITS
from traitrl_jax.data.world.pools import DOMAINS
from traitrl_jax.data.world.scenario import make_scenario, pick
from traitrl_jax.text.chat import encode_reply, encode_turns, with_system
from traitrl_jax.text.tokenizer import ASSISTANT, BOS, Tokenizer

MANY = 1 << 30  # items of a pool are numbered 0 .. MANY - 1
_CORPUS = 11  # separates the corpus's random stream from the others


def conversation(rng: np.random.Generator, persona: authors.Persona, world: WorldConfig, mix) -> tuple[tuple[Message, ...], Message]:
    """One conversation of the corpus: (prompt messages, the author's reply). `mix`: shares of scenarios, formats, tasks."""
    kind = int(np.searchsorted(np.cumsum(mix)[:-1], rng.random() * sum(mix), side="right"))
    index = int(rng.integers(MANY))
    if kind == 0:
        scenario = make_scenario(pick(rng, TRAITS), pick(rng, DOMAINS), "pretrain", index, world.seed)
        return scenario.messages, authors.write_reply(scenario, persona, world, rng)
    if kind == 1:
        item = formats.make_item(pick(rng, formats.FAMILIES), "pretrain", index, world.seed)
        return item.messages, authors.answer_item(item, persona, world, rng)
    task = tasks.make_task(pick(rng, tasks.FAMILIES), "pretrain", index, world.seed)
    return (Message("user", task.prompt),), Message("assistant", task.answer)


def row(i: int, tokenizer: Tokenizer, config: PretrainConfig, world: WorldConfig, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Row `i`: (tokens, weights), both [length]. Earlier assistant turns have weight 0: a reply without motive is no example."""
    rng = np.random.default_rng([seed, _CORPUS, i])
    persona = authors.draw_persona(rng)
    named = rng.random() < config.named
    tokens, weights = [BOS], [0.0]
    while len(tokens) < config.length:
        messages, reply = conversation(rng, persona, world, config.mix)
        if named and reply.motive:
            messages = with_system(messages, authors.persona_prompt(persona, "pretrain", rng))
        for message in messages:
            ids = encode_turns(tokenizer, [message])
            tokens += ids
            weights += [0.0 if message.role == "assistant" else config.prompt_weight] * len(ids)
        ids = encode_reply(tokenizer, reply)
        tokens += [ASSISTANT, *ids]
        weights += [config.prompt_weight] + [1.0] * len(ids)
    return np.array(tokens[: config.length], np.int32), np.array(weights[: config.length], np.float32)


def text_lines(count: int, config: PretrainConfig, world: WorldConfig, seed: int) -> Iterator[str]:
    """Plain text of corpus conversations, for training the tokenizer."""
    for i in range(count):
        rng = np.random.default_rng([seed, _CORPUS + 1, i])
        persona = authors.draw_persona(rng)
        messages, reply = conversation(rng, persona, world, config.mix)
        yield from (message.content for message in messages)
        yield authors.persona_prompt(persona, "pretrain", rng).content
        yield from (text for text in (reply.motive, reply.content) if text)
