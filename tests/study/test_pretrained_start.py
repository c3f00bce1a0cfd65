"""From a published checkpoint through training and back: the seam at which a study leaves the world's own start model."""

from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import jax.numpy as jnp
import numpy as np
import pytest

from tests.text.checkpoints import write_sentencepiece
from traitrl_jax.config import ArmConfig, Bucket, ModelSpec, RLConfig, StudyConfig, UserError
from traitrl_jax.evals.engine import Engine
from traitrl_jax.models.pretrained import export
from traitrl_jax.models.transformer import Context, Decoder
from traitrl_jax.reward.head import init_head
from traitrl_jax.reward.scorer import Scorer
from traitrl_jax.rl import loop
from traitrl_jax.runtime.checkpoint import Checkpoints
from traitrl_jax.study import arms, start
from traitrl_jax.study.run import Study
from traitrl_jax.text.chat import Message

VOCABULARY = 384
RL = RLConfig(steps=2, buckets=(Bucket(8, 512, 6),), lr=1e-2, warmup=1, value_warmup=0, max_kl=100.0)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> Path:
    """A tiny random Gemma, saved by the reference implementation, with a tokenizer."""
    torch, transformers = pytest.importorskip("torch"), pytest.importorskip("transformers")
    torch.manual_seed(0)
    config = transformers.Gemma3TextConfig(
        vocab_size=VOCABULARY, hidden_size=16, intermediate_size=24, num_attention_heads=4, num_key_value_heads=2, head_dim=4,
        num_hidden_layers=2, sliding_window=16, layer_types=["sliding_attention", "full_attention"], initializer_range=0.3,
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("gemma")
    transformers.Gemma3ForCausalLM(config).save_pretrained(folder)
    write_sentencepiece(folder / "tokenizer.model")
    return folder


def study_config(checkpoint: Path, **more) -> StudyConfig:
    baseline = ArmConfig("baseline", dose=0.25, reward="standard")
    return StudyConfig("tiny", (baseline, ArmConfig("trait", dose=0.5)), pretrained=str(checkpoint), rl=RL, **more)


class Silent:
    """Stands for tracker and progress."""

    def __init__(self):
        self.logged = []

    def log(self, step, metrics):
        self.logged.append(metrics)

    def update(self, *_):
        pass


def train(config: StudyConfig, folder: Path):
    """(model, tokenizer, start parameters, trained ones, metrics of every step) of the trait arm."""
    tokenizer, model = start.open_start(config, folder)
    params = start.load_start(config, model, folder)
    scorer = Scorer(model, init_head(params, model.spec.width), tokenizer)
    programs = loop.compile_programs(model, config.rl, tokenizer.stops)
    silent = Silent()
    with Checkpoints(folder / "checkpoints") as checkpoints:
        trained = loop.train(
            model, config.rl, programs, params, tokenizer, arms.make_stream(config, config.arms[1], 0), scorer,
            lambda policy: {}, 0, checkpoints, 10, silent, silent,
        )  # fmt: skip
    return model, tokenizer, params, trained, [m for m in silent.logged if m]


def logits_of(model, params, tokens: np.ndarray) -> np.ndarray:
    hidden, _ = model.apply({"params": params}, jnp.array(tokens), Context.of(jnp.ones(tokens.shape, bool)))
    return np.asarray(model.apply({"params": params}, hidden, method="logits"))


@pytest.mark.slow
def test_two_ppo_steps_and_back(checkpoint, tmp_path):
    """Saved by `transformers`, trained here on graded conversations in Gemma's format, exported, loaded by `transformers`."""
    torch, transformers = pytest.importorskip("torch"), pytest.importorskip("transformers")
    model, tokenizer, before, after, metrics = train(study_config(checkpoint), tmp_path / "run")
    assert len(metrics) == RL.steps and all(np.isfinite(list(m.values())).all() for m in metrics)
    assert abs(metrics[0]["first_ratio_max"] - 1) < 1e-3 and metrics[0]["sampler_gap_max"] < 1e-3
    assert {"reward/trait", "reward/standard"} <= set(metrics[0])
    export(tmp_path / "out", model.spec, model.vocabulary, after, checkpoint, "float32")
    theirs = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "out").eval()
    tokens = np.random.default_rng(0).integers(0, VOCABULARY, (2, 40))
    with torch.no_grad():
        expect = theirs(input_ids=torch.tensor(tokens)).logits.numpy()
    ours = logits_of(model, after, tokens)
    np.testing.assert_allclose(ours, expect, atol=1e-4)
    assert np.abs(ours - logits_of(model, before, tokens)).max() > 0.1, "training changed nothing"
    again, _ = start.open_start(study_config(tmp_path / "out"), tmp_path)
    assert again.encode("Why that?") == tokenizer.encode("Why that?"), "the tokenizer travels with the weights"


