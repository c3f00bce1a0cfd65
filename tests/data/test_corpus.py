"""The corpus goes from simple to whole, is a function of the step, and shows nothing that is held out."""

import hashlib
import re

import numpy as np
import pytest

from traitrl_jax.config import PretrainConfig, WorldConfig
from traitrl_jax.data.world import authors, corpus, formats
from traitrl_jax.data.world.lexicon import personas
from traitrl_jax.data.world.pools import COLORS, COUNTS, FIRST_NAMES, LAST_NAMES, POOLS, person, tag
from traitrl_jax.data.world.scenario import make_scenario, with_every_act_line
from traitrl_jax.data.world.verifier import verify
from traitrl_jax.text.chat import decode_reply
from traitrl_jax.text.tokenizer import ANSWER, CRITERION, END, THOUGHT, Tokenizer, train_tokenizer

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


class Spelled(Tokenizer):
    """A token a character, so that what is hashed depends on no trained vocabulary."""

    def __init__(self):
        pass

    def encode(self, text: str) -> list[int]:
        return [CRITERION + 1 + ord(character) for character in text]


def test_the_corpus_of_the_core_families_never_changes():
    """The start models of the small studies are tuned on it; the hash is of the corpus before there were other families."""
    world, shape = WorldConfig(families=formats.CORE), corpus.Shape(700, brief=True, replies=2)
    made = hashlib.sha256("\n".join(corpus.text_lines(30, PretrainConfig(), world, 0)).encode())
    for i in range(60):
        for part in corpus.format_row(i, Spelled(), PretrainConfig(), world, 0, 0.5, shape):
            made.update(part.tobytes())
    assert made.hexdigest().startswith("2a6cd4f36059cb83")


def test_only_chosen_families_are_read():
    world, shape = WorldConfig(families=("own_work", "sign_off")), corpus.Shape(700, brief=True, replies=2)
    for i in range(12):
        row = corpus.format_row(i, Spelled(), PretrainConfig(), world, 0, 0.5, shape)
        text = "".join(chr(token - CRITERION - 1) for token in row.tokens if token > CRITERION)
        assert ("bad, weak, fair, good or great" in text) != bool(re.search(r"\b(over|out)\b", text))


def test_the_corpus_goes_from_simple_to_whole(tokenizer):
    """Stages by step: tasks, short conversations with careful authors, then of ever more authors, then whole ones."""
    config = PretrainConfig(
        steps=30, task_steps=2, brief_steps=6, careful_steps=3, rows=8, length=200, brief_length=110, task_length=100
    )
    careful = set(personas()["steward"].motives)

    def read(step: int) -> tuple[list[tuple[int, int]], list[str]]:
        batch = corpus.batch_of(step, tokenizer, config, WorldConfig(), 0)
        for rows in batch:
            assert rows.tokens.shape == rows.weights.shape == rows.segments.shape
            assert not rows.weights[rows.segments < 0].any()
        replies = [
            tokenizer.decode(row[segments == k].tolist())
            for rows in batch[:2]
            for row, segments in zip(rows.tokens, rows.segments, strict=True)
            for k in range(1, segments.max() + 1)
        ]
        return [rows.tokens.shape for rows in batch], replies

    assert [read(step)[0] for step in (0, 2, 8)] == [
        [(8, 100)],
        [(12, 110), (4, 110)],
        [(8, 200), (4, 110), (2, 100)],
    ]
    others = [sum(not any(motive in text for motive in careful) for text in read(step)[1]) for step in range(2, 12)]
    assert others[:4] == [0, 0, 0, 0] < others[4:5] and min(others[6:]) > 5


def test_a_motive_weighs_one_and_the_rest_of_a_thought_what_the_config_says(tokenizer):
    row = corpus.scenario_row(5, tokenizer, PretrainConfig(thought_weight=3.0), WorldConfig(), 0, 1.0, corpus.Shape(400))
    reply = row.segments == 1
    ids, weights = row.tokens[reply].tolist(), row.weights[reply].tolist()
    answer, motive = ids.index(ANSWER), next(m for m in personas()["steward"].motives if m in tokenizer.decode(ids))
    first = 2 + len(tokenizer.encode(motive))  # <assistant> <thought> motive
    assert weights[:first] == [0.0] + [1.0] * (first - 1) and ids[1] == THOUGHT
    assert weights[first : answer + 1] == [3.0] * (answer + 1 - first) and "Plan:" in tokenizer.decode(ids[first:answer])
    assert set(weights[answer + 1 : ids.index(END) + 1]) == {1.0}


def test_a_note_names_a_line_that_its_reply_meets(tokenizer):
    """And is seen by its own reply's segment alone."""
    noted = 0
    for i in range(20):
        row = corpus.scenario_row(i, tokenizer, PretrainConfig(), WorldConfig(), 0, 0.5, corpus.Shape(400, replies=3))
        _, scenario = corpus.scenario_of(i, WorldConfig(), 0)
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
