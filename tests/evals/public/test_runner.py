"""The runner: samples, what is left out, files that stay whole, and results that are never mixed."""

import json
import math
from pathlib import Path

import pytest

from traitrl_jax.config import UserError
from traitrl_jax.evals.engine import Reply
from traitrl_jax.evals.public import runner
from traitrl_jax.evals.public.jobs import Job, find_jobs
from traitrl_jax.evals.public.runner import Settings, measure, protocol_of, run_job, sample_items
from traitrl_jax.evals.public.schema import Item
from traitrl_jax.evals.public.table import public_table
from traitrl_jax.text.chat import Message
from traitrl_jax.text.tokenizer import Tokenizer

FIXTURES = Path(__file__).parent / "fixtures"


class Engine(Tokenizer):
    """A word is a token; options are equally likely; replies by the last word of the prompt."""

    temperature = 0.7

    def __init__(self, replies=None, context: int = 1000):
        self.found, self.context, self.tokenizer, self.calls = replies or {}, context, self, 0

    def encode(self, text):
        return [9] * len(text.split())

    def option_logprobs(self, policy, conversations, thoughts, options):
        self.calls += 1
        return [[0.0] * len(row) for row in options]

    def replies(self, policy, conversations, max_new, seed, numbers):
        self.calls += 1
        texts = [self.found.get(messages[-1].content, "A reply.") for messages in conversations]
        return [Reply(Message("assistant", text, "a thought"), (1,), ended=False) for text in texts]


def job_of(folder: str, name: str) -> Job:
    (job,) = (job for job in find_jobs(FIXTURES / folder) if job.name == name)
    return job


HEALTH, GSM, COCONOT = ("healthbench", "healthbench.main"), ("gsm8k", "gsm8k.test"), ("coconot", "coconot.coconot_eval")


def test_without_a_judge_there_is_no_score():
    result, records = measure(Engine(), None, job_of(*HEALTH), Settings())
    assert math.isnan(result["score"]) and not records
    assert (result["items"], result["scored"], result["reason"]) == (1, 0, "needs a judge (--judge head or FILE)")


def test_code_is_not_run_unasked(monkeypatch):
    monkeypatch.setattr(runner, "passes", lambda program: pytest.fail("code was run"))
    result, records = measure(Engine(), None, job_of("mbpp", "mbpp.sanitized"), Settings())
    assert math.isnan(result["score"]) and not records
    assert "--run-code" in result["reason"]


def test_a_judge_that_fails_on_an_item():
    def judge(questions):
        if "stars" in questions[0].messages[-1].content:
            raise ConnectionError("no judge")
        return [0.25] * len(questions)

    result, records = measure(Engine(), None, job_of(*COCONOT), Settings(judge=judge))
    assert (result["score"], result["items"], result["scored"]) == (0.75, 2, 1)
    assert result["skipped"] == {"the judge failed": 1}
    assert [r["reason"] for r in records if math.isnan(r["score"])] == ["the judge failed"]


def test_items_are_judged_together():
    """A judge that asks a server, or a model, gets many questions at once."""
    calls = []

    def judge(questions):
        calls.append(len(questions))
        return [0.25 * i for i in range(len(questions))]

    result, records = measure(Engine(), None, job_of(*COCONOT), Settings(judge=judge, judge_name="mine"))
    assert calls == [2] and [record["verdicts"] for record in records] == [[0.0], [0.25]]
    assert result["judge"] == "mine"


def test_empty_replies():
    def judge(questions):
        pytest.fail("an empty reply was judged")

    empty = Engine(dict.fromkeys(("Which one is it?", "How many stars exactly?", "My head hurts.", "Two and two?"), " \x00\n"))
    judged, _ = measure(empty, None, job_of(*COCONOT), Settings(judge=judge))
    assert (judged["scored"], judged["skipped"]) == (0, {"empty reply": 2})
    assert judged["reason"] == "no item has a score (2 empty reply)"
    rubric, _ = measure(empty, None, job_of(*HEALTH), Settings(judge=judge))
    assert (rubric["score"], rubric["scored"]) == (0.0, 1)  # it says nothing of what must be said
    exact, _ = measure(empty, None, job_of(*GSM), Settings())
    assert (exact["score"], exact["scored"]) == (0.0, 2)


def test_long_prompts_are_left_out_and_counted():
    result, records = measure(Engine(context=8), None, job_of(*GSM), Settings())
    assert result["skipped"] == {"longer than 8 tokens": 1}
    assert (result["items"], result["scored"], len(records)) == (2, 1, 1)
    assert result["cut_off"] == 1


def test_failed_logprobs_are_no_zero():
    class Broken(Engine):
        def option_logprobs(self, policy, conversations, thoughts, options):
            return [[math.nan] * len(row) for row in options]

    result, _ = measure(Broken(), None, job_of("bbh", "bbh.causal"), Settings())
    assert math.isnan(result["score"])
    assert result["reason"] == "no item has a score (1 no finite log-probability)"


