"""Scenario files: what is written is read back, and every fault is named by file, line, field, value and remedy."""

import json
import os
from copy import deepcopy
from itertools import islice

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from traitrl_jax.config import UserError
from traitrl_jax.data.files import iter_scenarios, read_scenarios, write_scenarios
from traitrl_jax.data.schema import Criterion, Message, Scenario
from traitrl_jax.data.world.lexicon import TRAITS
from traitrl_jax.data.world.pools import DOMAINS
from traitrl_jax.data.world.scenario import make_scenario

GOOD = {
    "id": "h1",
    "trait": "truthfulness",
    "domain": "health",
    "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Where is the trial?"}],
    "rubric": [{"criterion": "Take the claim back.", "points": 5}, {"criterion": "Invent a link.", "points": -2.5}],
}


def changed(path: tuple, value: object) -> dict:
    """GOOD with the value at `path` replaced, or taken out if `value` is None."""
    record = deepcopy(GOOD)
    *way, last = path
    node = record
    for step in way:
        node = node[step]
    if value is None:
        del node[last]
    else:
        node[last] = value
    return record


def dump(path, *records) -> str:
    path.write_text("".join(f"{record if isinstance(record, str) else json.dumps(record)}\n" for record in records))
    return str(path)


def test_reads_one_scenario_a_line(tmp_path):
    path = dump(tmp_path / "a.jsonl", "\ufeff" + json.dumps(GOOD), "   ", changed(("id",), "h2") | {"pressure": "deadline"})
    first, second = read_scenarios(path)
    assert first.messages == (Message("system", "Be brief."), Message("user", "Where is the trial?"))
    assert first.rubric == (Criterion("Take the claim back.", 5.0), Criterion("Invent a link.", -2.5))
    assert (first.id, first.trait, first.domain, first.pressure) == ("h1", "truthfulness", "health", "")
    assert (second.id, second.pressure) == ("h2", "deadline")


def test_world_scenarios_come_back_without_their_hidden_state(tmp_path):
    made = [make_scenario(trait, domain, "rl", 3) for trait in TRAITS for domain in DOMAINS]
    write_scenarios(tmp_path / "new" / "world.jsonl", made)
    back = read_scenarios(tmp_path / "new" / "world.jsonl")
    for before, after in zip(made, back, strict=True):
        assert before.state and not after.state
        assert (after.id, after.trait, after.domain) == (before.id, before.trait, before.domain)
        assert (after.messages, after.rubric, after.pressure) == (before.messages, before.rubric, before.pressure)
    assert os.listdir(tmp_path / "new") == ["world.jsonl"]


texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40).filter(str.strip)
turns = st.lists(st.tuples(texts, texts), max_size=3)
scenarios = st.builds(
    lambda name, trait, domain, opening, talk, last, rubric, pressure: Scenario(
        name,
        trait,
        domain,
        (
            *([Message("system", opening)] if opening else []),
            *(Message(role, text) for pair in talk for role, text in zip(("user", "assistant"), pair, strict=True)),
            Message("user", last),
        ),
        (Criterion("Do it.", 1.0), *(Criterion(text, points) for text, points in rubric)),
        pressure,
    ),
    texts,
    st.sampled_from(TRAITS),
    st.sampled_from(DOMAINS),
    st.one_of(st.just(""), texts),
    turns,
    texts,
    st.lists(st.tuples(texts, st.floats(-100, 100)), max_size=4),
    st.one_of(st.just(""), texts),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(scenarios, min_size=1, max_size=4, unique_by=lambda scenario: scenario.id))
def test_any_scenarios_survive_the_round_trip(tmp_path_factory, made):
    path = tmp_path_factory.mktemp("files") / "any.jsonl"
    write_scenarios(path, made)
    assert read_scenarios(path) == made


