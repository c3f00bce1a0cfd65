"""`traitrl eval --checkpoint`: any published checkpoint is measured without a study or training."""

import json
from functools import partial
from pathlib import Path

import jax
import pytest

from tests.text.checkpoints import write_sentencepiece
from traitrl_jax.cli import main
from traitrl_jax.config import checkpoint_config
from traitrl_jax.evals.suite import evals
from traitrl_jax.models.families import read_spec
from traitrl_jax.models.lm import init_params
from traitrl_jax.models.pretrained import export
from traitrl_jax.models.transformer import Decoder

GEMMA = Path(__file__).parents[1] / "oracles" / "models" / "gemma" / "config.json"


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> Path:
    """A tiny random Gemma, as published ones lie in their folders."""
    place = tmp_path_factory.mktemp("made")
    (place / "config.json").write_text(json.dumps(json.loads(GEMMA.read_text()) | {"vocab_size": 384}))
    write_sentencepiece(place / "tokenizer.model")
    spec, vocabulary = read_spec(place)
    params = jax.jit(partial(init_params, Decoder(spec, vocabulary)))(jax.random.key(0))
    export(place / "tiny-gemma", spec, vocabulary, params, place)
    return place / "tiny-gemma"


def test_it_is_measured_by_all_evals(checkpoint):
    config = checkpoint_config(str(checkpoint), ["evals.per_family=3"])
    assert (config.name, config.evals.per_family) == ("tiny-gemma", 3)
    assert sum(each.counted for each in evals(config.world.families)) == 53


@pytest.mark.slow
def test_suite_and_public_benchmarks(checkpoint, tmp_path, capsys):
    sizes = ("evals.per_family=2", "evals.per_cell=1", "evals.per_task=1", "world.families=lettered_choice,tool_table")
    common = ["eval", "--checkpoint", str(checkpoint), "--set", f"out={tmp_path}"]
    assert main([*common, *(word for size in sizes for word in ("--set", size))]) == 0
    shown = capsys.readouterr().out
    assert shown.split()[0] == "start" and "lettered_choice" in shown and "two_audiences" not in shown
    public = Path(__file__).parents[1] / "evals" / "public" / "fixtures" / "bbh"
    assert main([*common, "--suite", "public", "--benchmarks", str(public), "--limit", "1"]) == 0
    assert "bbh.causal" in capsys.readouterr().out
    assert not (tmp_path / "tiny-gemma" / "start" / "model").exists(), "nothing is trained or copied"


def test_a_folder_without_a_checkpoint(tmp_path, capsys):
    assert main(["eval", "--checkpoint", str(tmp_path)]) == 2
    assert "holds no config.json" in capsys.readouterr().err
    assert main(["eval", "--checkpoint", str(tmp_path), "--config", "mine.py"]) == 2
    assert "give one" in capsys.readouterr().err


def test_the_head_of_a_checkpoint_is_not_fitted(checkpoint, tmp_path, capsys):
    public = Path(__file__).parents[1] / "evals" / "public" / "fixtures" / "bbh"
    asked = ["--suite", "public", "--benchmarks", str(public), "--judge", "head", "--set", f"out={tmp_path}"]
    assert main(["eval", "--checkpoint", str(checkpoint), *asked]) == 2
    assert "not fitted yet" in capsys.readouterr().err
