"""The pools of the standard RL tasks share nothing, and the verifier agrees with answers worked out by hand."""

import re
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from traitrl_jax.data.tasks import FAMILIES, POOLS, Task, make_task, partial_credit, verify
from traitrl_jax.data.tasks.split import MODULUS, RESIDUES, VOCABULARIES
from traitrl_jax.data.tasks.wordings import VALUES, WORDINGS
from traitrl_jax.data.world.pools import COLORS, COUNTS, FIRST_NAMES

DRAWS = 2500
LIST_FAMILIES = ("sorting", "reversal", "counting", "comparison", "editing", "choice")
tasks = st.builds(make_task, st.sampled_from(FAMILIES), st.sampled_from(POOLS), st.integers(0, 10**7), st.integers(0, 2**40))
quick = settings(max_examples=150, deadline=None)

BY_HAND = [  # family, prompt, all right answers, wrong answers
    ("arithmetic", "What is 23 plus 48?", ["71"], ["72", "7", "71 72", "seventy one", "2348"]),
    ("arithmetic", "Add 9 and 90.", ["99"], ["81", "990"]),
    ("arithmetic", "What is 71 minus 23?", ["48"], ["-48", "94"]),
    ("sorting", "Sort these words by the alphabet: red, blue, brown.", ["blue, brown, red"], ["red, brown, blue"]),
    ("sorting", "Put these words in alphabetical order: Dora, Ada, Dan.", ["Ada, Dan, Dora"], ["Ada, Dan", "Dora, Ada, Dan"]),
    ("sorting", "Sort these numbers from small to large: ten, two, zero.", ["zero, two, ten"], ["ten, two, zero"]),
    ("reversal", "Say this list in reverse order: red, Ada, ten.", ["ten, Ada, red"], ["red, Ada, ten", "ten Ada red"]),
    ("reversal", "Write these words from last to first: one, ten, two.", ["two, ten, one"], ["owt, net, eno"]),
    ("lookup", "Ada has red, Ben has blue, Cora has gold. What does Ben have?", ["blue"], ["red", "Ben", "red, blue, gold"]),
    ("lookup", "Ada has two, Ben has ten, Cora has six. Who has six?", ["Cora"], ["Ada", "six", "Ada Cora"]),
    ("counting", "How many times is red in this list: red, blue, red, pink?", ["two"], ["one", "2", "red red"]),
    ("counting", "Count how often Ada appears here: Ben, Dan, Cora, Zoe.", ["zero"], ["one", "none"]),
    ("format", "Name Ada, color red, number two. Answer in the form color - name.", ["red - Ada"], ["Ada - red", "red: Ada"]),
    ("format", "Use the form number and color for this: name Ada, color red, number two.", ["two and red"], ["two, red"]),
    ("comparison", "Which number is the largest: nine, hundred, ninety?", ["hundred"], ["nine", "ninety"]),
    ("comparison", "Find the smallest number in this list: two, zero, one.", ["zero"], ["one", "two", "zero, one, two"]),
    ("editing", "Copy this list with green in place of red: blue, red, gold.", ["blue, green, gold"], ["blue, red, gold"]),
    ("editing", "Copy this list without red: blue, red, gold.", ["blue, gold"], ["blue, red, gold", "blue"]),
    ("editing", "Copy this list and add ten after two: two, six, one.", ["two, ten, six, one"], ["two, six, one, ten"]),
    ("choice", "Pick any name from this list: Ada, red, ten, Zoe.", ["Ada", "Zoe"], ["Ben", "red", "Ada, Zoe", "Ada Zoe"]),
    (
        "choice",
        "Say one number that is in this list: Ada, six, ten, one.",
        ["six", "ten", "one"],
        ["two", "Ada", "six, ten, one"],
    ),
]


def item(task: Task) -> tuple:
    """What a pool owns, read from the prompt without the package's help: summands, table, facts or the words of the list."""
    if task.family == "arithmetic":
        a, b = map(int, re.findall(r"\d+", task.prompt))
        return tuple(sorted((a - b, b) if "minus" in task.prompt else (a, b)))
    if task.family == "lookup":
        return tuple(sorted(re.findall(r"(\w+) has (\w+)(?=[,.])", task.prompt)))
    if task.family == "format":
        return re.search(r"[Nn]ame (\w+), color (\w+), number (\w+)", task.prompt).groups()
    return tuple(sorted(task.prompt.split(": ")[1].rstrip("?.").split(", ")))


def code(word: str) -> int:
    return next(words.index(word) for words in (COLORS, COUNTS, FIRST_NAMES) if word in words)


