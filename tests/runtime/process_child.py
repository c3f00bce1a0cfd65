"""One process of several, run by test_processes.py: python process_child.py SCENARIO FOLDER.

It goes through the command's own `main`, so what is tested is also how processes leave.
"""

import json
import sys
import time
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from traitrl_jax import cli
from traitrl_jax.config import ArmConfig, MeshConfig, StudyConfig, TrackConfig, UserError
from traitrl_jax.models.lm import LMState
from traitrl_jax.runtime import processes
from traitrl_jax.runtime.checkpoint import load_params, save_params
from traitrl_jax.runtime.files import folder_lock, write_json_atomic
from traitrl_jax.runtime.mesh import create, feed_rows, make_mesh, placed_shapes, to_host, use_mesh
from traitrl_jax.runtime.tracking import Progress, Stages, Tracker
from traitrl_jax.study.folder import Folder
from traitrl_jax.study.training import train

STEPS, ROWS = 10, 8


def begin(key: jax.Array) -> LMState:
    return LMState({"embedding": jax.random.normal(key, (6, 4))}, {"embedding": jnp.zeros((6, 4))}, jnp.zeros((), jnp.int32))


@jax.jit
def step(state: LMState, rows: jax.Array) -> tuple[LMState, dict[str, jax.Array], jax.Array]:
    """Least squares with momentum; also what every row predicts, which lies split over the devices."""
    read = rows[:, :6] @ state.params["embedding"]
    gradient = jax.tree.map(lambda _: rows[:, :6].T @ (read - rows[:, 6:]) / ROWS, state.params)
    momentum = jax.tree.map(lambda m, g: 0.9 * m + g, state.optimizer, gradient)
    params = jax.tree.map(lambda p, m: p - 0.05 * m, state.params, momentum)
    return LMState(params, momentum, state.step + 1), {"loss": jnp.mean((read - rows[:, 6:]) ** 2)}, read.sum(axis=1)


def study(root: Path, seconds: float) -> None:
    """A training stage and a model, in a folder with a lock; `seconds` a step."""
    config = StudyConfig("tiny", (ArmConfig("a"),), out=str(root), track=TrackConfig(mode="disabled"))
    folder = Folder(config, Stages(2))

    def advance(state: LMState, number: int):
        time.sleep(seconds)
        rows = np.random.default_rng([7, number]).normal(size=(ROWS, 10)).astype(np.float32)
        state, metrics, read = step(state, feed_rows(rows))
        assert to_host(read).shape == (ROWS,)
        return state, metrics, ROWS

    def tracker_of(place: Path, first: int) -> Tracker:
        return Tracker(place, config.track, "tiny", resume_step=first or None)

    folder.root.mkdir(parents=True, exist_ok=True)
    processes.check_shared(folder.root)
    with processes.held_by_first(folder_lock(folder.root)), use_mesh(make_mesh(MeshConfig(), [ROWS])):
        with folder.stage("start") as place:
            if place:
                state = create(begin, jax.random.key(0))
                state = train("tiny model", STEPS, state, advance, place, tracker_of, partial(Progress, name="tiny"), 1, 4)
                save_params(place / "model", state.params)
        loaded = load_params(folder / "start" / "model", placed_shapes(begin, jax.random.key(0)).params)
        with folder.stage("measured") as place:
            if place:
                write_json_atomic(place / "params.json", to_host(loaded)["embedding"])
    if processes.is_first():
        print(json.dumps({"processes": processes.count(), "devices": jax.device_count()}))


def refuse() -> None:
    raise UserError("process 0 can not")


def run(scenario: str, root: Path) -> int:
    processes.join()
    index = jax.process_index()
    if scenario == "study":
        study(root, 0.0)
    elif scenario == "slow study":
        study(root, 0.4)
    elif scenario == "values":
        assert processes.from_first("a value", lambda: {"from": jax.process_index(), "nan": [1.5, None]})["from"] == 0
        assert [processes.any_process(flag) for flag in (False, index == 1, True)] == [False, True, True]
    elif scenario == "first refuses":
        processes.from_first("a refusal", refuse)
    elif scenario == "one fails" and index == 1:
        raise UserError("process 1 can not")
    elif scenario == "one crashes" and index == 1:
        raise ZeroDivisionError("process 1 is broken")
    elif scenario.startswith("one "):
        processes.from_first("nothing that ever comes", time.sleep, 600)
    elif scenario == "not shared":
        processes.check_shared(root / str(index))
    return 0


if __name__ == "__main__":
    cli.run = lambda _: run(sys.argv[1], Path(sys.argv[2]))
    sys.exit(cli.main([]))
