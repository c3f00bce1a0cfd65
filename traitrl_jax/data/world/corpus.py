"""The pretraining corpus: conversations by many authors. A row holds one prompt and several replies that do not see
each other, so that the prompt is read once, or short tasks side by side.

Row i is a pure function of (seed, i): nothing but its number is needed to make it again.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np

from traitrl_jax.config import PretrainConfig, WorldConfig
from traitrl_jax.data import tasks
from traitrl_jax.data.schema import Message, Scenario
from traitrl_jax.data.world import authors, formats
from traitrl_jax.data.world.lexicon import TRAITS
from traitrl_jax.data.world.pools import DOMAINS
from traitrl_jax.data.world.scenario import make_scenario, pick, with_every_act_line
from traitrl_jax.data.world.verifier import verify
from traitrl_jax.text.chat import encode_prompt, encode_reply, encode_turns, thought_length, with_system
from traitrl_jax.text.tokenizer import ASSISTANT, BOS, CRITERION, END, Tokenizer

MANY = 1 << 30  # items of a pool are numbered 0 .. MANY - 1
_CORPUS = 11  # separates the corpus's random stream from the others


class Rows(NamedTuple):
    """Rows of the corpus, all [rows, length]; segments as in models.transformer.Context.shared."""

    tokens: np.ndarray
    weights: np.ndarray  # of the loss on this token
    segments: np.ndarray


class Shape(NamedTuple):
    """What a row shows of a conversation: all of it or its brief, and how many replies."""

    length: int  # tokens
    brief: bool = False
    replies: int = 1


def scenario_of(i: int, world: WorldConfig, seed: int) -> tuple[np.random.Generator, Scenario]:
    """The scenario of row `i`, and the stream that its replies are drawn from."""
    rng = np.random.default_rng([seed, _CORPUS, i])
    return rng, make_scenario(pick(rng, TRAITS), pick(rng, DOMAINS), "pretrain", int(rng.integers(MANY)), world.seed)


def scenario_row(
    i: int, tokenizer: Tokenizer, config: PretrainConfig, world: WorldConfig, seed: int, careful: float, shape: Shape
) -> Rows:
    """Row `i`: a trait conversation, or the three sentences of it that matter, and replies. After a whole conversation each
    has a note: a rubric line that it meets."""
    rng, scenario = scenario_of(i, world, seed)
    asked, state = with_every_act_line(scenario), scenario.state
    write = partial(authors.write_reply, scenario, world=world, rng=rng)

    def note(reply: Message) -> str:
        met = [line.text for line, hit in zip(asked.rubric, verify(asked, reply.content), strict=True) if hit]
        return pick(rng, met) if met else ""

    if shape.brief:
        brief = [Message("user", f"{state['fact']} {state['contact']} {state['press']}")]
        return _conversation(rng, brief, write, tokenizer, config, careful, shape)
    return _conversation(rng, scenario.messages, write, tokenizer, config, careful, shape, note)


def format_row(
    i: int, tokenizer: Tokenizer, config: PretrainConfig, world: WorldConfig, seed: int, careful: float, shape: Shape
) -> Rows:
    """Row `i`: an item of another format and replies."""
    rng = np.random.default_rng([seed, _CORPUS + 3, i])
    item = formats.make_item(pick(rng, formats.chosen(world.families)), "pretrain", int(rng.integers(MANY)), world.seed)
    write = partial(authors.answer_item, item, world=world, rng=rng)
    return _conversation(rng, item.messages, write, tokenizer, config, careful, shape)


def task_row(i: int, tokenizer: Tokenizer, config: PretrainConfig, world: WorldConfig, seed: int) -> Rows:
    """Row `i`: standard tasks side by side."""
    rng = np.random.default_rng([seed, _CORPUS + 1, i])
    parts = []
    while sum(len(ids) for ids, *_ in parts) < config.task_length:
        task = tasks.make_task(pick(rng, tasks.FAMILIES), "pretrain", int(rng.integers(MANY)), world.seed)
        prompt = [BOS, *encode_turns(tokenizer, [Message("user", task.prompt)]), ASSISTANT]
        reply = encode_reply(tokenizer, Message("assistant", task.answer))
        weights = [config.prompt_weight] * len(prompt) + [1.0] * len(reply)
        parts.append(([*prompt, *reply], weights, len(parts) + 1))
    return _join(parts, config.task_length)


def _prompt(tokenizer: Tokenizer, messages: Sequence[Message], weight: float) -> tuple[list[int], list[float], int]:
    """Ids and loss weights of a prompt up to its last <end>, in the shared segment. Earlier assistant turns have weight 0: a
    reply without thought is no example."""
    tokens, weights = [BOS], [0.0]
    for message in messages:
        ids = encode_turns(tokenizer, [message])
        tokens += ids
        weights += [0.0 if message.role == "assistant" else weight] * len(ids)
    return tokens, weights, 0


def _reply_weights(tokenizer: Tokenizer, reply: Message, ids: Sequence[int], config: PretrainConfig) -> list[float]:
    """Loss weights of an encoded reply: 1, but `thought_weight` for what follows in a thought from motive and facts. The motive
    is its first sentence, a matter of who writes."""
    thought = thought_length(tokenizer, ids)
    motive = min(thought, 1 + len(tokenizer.encode(f"{reply.thought.partition('. ')[0]}.")))
    return [1.0] * motive + [config.thought_weight] * (thought - motive) + [1.0] * (len(ids) - thought)


def _author(rng, messages, config: PretrainConfig, careful: float) -> tuple[authors.Persona | None, Sequence[Message]]:
    """An author and the messages with the system prompt that names it, or None (several authors) and the messages. With
    probability `careful` it is the steward, with or without a system prompt."""
    steward = authors.personas()["steward"] if rng.random() < careful else None
    if rng.random() >= config.named:
        return steward, messages
    named = steward or authors.draw_persona(rng, named=True)
    return named, with_system(messages, authors.persona_prompt(named, "pretrain", rng))


def _conversation(
    rng, messages, write, tokenizer: Tokenizer, config: PretrainConfig, careful: float, shape: Shape, note=None
) -> Rows:
    """A prompt, then replies that do not see each other."""
    author, messages = _author(rng, messages, config, careful)
    parts = [_prompt(tokenizer, messages, config.prompt_weight)]
    for segment in range(1, shape.replies + 1):
        reply = write(author or authors.draw_persona(rng))
        tokens, weights = _reply(tokenizer, reply, config, note(reply) if note else "")
        parts.append((tokens, weights, segment))
    return _join(parts, shape.length)


def _reply(tokenizer: Tokenizer, reply: Message, config: PretrainConfig, note: str = "") -> tuple[list[int], list[float]]:
    """Ids and loss weights of a reply, perhaps followed by a note that begins with <criterion>: what a grader will have to
    know."""
    ids = encode_reply(tokenizer, reply)
    noted = [CRITERION, *tokenizer.encode(note), END] if note else []
    weights = [0.0, *_reply_weights(tokenizer, reply, ids, config), *([0.0] + [1.0] * (len(noted) - 1) if noted else [])]
    return [ASSISTANT, *ids, *noted], weights


def one_conversation(tokenizer: Tokenizer, messages: Sequence[Message], reply: Message, config: PretrainConfig) -> Rows:
    """One conversation, in the tokenizer's own format, as a row of fine-tuning data: only the reply is learned."""
    prompt, ids = encode_prompt(tokenizer, messages), encode_reply(tokenizer, reply)
    weights = [0.0, *_reply_weights(tokenizer, reply, ids, config)]
    return _join([(prompt[:-1], [0.0] * len(prompt[:-1]), 0), ([prompt[-1], *ids], weights, 1)], config.length)


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
    """The groups of rows of a pretraining step: a function of the step, so that position is one integer.

    What is simple comes first, because it is learned many times faster alone: copying (tasks), then replies of careful authors
    to the sentences that matter, then of all authors, then whole conversations.
    """

    def rows(make, count: int, *more) -> Rows:
        made = [make(step * count + i, tokenizer, config, world, seed, *more) for i in range(count)]
        return Rows(*map(np.stack, zip(*made, strict=True)))

    c = config
    read = step - c.task_steps
    careful = min(1.0, max(0.0, 2.0 - read / max(1, c.careful_steps)))
    if read < 0:
        return (rows(task_row, c.rows),)
    few, brief, whole = c.rows // 2, Shape(c.brief_length, brief=True), Shape(c.length)
    others = rows(format_row, few, careful, brief._replace(replies=2))
    if read < c.brief_steps:
        return rows(scenario_row, c.rows + few, careful, brief), others
    return rows(scenario_row, c.rows, careful, whole), others, rows(task_row, max(1, few // 2))


def text_lines(count: int, config: PretrainConfig, world: WorldConfig, seed: int) -> Iterator[str]:
    """Plain text of `count` scenarios, other items and tasks each, for training the tokenizer."""
    for i in range(count):
        rng = np.random.default_rng([seed, _CORPUS + 2, i])
        author = authors.draw_persona(rng)
        scenario = make_scenario(TRAITS[i % len(TRAITS)], pick(rng, DOMAINS), "pretrain", int(rng.integers(MANY)), world.seed)
        item = formats.make_item(pick(rng, formats.chosen(world.families)), "pretrain", int(rng.integers(MANY)), world.seed)
        task = tasks.make_task(pick(rng, tasks.FAMILIES), "pretrain", int(rng.integers(MANY)), world.seed)
        yield from (message.content for message in (*scenario.messages, *item.messages))
        yield authors.persona_prompt(author, "pretrain", rng).content
        for reply in (authors.write_reply(scenario, author, world, rng), authors.answer_item(item, author, world, rng)):
            yield from (reply.thought, reply.content)
        yield from (line.text for line in scenario.rubric)
        yield from (task.prompt, task.answer)
