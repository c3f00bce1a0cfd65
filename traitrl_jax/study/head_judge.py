"""A study's rubric head as the judge of free answers in public benchmarks: `traitrl eval --suite public --judge head`.

It reads a question's criterion, not the benchmark's own judge prompt, and says P(met). It is the grader that the arms were
trained on, so a policy may have learned to please it, and it was fitted on rubrics of another kind. `k_qa_nli`, which asks the
judge what physicians decided, tells how well it reads.
"""

from collections.abc import Sequence
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np

from traitrl_jax.data.schema import Criterion
from traitrl_jax.evals.public.schema import Judge, Question, Verdict
from traitrl_jax.models.transformer import Decoder
from traitrl_jax.reward.fit import Labelled, encode_criteria, predict
from traitrl_jax.reward.scorer import LINES
from traitrl_jax.runtime.mesh import shards
from traitrl_jax.text.chat import Message, encode_criterion, encode_prompt, encode_reply, pad_left, pad_right
from traitrl_jax.text.tokenizer import Tokenizer

LINE_SIZES = (32, 128, 256)  # tokens of a criterion; longer ones are not judged
_SLOTS = 8192  # tokens of a call


class _Row(NamedTuple):
    """Up to LINES criteria on one reply."""

    prompt: list[int]
    reply: list[int]
    rubric: tuple[Criterion, ...]
    at: tuple[int, ...]  # places of the questions
    sizes: tuple[int, int]  # static slots of prompt and of reply, and of a criterion


def head_judge(model: Decoder, head: Any, tokenizer: Tokenizer, sizes: Sequence[int]) -> Judge:
    """The judge. `sizes`: static slots of a conversation and of a reply, ascending.

    It has no verdict (None) on a conversation or reply longer than the last of them or a criterion longer than the last of
    LINE_SIZES: nothing is cut. Questions on one reply that follow each other share its encoding.
    """

    def judge(questions: Sequence[Question]) -> list[Verdict]:
        out: list[Verdict] = [None] * len(questions)
        rows = sorted(_rows(tokenizer, questions, sizes), key=lambda row: row.sizes)
        for (slots, line), same in groupby(rows, key=lambda row: row.sizes):
            part = list(same)
            p_met = predict(model, head, _encode(tokenizer, part, slots, line), _rows_at_once(slots, line))
            for row, values in zip(part, p_met, strict=True):
                for place, value in zip(row.at, values, strict=False):
                    out[place] = float(value)
        return out

    return judge


def _rows(tokenizer: Tokenizer, questions: Sequence[Question], sizes: Sequence[int]) -> list[_Row]:
    """The questions that can be asked, by conversation, reply and size of their criterion."""
    out = []
    for (messages, text), group in groupby(enumerate(questions), key=lambda each: (each[1].messages, each[1].reply)):
        prompt = encode_prompt(tokenizer, messages)
        reply = encode_reply(tokenizer, Message("assistant", text))
        slots = _fitting(max(len(prompt), len(reply)), sizes)
        lines = [(_fitting(len(encode_criterion(tokenizer, q.criterion)), LINE_SIZES), at, q.criterion) for at, q in group]
        for line in LINE_SIZES if slots else ():
            fitting = [(at, Criterion(text, 1.0)) for size, at, text in lines if size == line]
            for start in range(0, len(fitting), LINES):
                at, rubric = zip(*fitting[start : start + LINES], strict=True)
                out.append(_Row(prompt, reply, rubric, at, (slots, line)))
    return out


def _fitting(length: int, sizes: Sequence[int]) -> int | None:
    return next((size for size in sizes if size >= length), None)


def _rows_at_once(slots: int, line: int) -> int:
    """Rows of a call: so many that memory does not grow with their length, and at least one for every device."""
    return max(_SLOTS // (2 * slots + LINES * line), shards())


def _encode(tokenizer: Tokenizer, rows: Sequence[_Row], slots: int, line: int) -> Labelled:
    prompt, prompt_valid = pad_left([row.prompt for row in rows], slots)
    answer, answer_valid = pad_right([row.reply for row in rows], slots)
    criteria = encode_criteria(tokenizer, [row.rubric for row in rows], LINES, line)
    return Labelled(prompt, prompt_valid, answer, answer_valid, criteria, np.zeros((len(rows), LINES), bool))
