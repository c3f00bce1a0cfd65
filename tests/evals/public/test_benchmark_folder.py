"""All published files that are at hand, read and scored by a tiny model. They are read where they lie and never copied.

The folder is named by TRAITRL_BENCHMARKS; by default it is ../shared/benchmarks beside the repository.
"""

import json
import os
from pathlib import Path

import jax
import pytest

from traitrl_jax.config import ModelSpec
from traitrl_jax.evals.engine import Engine
from traitrl_jax.evals.public import BENCHMARKS
from traitrl_jax.evals.public.files import Faults
from traitrl_jax.evals.public.jobs import find_jobs
from traitrl_jax.evals.public.runner import Settings, read_items
from traitrl_jax.models.lm import init_params
from traitrl_jax.models.transformer import Decoder
from traitrl_jax.study.public import run_jobs
from traitrl_jax.text.tokenizer import train_tokenizer

FIXTURES = Path(__file__).parent / "fixtures"
BESIDE = Path(__file__).parents[4] / "shared" / "benchmarks"
FOLDER = Path(os.environ.get("TRAITRL_BENCHMARKS", BESIDE))
needs_files = pytest.mark.skipif(
    not FOLDER.is_dir(), reason=f"no benchmark files at {FOLDER}; name their folder by TRAITRL_BENCHMARKS"
)
UNSCORED = {
    "goodness_few_shot",
    "goodness_hand_written",
    "manifest",
}  # of the reference folder: nothing to score, by their reasons


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    """An untrained model of one layer, and its parameters."""
    lines = ["the answer is yes or no because they ask what (A) (B) (C) is and say which"] * 50
    tokenizer = train_tokenizer(lines, 330, tmp_path_factory.mktemp("tokenizer") / "tokenizer.model")
    model = Decoder(ModelSpec(width=16, layers=1, heads=2, head_dim=8, mlp=16), tokenizer.size)
    return Engine(model, tokenizer, 4, 0.7, (256, 1024)), (init_params(model, jax.random.key(0)), None)


def half(questions):
    return [0.5] * len(questions)


@pytest.mark.parametrize("folder", [FIXTURES, pytest.param(FOLDER, marks=needs_files)], ids=["fixtures", "published"])
def test_every_file_is_read_and_scored_by_a_tiny_model(folder, engine, tmp_path, capsys):
    jobs = find_jobs(folder)
    settings = Settings(limit=1, max_new=4, run_code=True, judge=half, judge_name="half")
    results = run_jobs(*engine, jobs, settings, tmp_path, "untrained")
    assert len(results) == len(jobs) == len(list(tmp_path.glob("*/result.json")))
    for result in results:
        if result["scored"]:
            assert result["score"] is not None and -0.001 <= result["score"] <= 1.001, result
        else:
            assert result["score"] is None and result["reason"], result
        assert result["protocol"] and result["subject"] == "untrained"
    written = json.loads((tmp_path / "results.json").read_text())["benchmarks"]
    assert written == json.loads(json.dumps(results))
    assert capsys.readouterr().err.count("\n") == len(jobs)


@needs_files
def test_every_record_of_the_published_files_is_read():
    jobs = find_jobs(FOLDER)
    assert {job.name for job in jobs if job.benchmark is None} <= UNSCORED
    for job in jobs:
        if job.benchmark is not None:
            faults = Faults()
            assert read_items(job.benchmark, job, faults), job.name
            assert not faults.malformed, (job.name, faults.first)


def test_cards_say_what_a_score_is():
    assert len({each.name for each in BENCHMARKS}) == len(BENCHMARKS)
    for each in BENCHMARKS:
        assert all((each.family, each.rule, each.means, each.source)), each.name
        assert (each.questions is not None) == (each.kind == "judge"), each.name
        assert (each.programs is not None) == (each.kind == "code"), each.name
