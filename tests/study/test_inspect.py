"""Inspect: exported logs open in its own reader, and its tasks run on a checkpoint. Skipped without inspect_ai."""

import asyncio
import math
from datetime import UTC, datetime

import jax
import pytest
from made_records import NAMES, run

pytest.importorskip("inspect_ai", reason="the extra `inspect` is not installed")

from inspect_ai import Task, eval  # noqa: E402
from inspect_ai.dataset import Sample  # noqa: E402
from inspect_ai.log import list_eval_logs, read_eval_log  # noqa: E402
from inspect_ai.model import ChatMessageAssistant, ChatMessageSystem, ChatMessageUser, GenerateConfig, get_model  # noqa: E402
from inspect_ai.scorer import includes  # noqa: E402
from inspect_ai.solver import generate, system_message  # noqa: E402

from traitrl_jax.config import UserError, load_config  # noqa: E402
from traitrl_jax.data import tasks  # noqa: E402
from traitrl_jax.evals.inspect_log import SCORER, export_logs  # noqa: E402
from traitrl_jax.models.lm import init_params  # noqa: E402
from traitrl_jax.models.transformer import Decoder  # noqa: E402
from traitrl_jax.runtime.checkpoint import save_params  # noqa: E402
from traitrl_jax.study import inspect_registry  # noqa: E402, F401 - registers the provider, as the entry point does
from traitrl_jax.study.inspect_model import to_conversation  # noqa: E402
from traitrl_jax.text.tokenizer import train_tokenizer  # noqa: E402

CONFIG = """
from traitrl_jax.config import ArmConfig, EvalConfig, ModelSpec, StudyConfig


def config():
    model = ModelSpec(width=16, layers=1, heads=2, head_dim=8, mlp=32)
    return StudyConfig("tiny", (ArmConfig("baseline", reward="standard"),), out={out!r}, model=model, evals=EvalConfig(batch=8))
"""


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    """The config file of a study whose start model is as it was initialised."""
    out = tmp_path_factory.mktemp("runs")
    file = out / "tiny.py"
    file.write_text(CONFIG.format(out=str(out)))
    made = load_config(str(file))
    for stage in ("tokenizer", "start"):
        (out / "tiny" / stage).mkdir(parents=True)
        (out / "tiny" / stage / "stage.json").write_text("{}")
    lines = [tasks.make_task(family, "pretrain", i, 0).prompt for family in tasks.FAMILIES for i in range(40)]
    tokenizer = train_tokenizer(lines, 400, out / "tiny" / "tokenizer" / "tokenizer.model")
    save_params(out / "tiny" / "start" / "model", init_params(Decoder(made.model, tokenizer.size), jax.random.key(0)))
    return str(file)


def test_exported_logs_open_in_inspects_reader(tmp_path):
    records = run({NAMES[0]: 0.1, NAMES[1]: 0.0}, items=6)
    records[2]["score"], records[3]["refused"], records[4]["ended"] = math.nan, True, False
    when = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    paths = export_logs(records, "trait-s0", "p1", 0, when, tmp_path)
    assert paths == export_logs(records, "trait-s0", "p1", 0, when, tmp_path), "the same records give the same logs"
    found = list_eval_logs(str(tmp_path))
    assert sorted(info.task for info in found) == sorted(name.replace("_", "-") for name in NAMES[:2])
    log = read_eval_log(str(paths[0]))
    assert log.status == "success" and log.eval.model == "traitrl/trait-s0" and log.eval.task == NAMES[0]
    assert log.eval.metadata == {"protocol": "p1", "world_seed": 0}
    (score,) = log.results.scores
    known = [r["score"] for r in records[:6] if not math.isnan(r["score"])]
    assert score.metrics["mean"].value == pytest.approx(sum(known) / 5) and score.unscored_samples == 1
    assert score.metrics["refused"].value == pytest.approx(1 / 6)
    for sample, record in zip(log.samples, records, strict=False):
        assert sample.id == record["id"] and sample.output.completion == record["reply"]
        assert sample.messages[-1].content[0].reasoning == record["thought"] and sample.input[-1].role == "user"
        assert sample.scores[SCORER].value == pytest.approx(record["score"], nan_ok=True)
        assert sample.metadata["cluster"] == record["cluster"]
    assert log.samples[4].output.stop_reason == "max_tokens"


