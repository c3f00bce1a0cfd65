"""What every bench says of itself, and where it says it."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax

from traitrl_jax.runtime.files import machine, versions, write_text_atomic
from traitrl_jax.study.bench.setup import Setup


def facts(setup: Setup) -> dict[str, Any]:
    """Machine, versions and shapes as plain values."""
    return {
        "machine": machine(),
        "device": f"{jax.device_count()} x {jax.devices()[0].device_kind}",
        "versions": versions(),
        "model": dataclasses.asdict(setup.model) | {"vocabulary": setup.vocabulary},
        "adapt": setup.rl.adapt,
        "buckets": [dataclasses.asdict(b) for b in setup.rl.buckets],
    }


def header(found: dict[str, Any]) -> list[str]:
    """Machine, model and buckets, a line each."""
    m, where, packages = found["model"], found["machine"], found["versions"]
    buckets = ", ".join(f"{b['rows']} x ({b['prompt']} + {b['reply']})" for b in found["buckets"])
    return [
        f"{where['cpu']}, {where['cores']} cores; jax {packages.get('jax', '?')} on {found['device']}, {m['dtype']}",
        f"{m['layers']} layers, width {m['width']}, {m['heads']} heads of {m['head_dim']}, mlp {m['mlp']}, "
        f"vocabulary {m['vocabulary']}",
        f"rows x (prompt + reply): {buckets}; adapt {found['adapt']}",
    ]


def said(found: dict[str, Any], table: Callable[[dict[str, Any]], str], to: str | None) -> str:
    """The table; JSON where `to` is "-", or beside it in the file `to`."""
    text = json.dumps(found, indent=1)
    if to == "-":
        return text
    if to:
        write_text_atomic(Path(to), text + "\n")
    return table(found)