FAULTS = [  # second line of the file, what the message must say
    ('{"id": "x",', ["is no JSON", "column", "one JSON object on one line"]),
    ("[1, 2]", ["[1, 2]", "no JSON object", "messages"]),
    ("[" * 100_000, ["is no JSON"]),
    (changed(("id",), None), ["'id'", "missing"]),
    (changed(("id",), 7), ["'id'", "7", "no text"]),
    (changed(("messages",), None), ["'messages'", "missing"]),
    (changed(("messages", 1, "content"), None), ["'messages[1].content'", "missing"]),
    (changed(("messages", 1, "content"), " \n"), ["'messages[1].content'", r"' \n'", "not empty"]),
    (changed(("messages", 1, "content"), "\ud800"), ["'messages[1].content'", "surrogate"]),
    (changed(("messages", 1, "role"), "human"), ["'messages[1].role'", "'human'", "system, user, assistant"]),
    (changed(("messages", 1, "role"), ["user"]), ["'messages[1].role'", "['user']"]),
    (changed(("messages", 1, "role"), "system"), ["'messages[1].role'", "first"]),
    (changed(("messages", 1, "role"), "assistant"), ["'messages[1].role'", "'assistant'", "message of the user"]),
    (changed(("messages",), []), ["'messages'", "[]", "at least one"]),
    (changed(("messages",), "hello"), ["'messages'", "'hello'"]),
    (changed(("rubric", 0, "points"), "five"), ["'rubric[0].points'", "'five'", "number"]),
    (changed(("rubric", 0, "points"), True), ["'rubric[0].points'", "True"]),
    (changed(("rubric", 0, "points"), float("nan")), ["'rubric[0].points'", "nan"]),
    (changed(("rubric", 0, "points"), 10**400), ["'rubric[0].points'", "between"]),
    (changed(("rubric", 0, "points"), -5), ["'rubric'", "positive points"]),
    (changed(("rubric", 0, "criterion"), ""), ["'rubric[0].criterion'", "''"]),
    (changed(("rubric",), {}), ["'rubric'", "{}"]),
    (changed(("trait",), "truthfullness"), ["'trait'", "'truthfullness'", "did you mean truthfulness", "allow_new_traits"]),
    (changed(("domain",), "medicine"), ["'domain'", "'medicine'", "did you mean"]),
    (changed(("pressure",), 3), ["'pressure'", "3"]),
    (changed(("rubrik",), []), ["'rubrik'", "did you mean rubric"]),
    (GOOD, ["'id'", "'h1'", "line 1", "own id"]),
]


@pytest.mark.parametrize(("record", "expected"), FAULTS, ids=lambda value: value[0][:20] if isinstance(value, list) else "")
def test_faults_are_named_by_file_line_field_value_and_remedy(tmp_path, record, expected):
    other = record if isinstance(record, str) or record is GOOD else record | ({"id": "h2"} if record.get("id") == "h1" else {})
    path = dump(tmp_path / "bad.jsonl", GOOD, other)
    with pytest.raises(UserError) as error:
        read_scenarios(path)
    message = str(error.value)
    assert message.startswith(f"{path}:2: ") and "\n" not in message and len(message) < 400
    for part in expected:
        assert part in message, message


def test_missing_id_is_reported_even_when_it_was_the_only_fault(tmp_path):
    with pytest.raises(UserError, match=r"bad.jsonl:1: field 'id': is missing"):
        read_scenarios(dump(tmp_path / "bad.jsonl", changed(("id",), None)))


def test_files_without_scenarios_or_text_or_at_all(tmp_path):
    with pytest.raises(UserError, match="holds no scenario"):
        read_scenarios(dump(tmp_path / "empty.jsonl", "", ""))
    with pytest.raises(UserError, match="No such file"):
        read_scenarios(tmp_path / "nowhere.jsonl")
    with pytest.raises(UserError, match="can not be read"):
        read_scenarios(tmp_path)
    (tmp_path / "latin.jsonl").write_bytes(json.dumps(GOOD).encode() + b'\n{"id": "caf\xe9"}\n')
    with pytest.raises(UserError, match=r"latin.jsonl:2: b'\\xe9' is no UTF-8"):
        read_scenarios(tmp_path / "latin.jsonl")


def test_own_traits_are_allowed_on_request(tmp_path):
    path = dump(tmp_path / "own.jsonl", changed(("trait",), "curiosity"))
    assert read_scenarios(path, allow_new_traits=True)[0].trait == "curiosity"
    with pytest.raises(UserError, match="letters, digits"):
        read_scenarios(dump(tmp_path / "own.jsonl", changed(("trait",), "a/b")), allow_new_traits=True)


def test_the_reader_is_a_stream(tmp_path):
    path = dump(tmp_path / "late.jsonl", *(changed(("id",), f"h{i}") for i in range(50)), "broken")
    assert [scenario.id for scenario in islice(iter_scenarios(path), 50)] == [f"h{i}" for i in range(50)]


def test_nothing_is_written_that_could_not_be_read(tmp_path):
    path, good = tmp_path / "out.jsonl", make_scenario("fairness", "law", "rl", 0)
    write_scenarios(path, [good])
    before = path.read_bytes()
    bad = Scenario("x", "fairness", "law", (Message("user", "Hi."),), (Criterion("Do it.", -1.0),))
    for batch, problem in (([good, bad], "out.jsonl:2: field 'rubric'"), ([good, good], "own id")):
        with pytest.raises(UserError, match=problem):
            write_scenarios(path, batch)
        assert path.read_bytes() == before and os.listdir(tmp_path) == ["out.jsonl"]
    with pytest.raises(UserError, match="can not be written"):
        write_scenarios(path / "below.jsonl", [good])