@pytest.fixture(scope="module")
def drawn() -> dict[str, dict[str, list[Task]]]:
    return {family: {pool: [make_task(family, pool, i) for i in range(DRAWS)] for pool in POOLS} for family in FAMILIES}


@pytest.mark.parametrize("family", FAMILIES)
def test_pools_share_no_item_and_no_prompt(drawn, family):
    items = {pool: {item(task) for task in drawn[family][pool]} for pool in POOLS}
    prompts = {pool: {task.prompt for task in drawn[family][pool]} for pool in POOLS}
    for one, other in (("pretrain", "rl"), ("pretrain", "eval"), ("rl", "eval")):
        assert items[one].isdisjoint(items[other])
        assert prompts[one].isdisjoint(prompts[other])
    for pool in POOLS:
        assert len(items[pool]) >= 500
        assert len(prompts[pool]) >= 1000


def test_a_list_belongs_to_one_pool_in_all_families(drawn):
    lists = {pool: {item(task) for family in LIST_FAMILIES for task in drawn[family][pool]} for pool in POOLS}
    assert lists["pretrain"].isdisjoint(lists["rl"] | lists["eval"])
    assert lists["rl"].isdisjoint(lists["eval"])


@pytest.mark.parametrize("family", FAMILIES)
def test_the_pool_is_the_residue_of_the_item(drawn, family):
    assert sorted(sum(RESIDUES.values(), ())) == list(range(MODULUS))
    for pool in POOLS:
        for task in drawn[family][pool][:500]:
            key = item(task)
            codes = key if family == "arithmetic" else [code(word[1] if family == "lookup" else word) for word in key]
            residue = codes[0] + 3 * codes[1] if family == "arithmetic" else sum(codes)
            assert residue % MODULUS in RESIDUES[pool], task


@pytest.mark.parametrize("family", FAMILIES)
def test_no_word_and_no_short_answer_is_held_out(drawn, family):
    def words(pool: str) -> set[str]:
        return {word for task in drawn[family][pool] for word in re.findall(r"\w+", f"{task.prompt} {task.answer}")}

    rare = {"1", "2", "97", "98", "99"} if family == "arithmetic" else set()  # few sums have these numbers
    assert words("eval") | words("rl") <= words("pretrain") | rare


@pytest.mark.parametrize("family", FAMILIES)
def test_every_wording_occurs_in_every_pool_and_reads_only_its_own_prompts(drawn, family):
    for pool in POOLS:
        read = np.array([[bool(w.pattern.fullmatch(t.prompt)) for w in WORDINGS[family]] for t in drawn[family][pool][:500]])
        assert (read.sum(1) == 1).all()
        assert (read.mean(0) > 0.5 / len(WORDINGS[family])).all()


@pytest.mark.parametrize("family", FAMILIES)
def test_prompts_and_answers_are_short_plain_english(drawn, family):
    for pool in POOLS:
        for task in drawn[family][pool]:
            assert len(task.prompt.split()) <= 18
            assert 1 <= len(task.answer.split()) <= 8
            assert re.fullmatch(r"[A-Za-z0-9 ,.:?=-]+", task.prompt + task.answer)
            assert family == "arithmetic" or not re.search(r"\d", task.prompt + task.answer)


def test_guessing_one_answer_does_not_pay(drawn):
    for family in FAMILIES:
        answers = [task.answer for task in drawn[family]["eval"]]
        assert max(map(answers.count, set(answers))) / len(answers) < 0.35, family


@pytest.mark.parametrize(("family", "prompt", "right", "wrong"), BY_HAND)
def test_verifier_agrees_with_answers_worked_out_by_hand(family, prompt, right, wrong):
    task = Task(family, prompt, "a stored answer is not trusted")
    assert [verify(task, reply) for reply in right] == [1.0] * len(right)
    assert [verify(task, reply) for reply in wrong] == [0.0] * len(wrong)
    assert verify(task, task.answer) == 0.0


def test_every_wording_is_worked_out_by_hand():
    for family in FAMILIES:
        prompts = [prompt for name, prompt, _, _ in BY_HAND if name == family]
        assert all(any(wording.pattern.fullmatch(prompt) for prompt in prompts) for wording in WORDINGS[family])


@quick
@given(tasks, st.sampled_from(("", " \n", "\t")), st.sampled_from(("", ".", " .\n")), st.sampled_from((str.upper, str.lower)))
def test_case_surrounding_spaces_and_a_final_period_do_not_matter(task, before, after, case):
    reply = before + case(task.answer) + after
    assert verify(task, reply) == partial_credit(task, reply) == 1.0