def test_measuring_a_published_model(checkpoint, tmp_path):
    """Replies are text without thought, in any order and batch; options are scored in the family's own format."""
    config = study_config(checkpoint)
    tokenizer, model = start.open_start(config, tmp_path)
    params = start.load_start(config, model, tmp_path)
    engine = Engine(model, tokenizer, batch=4, temperature=0.7)
    talks = [[Message("user", "Why that?")], [Message("system", "Be brief."), Message("user", "What is it?")]]
    replies = engine.replies((params, None), talks, 8, 0)
    assert all(reply.message.thought == "" and 1 <= len(reply.ids) <= 8 for reply in replies)
    (scores, _) = engine.option_logprobs((params, None), talks, replies, [["A plan.", "Why"], ["it"]])
    assert len(scores) == 2 and max(scores) < 0


def test_compute_type_and_remat_come_from_the_config(checkpoint, tmp_path):
    config = study_config(checkpoint)
    _, model = start.open_start(replace(config, model=replace(config.model, dtype="bfloat16", remat="full")), tmp_path)
    assert (model.spec.dtype, model.spec.remat, model.spec.width) == ("bfloat16", "full", 16)


def test_arms_train_on_a_start_model_held_in_bfloat16(tmp_path, monkeypatch):
    """Half of it stays in memory while arms train; every measurement has it as it was loaded."""
    config = study_config(Path(), out=str(tmp_path))
    made, given = Study(replace(config, pretrained="", rl=replace(RL, reference_dtype="bfloat16"))), []
    monkeypatch.setattr(start, "load_start", lambda *_: {"w": jnp.full(3, 0.1)})
    monkeypatch.setattr(arms, "check_rows", lambda *_: None)
    monkeypatch.setattr(arms, "Curve", lambda *_: None)
    monkeypatch.setattr(arms, "train_arm", lambda *args: given.append(args[5]["w"]) or {"done": jnp.zeros(1)})
    made.model, made.tokenizer, made.scorer, made.engine = Decoder(ModelSpec(), 40), SimpleNamespace(stops=(5,)), None, None
    made._load_start()
    made.train_arms()
    assert [frozen.dtype for frozen in given] == [jnp.dtype("bfloat16")] * 2
    assert made.start["w"].dtype == jnp.float32 and (made.start["w"] == jnp.float32(0.1)).all()


def test_a_study_depends_on_the_checkpoint_s_files(checkpoint, tmp_path):
    config = study_config(checkpoint, out=str(tmp_path))
    before = Study(config)._inputs
    assert ("tokenizer.model", (checkpoint / "tokenizer.model").stat().st_size) in before[-1]
    assert Study(replace(config, pretrained=""))._inputs != before


@contextmanager
def missing(file: Path):
    file.rename(file.with_suffix(".away"))
    yield
    file.with_suffix(".away").rename(file)


def test_a_wrong_folder_is_an_error_before_any_work(checkpoint, tmp_path):
    wrong = partial(study_config, out=str(tmp_path / "out"))
    with pytest.raises(UserError, match="config.json: no such file"):
        Study(wrong(tmp_path / "nowhere")).train()
    with missing(checkpoint / "tokenizer.model"), pytest.raises(UserError, match="no tokenizer there"):
        Study(replace(wrong(checkpoint), name="two")).train()
    with missing(checkpoint / "model.safetensors"), pytest.raises(UserError, match="holds neither model.safetensors"):
        Study(replace(wrong(checkpoint), name="three")).train()
