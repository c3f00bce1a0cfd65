"""The pretraining corpus: conversations by many authors. A row holds one prompt and several replies that do not see
each other, so that the prompt is read once, or short tasks side by side.

Row i is a pure function of (seed, i): nothing but its number is needed to make it again.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from traitrl_jax.config import PretrainConfig, WorldConfig
from traitrl_jax.data import tasks
from traitrl_jax.data.schema import Message, Scenario
from traitrl_jax.data.world import authors, formats
from traitrl_jax.data.world.lexicon import TRAITS
from traitrl_jax.data.world.pools import DOMAINS
from traitrl_jax.data.world.scenario import make_scenario, pick
from traitrl_jax.text.chat import encode_reply, encode_turns, with_system
from traitrl_jax.text.tokenizer import ASSISTANT, BOS, CRITERION, END, Tokenizer

MANY = 1 << 30  # items of a pool are numbered 0 .. MANY - 1
_CORPUS = 11  # separates the corpus's random stream from the others


class Rows(NamedTuple):
    """Rows of the corpus, all [rows, length]; segments as in models.transformer.Context.shared."""

    tokens: np.ndarray
    weights: np.ndarray  # of the loss on this token
    segments: np.ndarray


def scenario_row(i: int, tokenizer: Tokenizer, config: PretrainConfig, world: WorldConfig, seed: int) -> Rows:
    """Row `i`: a trait conversation, a note of what its facts call for, and `config.replies` replies."""
    rng = np.random.default_rng([seed, _CORPUS, i])
    scenario, note = _scenario(rng, world)

    def write(author: authors.Persona) -> Message:
        return authors.write_reply(scenario, author, world, rng)

    return _many_replies(rng, scenario.messages, note, write, tokenizer, config, config.length)


def _scenario(rng: np.random.Generator, world: WorldConfig) -> tuple[Scenario, str]:
    """A conversation of the pretrain pool and the rubric line of the right act."""
    scenario = make_scenario(pick(rng, TRAITS), pick(rng, DOMAINS), "pretrain", int(rng.integers(MANY)), world.seed)
    line = scenario.state["kinds"].index(("act", scenario.state["right"]))
    return scenario, scenario.rubric[line].text


def _item(rng: np.random.Generator, world: WorldConfig) -> tuple[formats.Item, str]:
    """An item of another format and its right answer."""
    item = formats.make_item(pick(rng, formats.FAMILIES), "pretrain", int(rng.integers(MANY)), world.seed)
    return item, item.answers["right"]


def reading_row(i: int, tokenizer: Tokenizer, config: PretrainConfig, world: WorldConfig, seed: int) -> Rows:
    """Row `i`: a conversation or an item of another format and its note, without replies: reading before writing."""
    rng = np.random.default_rng([seed, _CORPUS + 3, i])
    found, note = _scenario(rng, world) if i % 2 else _item(rng, world)
    return _join([_prompt(tokenizer, found.messages, config.prompt_weight), _note(tokenizer, note)], config.reading_length)


def short_row(
    i: int, tokenizer: Tokenizer, config: PretrainConfig, world: WorldConfig, seed: int, formats_share: float
) -> Rows:
    """Row `i`: an item of another format with several replies or, otherwise, standard tasks side by side."""
    rng = np.random.default_rng([seed, _CORPUS + 1, i])
    if rng.random() < formats_share:
        item, note = _item(rng, world)

        def write(author: authors.Persona) -> Message:
            return authors.answer_item(item, author, world, rng)

        return _many_replies(rng, item.messages, note, write, tokenizer, config, config.short_length)
    parts = []
    while sum(len(ids) for ids, *_ in parts) < config.short_length:
        task = tasks.make_task(pick(rng, tasks.FAMILIES), "pretrain", int(rng.integers(MANY)), world.seed)
        prompt = [BOS, *encode_turns(tokenizer, [Message("user", task.prompt)]), ASSISTANT]
        reply = encode_reply(tokenizer, Message("assistant", task.answer))
        weights = [config.prompt_weight] * len(prompt) + [1.0] * len(reply)
        parts.append(([*prompt, *reply], weights, len(parts) + 1))
    return _join(parts, config.short_length)


def _prompt(tokenizer: Tokenizer, messages: Sequence[Message], weight: float) -> tuple[list[int], list[float], int]:
    """Ids and loss weights of a prompt up to its last <end>, in the shared segment. Earlier assistant turns have weight 0: a
    reply without motive is no example."""
    tokens, weights = [BOS], [0.0]
    for message in messages:
        ids = encode_turns(tokenizer, [message])
        tokens += ids
        weights += [0.0 if message.role == "assistant" else weight] * len(ids)
    return tokens, weights, 0


def _reply(tokenizer: Tokenizer, reply: Message, segment: int) -> tuple[list[int], list[float], int]:
    ids = encode_reply(tokenizer, reply)
    return [ASSISTANT, *ids], [0.0] + [1.0] * len(ids), segment


def _note(tokenizer: Tokenizer, text: str) -> tuple[list[int], list[float], int]:
    """What the facts call for, as a note beside the conversation; replies do not see it."""
    ids = [*tokenizer.encode(text), END]
    return [CRITERION, *ids], [0.0] + [1.0] * len(ids), 1


def _many_replies(rng, messages, note: str, write, tokenizer: Tokenizer, config: PretrainConfig, length: int) -> Rows:
    """A prompt, its note, then replies that do not see each other: of one author whose system prompt is shown, or of
    several."""
    named = authors.draw_persona(rng, named=True) if rng.random() < config.named else None
    if named:
        messages = with_system(messages, authors.persona_prompt(named, "pretrain", rng))
    replies = [_reply(tokenizer, write(named or authors.draw_persona(rng)), k + 2) for k in range(config.replies)]
    return _join([_prompt(tokenizer, messages, config.prompt_weight), _note(tokenizer, note), *replies], length)


def one_conversation(tokenizer: Tokenizer, messages: Sequence[Message], reply: Message, length: int) -> Rows:
    """One conversation as a row of fine-tuning data: only the reply is learned."""
    return _join([_prompt(tokenizer, messages, 0.0), _reply(tokenizer, reply, 1)], length)


def _join(parts: Sequence[tuple[list[int], list[float], int]], length: int) -> Rows:
    """(ids, weights, segment) side by side, cut or padded to `length`."""
    tokens = [i for ids, *_ in parts for i in ids][:length]
    weights = [w for _, weights, _ in parts for w in weights][:length]
    segments = [number for ids, _, number in parts for _ in ids][:length]
    room = length - len(tokens)
    return Rows(
        np.array(tokens + [0] * room, np.int32),
        np.array(weights + [0.0] * room, np.float32),
        np.array(segments + [-1] * room, np.int32),
    )


def batch_of(step: int, tokenizer: Tokenizer, config: PretrainConfig, world: WorldConfig, seed: int) -> tuple[Rows, ...]:
    """The rows of a pretraining step: a function of the step, so that position is one integer."""
    if step < config.task_steps:
        rows = 3 * config.rows
        made = [short_row(step * rows + i, tokenizer, config, world, seed, 0.0) for i in range(rows)]
        return (Rows(*map(np.stack, zip(*made, strict=True))),)
    if step < config.task_steps + config.reading_steps:
        rows = 3 * config.rows
        made = [reading_row(step * rows + i, tokenizer, config, world, seed) for i in range(rows)]
        return (Rows(*map(np.stack, zip(*made, strict=True))),)
    first = (step + 1_000_000) * config.rows
    numbers = range(first, first + config.rows)
    long = [scenario_row(i, tokenizer, config, world, seed) for i in numbers]
    short = [short_row(i, tokenizer, config, world, seed, config.formats_share) for i in numbers]
    return tuple(Rows(*map(np.stack, zip(*made, strict=True))) for made in (long, short))


def text_lines(count: int, config: PretrainConfig, world: WorldConfig, seed: int) -> Iterator[str]:
    """Plain text of `count` scenarios, other items and tasks each, for training the tokenizer."""
    for i in range(count):
        rng = np.random.default_rng([seed, _CORPUS + 2, i])
        author = authors.draw_persona(rng)
        scenario = make_scenario(TRAITS[i % len(TRAITS)], pick(rng, DOMAINS), "pretrain", int(rng.integers(MANY)), world.seed)
        item = formats.make_item(pick(rng, formats.FAMILIES), "pretrain", int(rng.integers(MANY)), world.seed)
        task = tasks.make_task(pick(rng, tasks.FAMILIES), "pretrain", int(rng.integers(MANY)), world.seed)
        yield from (message.content for message in (*scenario.messages, *item.messages))
        yield authors.persona_prompt(author, "pretrain", rng).content
        for reply in (authors.write_reply(scenario, author, world, rng), authors.answer_item(item, author, world, rng)):
            yield from (reply.motive, reply.content)
        yield from (line.text for line in scenario.rubric)
        yield from (task.prompt, task.answer)
