"""The study's report: one HTML file drawn from results.json alone."""

from pathlib import Path

from traitrl_jax.config import UserError
from traitrl_jax.runtime.files import path_of, read_json, write_text_atomic
from traitrl_jax.study.report.page import render

__all__ = ["render", "write_report"]


def write_report(folder: Path) -> Path:
    """Draw folder/results.json into folder/report.html, which is replaced in one step, and return its path.

    Raises UserError when results.json is missing or is no JSON object, or when the report can not be written.
    """
    source, target = path_of(folder) / "results.json", path_of(folder) / "report.html"
    results = read_json(source)
    if not isinstance(results, dict):
        raise UserError(f"{source}: holds a {type(results).__name__}, expected an object; delete it and run the study again")
    write_text_atomic(target, render(results))
    return target
