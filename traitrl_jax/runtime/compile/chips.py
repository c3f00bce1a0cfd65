"""TPU chips and slices: what a chip can do, and the devices of a slice that is not there.

Sources: Google Cloud's TPU system architecture pages (v4, v5e, v5p, v6e) for memory, peak and bandwidth; the ring's rate is
that of both directions of one axis of the torus, 2 links (How to Scale Your Model, ch. 1).
"""

import importlib.util
import os
import re
from typing import Any, NamedTuple

from traitrl_jax.config import UserError, unknown


class Chip(NamedTuple):
    """Per chip. Bandwidths in bytes a second."""

    name: str
    memory: int  # bytes of HBM
    flops: float  # peak in bfloat16, a second
    hbm: float
    ring: float  # of a ring over one axis of the slice
    cores: int  # TensorCores, which older names of slices count: v5p-64 has 32 chips


CHIPS = {
    "v4": Chip("v4", 32 << 30, 275e12, 1.228e12, 0.9e11, 2),
    "v5e": Chip("v5e", 16 << 30, 197e12, 0.819e12, 0.9e11, 1),
    "v5p": Chip("v5p", 95 << 30, 459e12, 2.765e12, 1.8e11, 2),
    "v6e": Chip("v6e", 32 << 30, 918e12, 1.64e12, 1.8e11, 1),
}
_QUIET = {  # libtpu otherwise asks a metadata server that answers on TPU machines only
    "TPU_SKIP_MDS_QUERY": "1",
    "TPU_ACCELERATOR_TYPE": "v5litepod-8",
    "TPU_WORKER_HOSTNAMES": "localhost",
    "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",  # no chip is opened, so nobody needs to be kept out
    "TF_CPP_MIN_LOG_LEVEL": "2",
}


def open_slice(topology: str) -> tuple[Chip, list[Any]]:
    """(chip, devices) of a slice such as v5e:2x4 or v5p:2x4x4. The devices hold nothing and run nothing: programs are compiled
    for them.

    Raises UserError for a name that is none, and where libtpu is not installed.
    """
    kind, colon, shape = topology.partition(":")
    if kind not in CHIPS:
        raise unknown("TPU in --topology", kind, CHIPS)
    if not colon or not re.fullmatch(r"\d+(x\d+){1,2}", shape):
        raise UserError(f"--topology {topology!r}: write chip and shape, such as v5e:2x4, v5e:8x8 or v5p:2x4x4")
    if importlib.util.find_spec("libtpu") is None:
        raise UserError('libtpu, the TPU compiler, is not installed: pip install -e ".[tpu]" (no TPU is needed)')
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    from jax.experimental import topologies  # its libtpu reads the environment

    sizes = tuple(map(int, shape.split("x")))
    options = {"chips_per_host_bounds": (1, 1, 1)} if set(sizes) == {1} else {}
    try:
        found = topologies.get_topology_desc(platform="tpu", topology_name=topology, **options)
    except Exception as error:  # whatever libtpu raises
        reason = str(error).splitlines()[0]
        raise UserError(f"--topology {topology!r}: libtpu has no such slice ({reason}); v5e has 2x2 to 16x16") from None
    return CHIPS[kind], list(found.devices)
