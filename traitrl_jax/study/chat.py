"""Talking to a model of a study in the terminal. What is typed is text and nothing else: it can not hold a control token."""

import os
import sys
from typing import TextIO

from traitrl_jax.config import UserError
from traitrl_jax.evals.engine import Engine, Policy
from traitrl_jax.evals.runner import SCENARIO_TOKENS
from traitrl_jax.text.chat import Message
from traitrl_jax.text.terminal import harmless

HELP = "/reset forgets the conversation, /quit or Ctrl-D ends it"
_DIM, _PLAIN = "\x1b[2m", "\x1b[0m"


def chat(engine: Engine, policy: Policy, system: str = "", lines: TextIO | None = None, out: TextIO | None = None) -> None:
    """Read a line, answer it with the conversation so far, until /quit or the end of `lines`. The n-th answer has seed n."""
    lines, out = lines or sys.stdin, out or sys.stdout
    live = lines.isatty() and out.isatty()
    start = (Message("system", system),) if system else ()
    messages, answers = start, 0
    if live:
        import readline  # noqa: F401 - gives input() line editing and history

        print(HELP, file=out)
    while (line := _read(lines, live)) is not None and line != "/quit":
        if line == "/reset":
            messages = start
        elif line.startswith("/"):
            print(HELP, file=out)
        elif line:
            asked = (*messages, Message("user", line))
            try:
                (reply,) = engine.replies(policy, [asked], SCENARIO_TOKENS, answers)
            except UserError as error:  # the conversation has become too long
                print(f"{error}, or /reset", file=out)
                continue
            messages, answers = (*asked, reply.message), answers + 1
            print(_shown(reply.message, reply.ended, out.isatty() and not os.environ.get("NO_COLOR")), file=out, flush=True)


def _read(lines: TextIO, live: bool) -> str | None:
    """The next line, stripped; None at the end."""
    if live:
        try:
            return input("> ").strip()
        except EOFError:
            return None
    line = lines.readline()
    return line.strip() if line else None


def _shown(reply: Message, ended: bool, dim: bool) -> str:
    thought = f"({harmless(reply.thought)}) " if reply.thought else ""
    text = harmless(reply.content) or "(no text)"
    return f"{f'{_DIM}{thought}{_PLAIN}' if dim and thought else thought}{text}{'' if ended else ' [cut off]'}"