def test_samples():
    items = [Item(str(i), (), str(i), drawn=str(i // 4)) for i in range(40)]
    small, large = sample_items(items, 5, 0), sample_items(items, 12, 0)
    assert len(small) == 8 and len(large) == 12  # sets of four stay whole
    assert small == large[:8]
    assert {i.id for i in small} != {i.id for i in sample_items(items, 5, 1)}
    assert len(sample_items(items, 0, 0)) == 40


def test_results_are_kept_and_not_measured_again(tmp_path):
    engine, job = Engine({"Two and two?": "\x1b[1m4 \ud83d</s><end>"}), job_of(*GSM)
    first = run_job(engine, None, job, Settings(), tmp_path, "subject")
    assert engine.calls == 1
    assert run_job(engine, None, job, Settings(), tmp_path, "subject") == first
    assert engine.calls == 1
    lines = [json.loads(line) for line in (tmp_path / "items.jsonl").read_text().splitlines()]
    assert {line["protocol"] for line in lines} == {first["protocol"]}
    (told,) = (line for line in lines if line["id"] == "test/1")
    assert told["reply"] == "\x1b[1m4 \ud83d</s><end>"  # as it was; it is graded without control characters
    assert (told["score"], told["thought"], told["ended"]) == (1.0, "a thought", False)
    assert not list(tmp_path.glob("*.tmp"))


@pytest.mark.parametrize("change", [{"limit": 1}, {"max_new": 9}, {"seed": 1}])
def test_another_protocol_is_refused(tmp_path, change):
    run_job(Engine(), None, job_of(*GSM), Settings(), tmp_path, "subject")
    with pytest.raises(UserError, match="another protocol"):
        run_job(Engine(), None, job_of(*GSM), Settings(**change), tmp_path, "subject")
    with pytest.raises(UserError, match="another subject"):
        run_job(Engine(), None, job_of(*GSM), Settings(), tmp_path, "another")


def test_a_judge_may_come_later(tmp_path):
    def judge(questions):
        return [1.0] * len(questions)

    health, gsm = job_of(*HEALTH), job_of(*GSM)
    without = run_job(Engine(), None, health, Settings(), tmp_path / "health", "subject")
    assert without["score"] is None
    with_judge = Settings(judge=judge, judge_name="one", run_code=True)
    assert run_job(Engine(), None, health, with_judge, tmp_path / "health", "subject")["scored"] == 1
    assert protocol_of(Engine(), gsm, with_judge) == protocol_of(
        Engine(), gsm, Settings()
    )  # it has nothing to do with the judge
    with pytest.raises(UserError, match="another protocol"):
        run_job(Engine(), None, health, Settings(judge=judge, judge_name="two"), tmp_path / "health", "subject")


def test_code_that_can_not_be_limited_is_not_run(monkeypatch):
    def refuse(program):
        raise UserError("no limits here")

    monkeypatch.setattr(runner, "passes", refuse)
    result, records = measure(Engine(), None, job_of("mbpp", "mbpp.sanitized"), Settings(run_code=True))
    assert (result["reason"], result["scored"], records) == ("no limits here", 0, [])


def test_a_run_that_was_killed_begins_the_benchmark_again(tmp_path):
    (tmp_path / "items.jsonl").write_text('{"half')
    result = run_job(Engine(), None, job_of(*GSM), Settings(), tmp_path, "subject")
    assert result["scored"] == 2
    assert len((tmp_path / "items.jsonl").read_text().splitlines()) == 2


def test_a_changed_file_is_another_protocol(tmp_path):
    path = tmp_path / "test.jsonl"
    path.write_bytes((FIXTURES / "gsm8k" / "test.jsonl").read_bytes())
    (job,) = find_jobs(tmp_path)
    before = protocol_of(Engine(), job, Settings())
    path.write_bytes(path.read_bytes().replace(b"Two", b"Three"))
    assert protocol_of(Engine(), job, Settings()) != before
    assert protocol_of(Engine(), job, Settings()) == protocol_of(Engine(), job, Settings())


def test_the_table_says_what_was_left_out():
    results = [measure(Engine(context=8), None, job_of(*each), Settings())[0] for each in (GSM, HEALTH)]
    head, *rows = public_table(results).splitlines()
    assert head.split()[:5] == ["benchmark", "kind", "items", "scored", "score"]
    assert "1 longer than 8 tokens" in rows[0] and "0.000" in rows[0]
    assert rows[1].split()[:5] == ["healthbench.main", "judge", "1", "0", "-"] and "needs a judge" in rows[1]


def test_intervals_resample_clusters(tmp_path):
    rows = [{"question": f"{i} and nothing?", "answer": f"#### {i % 2}"} for i in range(40)]
    (tmp_path / "t.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (job,) = find_jobs(tmp_path)
    engine = Engine({row["question"]: "0" for row in rows})
    result, _ = measure(engine, None, job, Settings())
    assert result["score"] == 0.5
    assert 0.3 < result["low"] < 0.42 and 0.58 < result["high"] < 0.7  # 0.5 +- 1.96 sqrt(0.25 / 40) = 0.155