@quick
@given(tasks, st.integers(2, 5), st.sampled_from((" ", ", ", ". ", "\n", " or ", "")))
def test_repetition_and_extra_words_fail_and_cost(task, times, sign):
    longer = f"{task.answer}{sign or ' '}{task.answer}"
    for reply in (sign.join([task.answer] * times), longer, f"{task.answer} and more", f"The answer is {task.answer}"):
        assert verify(task, reply) == 0.0
        assert partial_credit(task, reply) < 0.5
    assert partial_credit(task, f"{longer} {task.answer}") < partial_credit(task, longer)
    assert verify(task, task.prompt) == verify(task, task.answer + "..") == 0.0


@quick
@given(
    tasks, st.text(max_size=60) | st.lists(st.sampled_from((*COLORS, *COUNTS, "71", ",", ".", ":")), max_size=9).map(" ".join)
)
def test_partial_credit_is_one_only_for_a_right_reply(task, reply):
    score = partial_credit(task, reply)
    assert verify(task, reply) in (0.0, 1.0)
    assert score == 1.0 if verify(task, reply) else 0.0 <= score <= 0.5
    assert partial_credit(task, "") == partial_credit(task, " \n") == partial_credit(task, ".") == 0.0


def test_partial_credit_by_leading_words():
    task = Task("sorting", "Sort these words by the alphabet: red, blue, brown.", "blue, brown, red")
    scores = {
        "blue, brown, red": 1.0,
        "blue brown red": 0.5,  # all words, but not as a list
        "blue, brown": 0.5 * 2 / 3,
        "blue, brown, gold": 0.5 * 2 / 3,
        "blue, red, brown": 0.5 / 3,
        "blue, brown, red, red": 0.5 * 3 / 4,
        "blue blue blue blue blue blue": 0.5 / 6,
        "red, brown, blue": 0.0,
    }
    assert {reply: partial_credit(task, reply) for reply in scores} == pytest.approx(scores)


def test_partial_credit_takes_the_nearest_of_several_answers():
    task = Task("choice", "Pick any name from this list: Ada, red, ten, Zoe.", "Ada")
    assert partial_credit(task, "Zoe") == 1.0
    assert partial_credit(task, "Zoe, Ada") == 0.25
    assert partial_credit(task, "ten, Ada") == 0.0


@quick
@given(st.sampled_from(FAMILIES), st.sampled_from(POOLS), st.integers(0, 10**6), st.integers(0, 10**6))
def test_a_task_depends_on_its_arguments_only(family, pool, index, seed):
    first = make_task(family, pool, index, seed)
    np.random.default_rng(index).random(5)
    make_task(family, pool, index + 1, seed)
    assert make_task(family, pool, np.int64(index), np.int64(seed)) == first


def test_index_and_seed_give_different_streams():
    prompts = {make_task("lookup", "rl", index, seed).prompt for index in range(50) for seed in range(4)}
    assert len(prompts) == 200


def test_tasks_stay_what_they_were():
    assert [make_task(family, "eval", 0) for family in ("arithmetic", "lookup", "choice")] == [
        Task("arithmetic", "What is 43 minus 23?", "20"),
        Task("lookup", "Zoe has four, Wanda has thirteen, Mara has ninety. What does Mara have?", "ninety"),
        Task("choice", "Pick any name from this list: Emil, Ada, eighty, Wanda.", "Emil"),
    ]


def test_word_pools_are_of_one_length_and_tell_kinds_apart():
    assert {len(words) for words in VOCABULARIES.values()} == {30}
    assert len({word.lower() for words in VOCABULARIES.values() for word in words}) == 90
    assert set(VALUES) == set(COUNTS)
    assert [VALUES[word] for word in ("zero", "one", "twenty", "thirty", "ninety", "hundred")] == [0, 1, 20, 30, 90, 100]


def test_errors_name_the_value_and_the_nearest_names():
    with pytest.raises(ValueError, match="family 'sort'.*'sorting'"):
        make_task("sort", "rl", 0)
    with pytest.raises(ValueError, match="pool 'evla'.*'eval'"):
        make_task("sorting", "evla", 0)
    with pytest.raises(ValueError, match="index=-1"):
        make_task("sorting", "rl", -1)
    foreign = {
        "sorting": "Sort these: red, blue.",
        "arithmetic": "Add red and 3.",
        "lookup": "Ada has red, Ben has pink. Who has tan?",
    }
    for family, prompt in foreign.items():
        with pytest.raises(ValueError, match=re.escape(repr(prompt))):
            partial_credit(Task(family, prompt, "red"), "red")


def test_tasks_are_cheap():
    start = time.process_time()
    for index in range(2000):
        make_task(FAMILIES[index % len(FAMILIES)], "pretrain", index)
    assert time.process_time() - start < 0.5  # they take 0.05 s; the rest is for a busy machine
