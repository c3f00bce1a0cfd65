"""One process of several that train one arm by PPO on the smallest study's stream: python process_child.py FOLDER.

Start model and rubric head are random: what is asked is whether the numbers and the stream are alike, not what is learned.
"""

import sys
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp

from traitrl_jax import cli
from traitrl_jax.config import load_config
from traitrl_jax.models.lm import init_params
from traitrl_jax.models.transformer import Decoder
from traitrl_jax.reward.head import init_head
from traitrl_jax.reward.scorer import Scorer
from traitrl_jax.rl.loop import compile_programs
from traitrl_jax.runtime import processes
from traitrl_jax.runtime.mesh import create, make_mesh, use_mesh
from traitrl_jax.runtime.tracking import Progress, Stages, Tracker
from traitrl_jax.study import arms, start
from traitrl_jax.study.folder import Folder
from traitrl_jax.text.tokenizer import load_tokenizer

SETS = ("tokenizer.conversations=100", "rl.steps=5", "rl.eval_every=9", "checkpoint_every=2", "rl.value_warmup=0")


def run(root: Path) -> int:
    processes.join()
    config = load_config("configs/smoke.py", [*SETS, f"out={root}"])
    folder = Folder(config, Stages(2))
    with folder.stage("tokenizer") as place:
        if place:
            processes.from_first("the tokenizer", start.make_tokenizer, config, place)
    tokenizer = load_tokenizer(folder / "tokenizer" / "tokenizer.model")
    model = Decoder(config.model, tokenizer.size)
    with use_mesh(make_mesh(config.mesh, [bucket.rows for bucket in config.rl.buckets])):
        frozen = create(partial(init_params, model), jax.random.key(0))
        head = create(lambda trunk: init_head(trunk, model.spec.width) | {"weight": trunk["embedding"][7]}, frozen)
        scorer = Scorer(model, head, tokenizer)

        def score(rows, prompt, valid, replies):
            """The scorer's figures and a reward that a random model gets, too: some wave of the tokens it wrote."""
            scores = scorer(rows, prompt, valid, replies)
            return scores._replace(reward=scores.reward + jnp.cos(replies.tokens.sum(axis=1) / 7.0))

        programs = compile_programs(model, config.rl, tokenizer.stops)
        with folder.stage("arm") as place:
            if place:
                arms.train_arm(
                    config, config.arms[1], 0, model, programs, frozen, tokenizer, score, lambda policy: {}, place,
                    lambda place, first: Tracker(place, config.track, "arm", resume_step=first or None),
                    partial(Progress, name="arm", show=("reward",), every=0.0),
                )  # fmt: skip
    return 0


if __name__ == "__main__":
    cli.run = lambda _: run(Path(sys.argv[1]))
    sys.exit(cli.main([]))
