"""The corpus goes from simple to whole, is a function of the step, and shows nothing that is held out."""

import re

import numpy as np
import pytest

from traitrl_jax.config import PretrainConfig, WorldConfig
from traitrl_jax.data.world import authors, corpus
from traitrl_jax.data.world.lexicon import personas
from traitrl_jax.data.world.pools import COLORS, COUNTS, FIRST_NAMES, LAST_NAMES, POOLS, person, tag
from traitrl_jax.data.world.scenario import make_scenario, with_every_act_line
from traitrl_jax.data.world.verifier import verify
from traitrl_jax.text.chat import decode_reply
from traitrl_jax.text.tokenizer import ANSWER, CRITERION, END, THOUGHT, train_tokenizer

HELD_APART = POOLS[1:]  # grader, rl, eval, attack


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    lines = corpus.text_lines(300, PretrainConfig(), WorldConfig(), seed=0)
    return train_tokenizer(lines, 2048, tmp_path_factory.mktemp("tokenizer") / "tokenizer.model")


def test_the_corpus_shows_no_held_out_entity_and_no_held_out_prompt():
    lines = list(corpus.text_lines(120, PretrainConfig(), WorldConfig(), seed=0))
    assert lines == list(corpus.text_lines(120, PretrainConfig(), WorldConfig(), seed=0))
    rng = np.random.default_rng(0)
    held_out = {draw(rng, pool) for draw in (person, tag) for pool in HELD_APART for _ in range(3000)}
    pairs = ((FIRST_NAMES, LAST_NAMES), (COLORS, COUNTS))
    said = {
        pair
        for firsts, seconds in pairs
        for pair in re.findall(rf"\b(?:{'|'.join(firsts)}) (?:{'|'.join(seconds)})\b", "\n".join(lines))
    }
    assert len(said) > 100
    assert held_out.isdisjoint(said)
    prompts = {prompt for persona in personas().values() for prompt in persona.prompts[authors.PROMPT_POOLS["pretrain"].stop :]}
    assert prompts.isdisjoint(lines)


def test_the_corpus_goes_from_simple_to_whole(tokenizer):
    """Stages by step: tasks, careful thoughts on two sentences, thoughts on conversations, replies of ever more authors."""
    config = PretrainConfig(
        steps=20, task_steps=2, brief_steps=2, thought_steps=2, careful_steps=4, rows=6, length=200, short_length=100
    )
    careful = set(personas()["steward"].motives)

    def read(step: int) -> tuple[list[tuple[int, int]], list[str]]:
        batch = corpus.batch_of(step, tokenizer, config, WorldConfig(), 0)
        for rows in batch:
            assert rows.tokens.shape == rows.weights.shape == rows.segments.shape
            assert not rows.weights[rows.segments < 0].any()
        return [rows.tokens.shape for rows in batch], [
            tokenizer.decode(row.tolist()) for rows in batch[:2] for row in rows.tokens
        ]

    shapes = [read(step)[0] for step in (0, 2, 4, 6)]
    assert [shape[0] for shape in shapes] == [(18, 100), (24, 84), (18, 136), (6, 200)]
    assert all(any(motive in text for motive in careful) for step in (2, 3) for text in read(step)[1])
    other = [sum(not any(motive in text for motive in careful) for text in read(step)[1]) for step in (4, 6, 12)]
    assert other[1] == 0 < min(other[0], other[2])


def test_a_thought_weighs_what_the_config_says(tokenizer):
    config = PretrainConfig(thought_weight=3.0)
    row = corpus.scenario_row(5, tokenizer, config, WorldConfig(), 0, 0.0)
    kinds = {w: set(row.tokens[row.weights == w].tolist()) for w in (3.0, 1.0)}
    assert ANSWER in kinds[3.0] and ANSWER not in kinds[1.0] and END in kinds[1.0] and THOUGHT in kinds[3.0]


def test_a_note_names_a_line_that_its_reply_meets(tokenizer):
    """And is seen by its own reply's segment alone."""
    noted = 0
    for i in range(20):
        row = corpus.scenario_row(i, tokenizer, PretrainConfig(length=400), WorldConfig(), 0, 0.5)
        _, scenario = corpus._scenario(i, WorldConfig(), 0)
        asked = with_every_act_line(scenario)
        for segment in range(1, 4):
            ids = row.tokens[row.segments == segment].tolist()
            if CRITERION in ids:
                at = ids.index(CRITERION)
                met = verify(asked, decode_reply(tokenizer, ids[1:at]).content)
                note = tokenizer.decode(ids[at + 1 : -1])
                assert note in [line.text for line, hit in zip(asked.rubric, met, strict=True) if hit]
                noted += 1
    assert noted > 30


def test_every_act_line_once():
    scenario = make_scenario("truthfulness", "law", "grader", 3)
    asked = with_every_act_line(scenario)
    texts = [line.text for line in asked.rubric]
    acts = [kind for kind in asked.state["kinds"] if kind[0] == "act"]
    assert len(texts) == len(set(texts)) == len(asked.state["kinds"]) and len(acts) == 6
    assert asked.rubric[: len(scenario.rubric)] == scenario.rubric
    assert with_every_act_line(scenario, 5).rubric == asked.rubric[:5]
