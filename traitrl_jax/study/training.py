"""The loop that the supervised stages share: continue, log, show progress, save, stop."""

from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np

from traitrl_jax.config import UserError
from traitrl_jax.models.lm import LMState
from traitrl_jax.runtime.checkpoint import Checkpoints, Stopped, StopSignal

Advance = Callable[[LMState, int], tuple[LMState, dict[str, jax.Array], int]]


def train(
    what: str,
    steps: int,
    state: LMState,
    advance: Advance,
    folder: Path,
    tracker_of,
    progress_of,
    log_every: int,
    save_every: int,
) -> LMState:
    """From the newest checkpoint in `folder`, or from `state`, to `steps`. `advance(state, step)` returns the new state, its
    metrics (with "loss") and the tokens it read.

    Raises Stopped after SIGTERM, with a checkpoint saved, and UserError if the loss is not finite.
    """
    with Checkpoints(folder / "checkpoints") as checkpoints, StopSignal() as stop:
        first = checkpoints.latest() or 0
        if first:
            state, _ = checkpoints.restore(first, state)
        with tracker_of(folder, first) as tracker, progress_of(steps) as progress:
            tokens = 0
            for step in range(first, steps):
                state, metrics, count = advance(state, step)
                tokens, done = tokens + count, step + 1
                if done % log_every == 0 or done == steps:
                    values = {name: float(value) for name, value in metrics.items()}
                    if not np.isfinite(values["loss"]):
                        raise UserError(f"{what}, step {done}: the loss is {values['loss']}; lower its learning rate")
                    tracker.log(done, values)
                    progress.update(done, {name: values[name] for name in ("loss", "accuracy") if name in values}, tokens)
                    tokens = 0
                stopping = stop.agreed()
                if done % save_every == 0 or done == steps or stopping:
                    checkpoints.save(done, state, {"step": done})
                if stopping:
                    checkpoints.wait()
                    raise Stopped(f"stopped at step {done} of {steps} of the {what}; the same command continues")
    return state
