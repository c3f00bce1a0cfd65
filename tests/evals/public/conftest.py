"""An engine whose probabilities and replies a test states, so that scores can be worked out by hand."""

import math
from pathlib import Path

import pytest

from traitrl_jax.evals.engine import Reply
from traitrl_jax.evals.public.jobs import find_jobs
from traitrl_jax.evals.public.runner import Settings, measure
from traitrl_jax.text.chat import Message
from traitrl_jax.text.tokenizer import Tokenizer

FIXTURES = Path(__file__).parent / "fixtures"


class Words(Tokenizer):
    """A tokenizer for which a word is a token."""

    def __init__(self):
        pass

    def encode(self, text: str) -> list[int]:
        return [9] * len(text.split())


class FakeEngine:
    """`p(prompt, option)` is an option's probability, `reply(prompt)` the reply; the prompt is the last message's text."""

    tokenizer, temperature = Words(), 0.7

    def __init__(self, p=None, reply=None, context: int = 1000):
        self.p, self.reply, self.context, self.asked = p, reply, context, []

    def option_logprobs(self, policy, conversations, thoughts, options):
        assert all(not thought.ids for thought in thoughts)
        texts = [messages[-1].content for messages in conversations]
        self.asked += texts
        return [[math.log(self.p(text, o)) for o in row] for text, row in zip(texts, options, strict=True)]

    def replies(self, policy, conversations, max_new, seed, numbers):
        texts = [messages[-1].content for messages in conversations]
        self.asked += texts
        return [Reply(Message("assistant", self.reply(text)), (1,), ended=True) for text in texts]


@pytest.fixture
def scored():
    """Measure the fixture's job of this name: (result, records by id)."""

    def run(folder: str, name: str, p=None, reply=None, judge=None, **settings):
        (job,) = (job for job in find_jobs(FIXTURES / folder) if job.name == name)
        settings = Settings(judge=judge, judge_name="test", **settings)
        result, records = measure(FakeEngine(p, reply), None, job, settings)
        return result, {record["id"]: record for record in records}

    return run
