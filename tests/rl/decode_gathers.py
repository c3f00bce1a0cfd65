"""What the decoding loop gathers on meshes of 8 virtual devices, as JSON: run by test_mesh.py in a process of its own.

Argument: a JSON list of [data, fsdp, tensor]. For every mesh: all-gathers per token, bytes of the largest, how many gather what
the loop does not change, all-gathers in the whole program, and bytes of the smallest matrix on a device that holds it whole.
"""

import json
import sys
from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
from mesh_steps import RL, SPEC, VOCABULARY

from traitrl_jax.config import MeshConfig
from traitrl_jax.models.lm import init_params
from traitrl_jax.models.sampling import row_keys
from traitrl_jax.models.transformer import Decoder
from traitrl_jax.rl.loop import compile_programs
from traitrl_jax.runtime.compile import hlo
from traitrl_jax.runtime.mesh import make_mesh, placed_shapes, use_mesh

ROWS, PROMPT, REPLY = 8, 8, 6


def read(axes: tuple[int, int, int]) -> list[int]:
    model = Decoder(replace(SPEC, scan=True), VOCABULARY)
    with use_mesh(make_mesh(MeshConfig(*axes), [ROWS])):
        params = placed_shapes(partial(init_params, model), jax.random.key(0))
        tokens = jnp.zeros((ROWS, PROMPT), jnp.int32)
        keys = row_keys(jax.random.key(0), jnp.arange(ROWS))
        program = compile_programs(model, RL, (5,)).sample
        text = program.lower(params, params, tokens, tokens == 0, keys, REPLY).compile().as_text()
    module = hlo.parse(text)
    everywhere = hlo.collectives(module).get("all-gather", hlo.Collective(0, 0, 0)).count
    tensor = axes[2]
    smallest = min(leaf.size * leaf.dtype.itemsize // tensor for leaf in jax.tree.leaves(params) if leaf.ndim > 1)
    return [*hlo.loop_gathers(module, "decode_step"), everywhere, smallest]


if __name__ == "__main__":
    print(json.dumps([read(tuple(axes)) for axes in json.loads(sys.argv[1])]))
