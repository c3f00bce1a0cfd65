"""What is measured: a model's shape, PPO's buckets and a mesh, from a config and the command's options.

Models are random, of a published size by name or of the config's own shape; prompts, replies and criteria are random too: no
value of theirs changes the work. Nothing is read or written.
"""

import dataclasses
import math
import re
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from traitrl_jax.config import Bucket, MeshConfig, ModelSpec, RLConfig, StudyConfig, UserError, unknown
from traitrl_jax.models import lm
from traitrl_jax.models.families import PUBLISHED, read_spec
from traitrl_jax.models.transformer import Decoder
from traitrl_jax.reward.head import Criteria
from traitrl_jax.reward.scorer import LINE_TOKENS
from traitrl_jax.runtime.mesh import create
from traitrl_jax.study.check import check_parts
from traitrl_jax.text.tokenizer import Tokenizer

TINY = "tiny"  # the config's own shape, by name
_TINY_VOCABULARY = 1_800


class Setup(NamedTuple):
    """What is measured."""

    model: ModelSpec
    vocabulary: int
    rl: RLConfig
    graded: int  # rows a step that the rubric head grades; it reads whole buckets, from the last; other rows' scores are drawn
    mesh: MeshConfig = MeshConfig()


def shape_of(config: StudyConfig, name: str = "") -> tuple[ModelSpec, int]:
    """(spec, vocabulary) of a published model by name, of "tiny", or, without a name, of the config. Of the config's `model`, a
    published one has dtype and remat, as in a study. Raises UserError for an unknown name."""
    if name not in ("", TINY, *PUBLISHED):
        raise unknown("model", name, (TINY, *PUBLISHED))
    if name in PUBLISHED:
        spec, vocabulary = PUBLISHED[name].spec, PUBLISHED[name].vocabulary
    elif config.pretrained and not name:
        spec, vocabulary = read_spec(Path(config.pretrained))
    else:
        return config.model, _TINY_VOCABULARY
    return dataclasses.replace(spec, dtype=config.model.dtype, remat=config.model.remat), vocabulary


def quick_setup(config: StudyConfig, model: str = "", buckets: tuple[Bucket, ...] = ()) -> Setup:
    """The shapes of a study's own step, in the arm with the largest dose; `model` and `buckets` replace the config's."""
    rl = dataclasses.replace(config.rl, buckets=buckets) if buckets else config.rl
    check_parts(rl)
    rows = sum(b.rows for b in rl.buckets)
    dose = max((arm.dose for arm in config.arms if arm.reward != "standard"), default=0.0)
    return Setup(*shape_of(config, model), rl, math.ceil(dose * rows - 1e-9), config.mesh)


def peer_setup(config: StudyConfig, model: str = "", buckets: tuple[Bucket, ...] = ()) -> Setup:
    """A fixed step that other PPO programs can be timed at: 128 rows, prompt 16, reply 28, two epochs of the whole
    batch, a value network of its own, no grader model, plain attention. Raises UserError for other shapes."""
    if model or buckets:
        raise UserError("the preset peer has fixed shapes; leave out --model and --bucket, or the preset")
    spec = ModelSpec(width=96, layers=3, heads=3, head_dim=32, mlp=384, tied=False, copying=False)
    return Setup(spec, 1_024, RLConfig(buckets=(Bucket(128, 16, 28),), epochs=2, minibatches=1), 0, config.mesh)


PRESETS = {"quick": quick_setup, "peer": peer_setup}


def parse_bucket(text: str) -> Bucket:
    """ "4x96+32" is 4 rows of 96 prompt and 32 reply tokens. Raises UserError."""
    found = re.fullmatch(r"(\d+)x(\d+)\+(\d+)", text)
    if not found or min(map(int, found.groups())) < 1:
        raise UserError(f"--bucket {text!r}: write it as ROWSxPROMPT+REPLY in tokens, for example 4x96+32")
    return Bucket(*map(int, found.groups()))


def parse_mesh(text: str, mesh: MeshConfig) -> MeshConfig:
    """ "data=2,fsdp=4" changes these axes of `mesh`. Raises UserError."""
    axes = [field.name for field in dataclasses.fields(MeshConfig)]
    for part in filter(None, text.split(",")):
        axis, _, size = part.partition("=")
        if axis not in axes:
            raise unknown("axis of --mesh", axis, axes)
        if not size.isdecimal():
            raise UserError(f"--mesh {text!r}: {axis}={size!r} is no number of devices; write it as data=1,fsdp=8,tensor=1")
        mesh = dataclasses.replace(mesh, **{axis: int(size)})
    return mesh


def graded_buckets(setup: Setup) -> list[bool]:
    """Which buckets the head reads: graded rows have the longest prompts, which fill the last bucket first."""
    sizes = [b.rows for b in setup.rl.buckets]
    return [sum(sizes[i + 1 :]) < setup.graded for i in range(len(sizes))]


def random_params(model: Decoder) -> Any:
    """Random parameters, born in their place on the mesh."""
    return create(jax.jit(partial(lm.init_params, model)), jax.random.key(0))


def random_ids(rng: np.random.Generator, vocabulary: int, *shape: int) -> np.ndarray:
    """Ids of text."""
    return rng.integers(Tokenizer.first_text_id, vocabulary, shape, dtype=np.int32)


def random_criteria(rng: np.random.Generator, vocabulary: int, rows: int, lines: int) -> Criteria:
    """Rubrics of so many lines, each of the length a study gives it."""
    tokens = random_ids(rng, vocabulary, rows, lines, LINE_TOKENS)
    return Criteria(tokens, np.ones(tokens.shape, bool), np.ones((rows, lines), np.float32), np.ones((rows, lines), bool))
