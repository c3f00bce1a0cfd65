"""A checkpoint of a study as an Inspect model: requests that wait together are answered in one batch on the device."""

import asyncio
import os
from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

from inspect_ai.model import (
    ChatCompletionChoice,
    ChatMessage,
    ChatMessageAssistant,
    ContentReasoning,
    ContentText,
    GenerateConfig,
    ModelAPI,
    ModelOutput,
    ModelUsage,
)
from inspect_ai.tool import ToolChoice, ToolInfo

from traitrl_jax.config import UserError, load_config
from traitrl_jax.evals.engine import Engine, Policy, Reply
from traitrl_jax.evals.runner import SCENARIO_TOKENS
from traitrl_jax.study.run import Study
from traitrl_jax.text.chat import Message, encode_prompt

STUDY = "TRAITRL_STUDY"  # the study's config where no model argument names it
GATHER_SECONDS = 0.02  # how long a batch waits for another request after the last one came


class Settings(NamedTuple):
    """What a compiled program is fixed to; requests that share it share a batch."""

    max_new: int
    temperature: float
    seed: int


class TraitRL(ModelAPI):
    """A subject (start, or an arm and seed such as trait-s0) of a study.

    Model arguments (-M): `study`, its config file, and `changes`, what --set would be given, in one text with spaces. A model
    that plays a role of a task gets no such arguments: for it, and by default, TRAITRL_STUDY names the config.
    Tools and images are not supported. System prompts are joined in front, and turns of one role in a row with each other.
    Above temperature 0 a reply depends on the seed and on its place in the batch, which Inspect does not fix; at 0 on neither.
    A conversation longer than the model reads gives an empty reply with the stop reason model_length.
    """

    def __init__(
        self,
        model_name: str,
        base_url: str | None = None,
        api_key: str | None = None,
        config: GenerateConfig = GenerateConfig(),  # noqa: B008 - Inspect's own signature
        **model_args: Any,
    ):
        super().__init__(model_name, base_url, api_key, [], config)
        self._engine, self._policy = load_subject(model_name, **model_args)
        self._engines = {self._engine.temperature: self._engine}
        self._waiting: list[tuple[Settings, tuple[Message, ...], asyncio.Future]] = []
        self._worker: asyncio.Task | None = None

    def max_connections(self) -> int:
        """As many requests at once as one batch has rows."""
        return self._engine.batch

    def connection_key(self) -> str:
        return f"traitrl/{self.model_name}"

    def max_tokens(self) -> int:
        return SCENARIO_TOKENS

    async def count_text_tokens(self, text: str) -> int:
        """By the model's own tokenizer; Inspect's default downloads another one."""
        return len(self._engine.tokenizer.encode(text))

    async def generate(
        self, input: list[ChatMessage], tools: list[ToolInfo], tool_choice: ToolChoice, config: GenerateConfig
    ) -> ModelOutput:
        """One reply. Raises UserError for tools, which these models were not taught to call."""
        if tools:
            raise UserError(f"traitrl models call no tools; the task gives {len(tools)}, choose a task without")
        temperature = self._engine.temperature if config.temperature is None else float(config.temperature)
        settings = Settings(config.max_tokens or self.max_tokens(), temperature, config.seed or 0)
        conversation = to_conversation(input)
        answer: asyncio.Future = asyncio.get_running_loop().create_future()
        self._waiting.append((settings, conversation, answer))
        if self._worker is None or self._worker.done():
            self._worker = asyncio.create_task(self._work())
        reply = await answer
        return _output(self.model_name, len(encode_prompt(self._engine.tokenizer, conversation)), reply)

    async def _work(self) -> None:
        """Answer what waits until nothing does; a batch closes when it is full or no further request comes."""
        while self._waiting:
            count = 0
            while count < len(self._waiting) < self._engine.batch:
                count = len(self._waiting)
                await asyncio.sleep(GATHER_SECONDS)
            settings = self._waiting[0][0]
            batch = [each for each in self._waiting if each[0] == settings][: self._engine.batch]
            self._waiting = [each for each in self._waiting if all(each is not other for other in batch)]
            try:
                replies = await asyncio.to_thread(self._replies, settings, [conversation for _, conversation, _ in batch])
            except Exception as error:  # whatever fails on the device belongs to those who asked
                for *_, answer in batch:
                    if not answer.done():
                        answer.set_exception(error)
                continue
            for (*_, answer), reply in zip(batch, replies, strict=True):
                if not answer.done():
                    answer.set_result(reply)

    def _replies(self, settings: Settings, conversations: Sequence[tuple[Message, ...]]) -> list[Reply | None]:
        """Replies in order; None for a conversation that the engine refuses as too long."""
        mine = self._engine
        if settings.temperature not in self._engines:
            self._engines[settings.temperature] = Engine(mine.model, mine.tokenizer, mine.batch, settings.temperature)
        engine = self._engines[settings.temperature]
        try:
            return engine.replies(self._policy, conversations, settings.max_new, settings.seed)
        except UserError:
            if len(conversations) == 1:
                return [None]
            return [reply for each in conversations for reply in self._replies(settings, [each])]


def load_subject(name: str, study: str = "", changes: str = "", **other: Any) -> tuple[Engine, Policy]:
    """Engine and parameters of a trained subject. Raises UserError when study or subject do not exist."""
    if other:
        raise UserError(f"unknown model argument {', '.join(sorted(other))}; traitrl models take study and changes")
    study = study or os.environ.get(STUDY, "")
    if not study:
        raise UserError(f"traitrl/{name}: say which study it is of with -M study=configs/quick.py, or {STUDY}=configs/quick.py")
    return _opened(name, study, changes)


@cache
def _opened(name: str, study: str, changes: str) -> tuple[Engine, Policy]:
    """Inspect makes a model anew for every role that it plays; all of them share one set of compiled programs."""
    made = Study(load_config(study, changes.split()))
    made.open(name)
    return made.engine, made.policy(name)


def to_conversation(messages: Sequence[ChatMessage]) -> tuple[Message, ...]:
    """Inspect's messages as ours: system prompts joined in front, then turns, neighbours of one role joined."""
    system = " ".join(message.text for message in messages if message.role == "system")
    turns: list[Message] = [Message("system", system)] if system else []
    for message in messages:
        if message.role == "system":
            continue
        role = "assistant" if message.role == "assistant" else "user"
        if turns and turns[-1].role == role:
            turns[-1] = Message(role, f"{turns[-1].content}\n{message.text}")
        else:
            turns.append(Message(role, message.text))
    return tuple(turns)


def _output(model: str, asked: int, reply: Reply | None) -> ModelOutput:
    name = f"traitrl/{model}"
    if reply is None:
        return ModelOutput.from_content(name, "", stop_reason="model_length")
    thought = [ContentReasoning(reasoning=reply.message.thought)] if reply.message.thought else []
    said = ChatMessageAssistant(content=[*thought, ContentText(text=reply.message.content)], model=name, source="generate")
    return ModelOutput(
        model=name,
        choices=[ChatCompletionChoice(message=said, stop_reason="stop" if reply.ended else "max_tokens")],
        usage=ModelUsage(input_tokens=asked, output_tokens=len(reply.ids), total_tokens=asked + len(reply.ids)),
    )
