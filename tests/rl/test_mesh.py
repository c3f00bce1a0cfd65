"""The same study step on other meshes: rollout, grading and update on 8 virtual devices equal one device."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from traitrl_jax.config import MeshConfig, UserError
from traitrl_jax.runtime.mesh import choose_axes

HERE = Path(__file__).parent
MESHES = ([1, 1, 1], [8, 1, 1], [1, 8, 1], [2, 2, 2])


def on_eight_devices(script: str, *arguments) -> list:
    """What a script of this folder prints as JSON."""
    environment = {
        **os.environ,
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": "--xla_force_host_platform_device_count=8 --xla_backend_optimization_level=0",
    }
    argv = [sys.executable, str(HERE / script), *map(json.dumps, arguments)]
    made = subprocess.run(argv, capture_output=True, text=True, env=environment, timeout=900)
    assert made.returncode == 0, made.stderr[-3000:]
    assert "Involuntary full rematerialization" not in made.stderr, "an activation constraint is missing"
    return json.loads(made.stdout)


def steps(meshes, **options) -> list[dict]:
    return on_eight_devices("mesh_steps.py", [meshes, options])


def same(one: dict, other: dict) -> None:
    assert other["tokens"] == one["tokens"]
    np.testing.assert_allclose(other["scores"][0], one["scores"][0], atol=1e-5)
    for a, b in zip(one["steps"], other["steps"], strict=True):
        assert a["policy_loss"] != 0 and np.isfinite(list(a.values())).all()
        for name in a:
            assert b[name] == pytest.approx(a[name], abs=1e-5, rel=1e-4), name
    np.testing.assert_allclose(other["params"], one["params"], rtol=1e-5)


@pytest.mark.slow
def test_meshes_equal_one_device():
    one, *others = steps(MESHES)
    assert one["share"] == 1
    for axes, other in zip(MESHES[1:], others, strict=True):
        same(one, other)
        split = axes[1] * axes[2]
        assert other["share"] == pytest.approx(1 / split, rel=0.3), "parameters and moments lie split over fsdp and tensor"


@pytest.mark.slow
@pytest.mark.parametrize("options", [{"adapt": "lora"}, {"accumulate": 2, "minibatches": 2}], ids=["lora", "accumulate"])
def test_other_updates_on_a_mesh(options):
    one, other = steps([[1, 1, 1], [1, 2, 2]], **options)
    same(one, other)


@pytest.mark.slow
def test_decoding_gathers_no_weights():
    """The compiled loop of a token holds no all-gather of what it does not change, and none as large as a matrix; the program
    gathers all matrices before it."""
    meshes = [[1, 8, 1], [1, 4, 2], [2, 2, 2]]
    for axes, (_, largest, constant, everywhere, smallest) in zip(
        meshes, on_eight_devices("decode_gathers.py", meshes), strict=True
    ):
        assert constant == 0 and largest < smallest, axes
        assert everywhere > 0, "the search finds the gathers before the loop"


@pytest.mark.parametrize(
    ("config", "devices", "rows", "axes"),
    [
        (MeshConfig(), 1, (114, 6), (1, 1, 1)),
        (MeshConfig(), 8, (64, 8), (1, 8, 1)),
        (MeshConfig(), 8, (114, 6), (1, 2, 4)),
        (MeshConfig(data=2), 8, (64, 8), (2, 4, 1)),
        (MeshConfig(tensor=2), 8, (64, 8), (1, 4, 2)),
        (MeshConfig(fsdp=2), 8, (64, 8), (1, 2, 4)),
        (MeshConfig(data=2, tensor=2), 8, (8,), (2, 2, 2)),
        (MeshConfig(4, 1, 2), 8, (8,), (4, 1, 2)),
        (MeshConfig(data=2), 8, (6,), (2, 1, 4)),
    ],
)
def test_the_choice_of_a_mesh(config, devices, rows, axes):
    assert choose_axes(config, devices, rows) == axes


@pytest.mark.parametrize(
    ("config", "rows", "message"),
    [
        (MeshConfig(fsdp=3), (6,), r"mesh data=\? x fsdp=3 x tensor=\? does not fit 8 devices: the axes must multiply to 8"),
        (MeshConfig(2, 2, 4), (8,), "mesh data=2 x fsdp=2 x tensor=4 does not fit 8 devices"),
        (MeshConfig(1, 2, 2), (8,), "does not fit 8 devices"),
        (MeshConfig(fsdp=8), (12,), "12 rows of a batch can not be split over data x fsdp = 8; change rows or mesh"),
    ],
)
def test_a_mesh_that_does_not_fit(config, rows, message):
    with pytest.raises(UserError, match=message):
        choose_axes(config, 8, rows)
