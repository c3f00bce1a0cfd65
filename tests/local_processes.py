"""Commands as several real processes on this machine's CPU."""

import os
import socket
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[1]
PATIENCE = 1500  # seconds, for a machine that is busy with other things


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("localhost", 0))
        return found.getsockname()[1]


def start_processes(argv: list[str], count: int, devices: int = 1, **more: str) -> list[subprocess.Popen]:
    """The same command `count` times with so many virtual devices each, as one group; `more`: environment variables."""
    environment = {
        **os.environ,
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": f"--xla_force_host_platform_device_count={devices} --xla_backend_optimization_level=0",
        **more,
    }
    if count > 1:
        environment |= {"JAX_COORDINATOR_ADDRESS": f"localhost:{free_port()}", "JAX_NUM_PROCESSES": str(count)}
    options = {"cwd": ROOT, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    numbered = [environment | ({"JAX_PROCESS_ID": str(i)} if count > 1 else {}) for i in range(count)]
    return [subprocess.Popen(argv, env=each, **options) for each in numbered]


def finish(started: list[subprocess.Popen]) -> tuple[list[int], list[str], list[str]]:
    """Exit codes, outputs and errors of all."""
    try:
        told = [process.communicate(timeout=PATIENCE) for process in started]
    finally:
        for process in started:
            process.kill()
            process.wait()
    return [process.returncode for process in started], [out for out, _ in told], [err for _, err in told]
