"""Conversations as token ids. Control tokens are placed here, by role, and nowhere else.

    <bos> (<system> text <end>)? (<user> text <end> <assistant> [<thought> text] <answer> text <end>)*

A prompt ends with <assistant>. A reply is everything after it: perhaps a thought, then <answer>, the text and <end>.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from traitrl_jax.text.tokenizer import ANSWER, ASSISTANT, BOS, END, SYSTEM, THOUGHT, USER, Tokenizer

ROLES = ("system", "user", "assistant")


@dataclass(frozen=True)
class Message:
    """One turn. `thought` opens an assistant's turn: a stated motive, perhaps what the facts come to, and a plan. It is never
    shown to a grader or verifier."""

    role: str  # one of ROLES
    content: str
    thought: str = ""


_ROLE = {"system": SYSTEM, "user": USER, "assistant": ASSISTANT}


def encode_reply(tokenizer: Tokenizer, message: Message) -> list[int]:
    """Ids that follow <assistant>: [<thought> thought] <answer> text <end>."""
    thought = [THOUGHT, *tokenizer.encode(message.thought)] if message.thought else []
    return [*thought, ANSWER, *tokenizer.encode(message.content), END]


def encode_turns(tokenizer: Tokenizer, messages: Sequence[Message]) -> list[int]:
    """Ids of whole turns, without <bos>."""
    ids: list[int] = []
    for message in messages:
        ids.append(_ROLE[message.role])
        ids += encode_reply(tokenizer, message) if message.role == "assistant" else [*tokenizer.encode(message.content), END]
    return ids


def encode_prompt(tokenizer: Tokenizer, messages: Sequence[Message]) -> list[int]:
    """<bos>, the turns, and <assistant>: what a reply is sampled after."""
    return [BOS, *encode_turns(tokenizer, messages), ASSISTANT]


def decode_reply(tokenizer: Tokenizer, ids: Sequence[int]) -> Message:
    """The message in sampled ids: text before <answer> is the thought; without <answer> there is no text. Stops at <end>."""
    ids = [int(i) for i in ids]
    if END in ids:
        ids = ids[: ids.index(END)]
    start = ids.index(ANSWER) if ANSWER in ids else len(ids)
    return Message("assistant", tokenizer.decode(ids[start + 1 :]), tokenizer.decode(ids[:start]))


def with_system(messages: Sequence[Message], prompt: Message) -> tuple[Message, ...]:
    """Put a system prompt first; a system message that is there already is joined to it."""
    if messages and messages[0].role == "system":
        return (Message("system", f"{prompt.content} {messages[0].content}"), *messages[1:])
    return (prompt, *messages)


def pad_left(rows: Sequence[Sequence[int]], length: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows of ids -> (tokens, valid), both [rows, length], real tokens on the right. Raises ValueError for a row too long."""
    tokens = np.zeros((len(rows), length), np.int32)
    valid = np.zeros((len(rows), length), bool)
    for i, row in enumerate(rows):
        if len(row) > length:
            raise ValueError(f"a prompt of {len(row)} tokens does not fit {length}: raise the bucket's prompt length")
        tokens[i, length - len(row) :] = row
        valid[i, length - len(row) :] = True
    return tokens, valid


def pad_right(rows: Sequence[Sequence[int]], length: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows of ids -> (tokens, valid), both [rows, length], real tokens on the left; longer rows are cut."""
    tokens = np.zeros((len(rows), length), np.int32)
    valid = np.zeros((len(rows), length), bool)
    for i, row in enumerate(rows):
        cut = row[:length]
        tokens[i, : len(cut)] = cut
        valid[i, : len(cut)] = True
    return tokens, valid