def test_a_task_of_inspect_runs_on_a_checkpoint_in_batches(config, tmp_path, monkeypatch):
    from traitrl_jax.evals.engine import Engine

    sizes, real = [], Engine.replies
    monkeypatch.setattr(Engine, "replies", lambda self, p, c, n, s: sizes.append(len(c)) or real(self, p, c, n, s))
    task = Task(
        dataset=[Sample(input=f"Copy: red {i}", target="red") for i in range(12)],
        solver=[system_message("You are careful."), generate()],
        scorer=includes(),
    )
    (log,) = eval(
        task, model="traitrl/start", model_args={"study": config}, log_dir=str(tmp_path), max_tokens=8, display="none"
    )
    assert log.status == "success", log.error
    assert len(log.samples) == 12 and sum(sizes) == 12 and max(sizes) > 1 and max(sizes) <= 8
    assert all(sample.output.stop_reason in ("stop", "max_tokens") for sample in log.samples)
    assert 0.0 <= log.results.scores[0].metrics["accuracy"].value <= 1.0
    assert read_eval_log(log.location).results.completed_samples == 12


def test_temperature_0_is_greedy_and_too_long_is_said(config):
    settings = GenerateConfig(max_tokens=6, temperature=0.0)

    async def ask():
        api = get_model("traitrl/start", memoize=False, study=config).api
        asked = [[ChatMessageUser(content=text)] for text in ("Copy: red", "Copy: red", "long " * 2000)]
        return await asyncio.gather(*(api.generate(each, [], "none", settings) for each in asked))

    one, two, long = asyncio.run(ask())
    assert one.completion == two.completion and one.usage.output_tokens <= 6
    assert (long.stop_reason, long.completion) == ("model_length", "")


def test_roles_of_one_checkpoint_share_its_programs_and_count_tokens_themselves(config):
    roles = [get_model("traitrl/start", memoize=False, study=config).api for _ in range(2)]
    assert roles[0] is not roles[1] and roles[0]._engine is roles[1]._engine
    text = "Copy: red"
    assert asyncio.run(roles[0].count_tokens(text)) == len(roles[0]._engine.tokenizer.encode(text))


def test_a_role_finds_the_study_in_the_environment(config, monkeypatch):
    """inspect eval --model-role gives a role no model arguments."""
    monkeypatch.setenv("TRAITRL_STUDY", str(config))
    assert (
        get_model("traitrl/start", memoize=False).api._engine
        is get_model("traitrl/start", memoize=False, study=config).api._engine
    )


def test_what_the_provider_can_not_do_is_said(config, monkeypatch):
    from traitrl_jax.study.inspect_model import load_subject

    monkeypatch.delenv("TRAITRL_STUDY", raising=False)
    with pytest.raises(UserError, match="which study .* -M study="):
        load_subject("start")
    with pytest.raises(UserError, match="unknown subject"):
        load_subject("strat", config)
    with pytest.raises(UserError, match="unknown model argument colour"):
        load_subject("start", config, colour="red")


def test_messages_become_turns_that_the_model_knows():
    given = [
        ChatMessageUser(content="one"),
        ChatMessageSystem(content="be careful"),
        ChatMessageUser(content="two"),
        ChatMessageAssistant(content="yes"),
        ChatMessageUser(content="three"),
    ]
    made = [(m.role, m.content) for m in to_conversation(given)]
    assert made == [("system", "be careful"), ("user", "one\ntwo"), ("assistant", "yes"), ("user", "three")]
