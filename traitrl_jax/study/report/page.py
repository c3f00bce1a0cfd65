"""The page: one HTML file that needs no network, holds its style and its few lines of script, and lets no other script run."""

import base64
import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from traitrl_jax.study.report.attacks import ladder, persona_attack
from traitrl_jax.study.report.headline import headline
from traitrl_jax.study.report.outcome import capability, forest, in_distribution
from traitrl_jax.study.report.parts import View, esc, prune, view
from traitrl_jax.study.report.process import curves, grader, proxy_gold, start_model
from traitrl_jax.study.report.record import conditions, summary, transcripts
from traitrl_jax.study.report.words import SECTIONS

_HERE = Path(__file__).parent
DRAW: dict[str, Callable[[Mapping[str, Any], View], str]] = {
    "in-distribution": in_distribution,
    "evals": forest,
    "curves": curves,
    "proxy": proxy_gold,
    "start": start_model,
    "persona-attack": persona_attack,
    "ladder": ladder,
    "capability": capability,
    "grader": grader,
    "conditions": conditions,
    "transcripts": transcripts,
}
# Hatching has to be a pattern with an id, once a page.
_HATCH = (
    '<svg width="0" height="0" class="defs" aria-hidden="true"><defs><pattern id="hatch" width="6" height="6" '
    'patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
    '<rect class="hatch" width="2" height="6"/></pattern></defs></svg>'
)


def render(results: Mapping[str, Any]) -> str:
    """The report of a study as one HTML document; parts that the results lack are left out or said to be missing."""
    style, script = ((_HERE / name).read_text(encoding="utf-8") for name in ("style.css", "filter.js"))
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    results = prune(results)
    who = view(results)
    links = "".join(f'<a href="#{anchor}">{esc(SECTIONS[anchor].nav)}</a>' for anchor in DRAW)
    body = "".join(draw(results, who) for draw in DRAW.values())
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light dark">'
        f"<title>{esc(results.get('study') or 'study')}: TraitRL report</title><style>{style}</style></head><body>{_HATCH}"
        f'<nav aria-label="Sections">{links}</nav><main>{headline(results, who)}{body}</main>'
        f"<footer>{summary(results)}</footer><script>{script}</script></body></html>\n"
    )
