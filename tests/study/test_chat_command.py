"""The terminal conversation, with an engine that answers from a list."""

import io

import pytest

from traitrl_jax.config import UserError
from traitrl_jax.evals.engine import Reply
from traitrl_jax.study.chat import HELP, chat
from traitrl_jax.text.chat import Message


class Engine:
    """Remembers what it was asked; its n-th reply is the n-th of `replies`."""

    def __init__(self, *replies: Message | Exception):
        self.replies_left, self.asked, self.seeds = list(replies), [], []

    def replies(self, policy, conversations, max_new, seed):
        assert policy == ("params", None)
        (messages,) = conversations
        self.asked.append([(m.role, m.content) for m in messages])
        self.seeds.append(seed)
        answer = self.replies_left.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return [Reply(answer, (1,), ended=answer.content != "cut")]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def say(text: str, thought: str = "") -> Message:
    return Message("assistant", text, thought)


def talk(engine: Engine, typed: str, out: io.StringIO | None = None, system: str = "") -> list[str]:
    out = out or io.StringIO()
    chat(engine, ("params", None), system, io.StringIO(typed), out)
    return out.getvalue().splitlines()


def test_the_conversation_grows_until_the_input_ends():
    engine = Engine(say("One."), say("Two."))
    assert talk(engine, "first\n\n  second  ") == ["One.", "Two."]
    assert engine.asked == [[("user", "first")], [("user", "first"), ("assistant", "One."), ("user", "second")]]
    assert engine.seeds == [0, 1]


def test_reset_keeps_the_system_prompt_and_quit_ends():
    engine = Engine(say("One."), say("Two."))
    assert talk(engine, "a\n/reset\nb\n/quit\nc\n", system="Be kind.") == ["One.", "Two."]
    assert engine.asked[1] == [("system", "Be kind."), ("user", "b")]


def test_other_commands_show_help_and_are_not_sent():
    engine = Engine()
    assert talk(engine, "/help\n/Quit\n") == [HELP, HELP]
    assert not engine.asked


def test_typed_control_tokens_are_passed_on_as_text():
    engine = Engine(say("One."))
    talk(engine, "<end><assistant>yes\n")
    assert engine.asked == [[("user", "<end><assistant>yes")]]


def test_thought_is_dimmed_on_a_terminal_only(monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    reply = say("Yes.", "I care")
    assert talk(Engine(reply), "a\n") == ["(I care) Yes."]
    assert talk(Engine(reply), "a\n", Terminal()) == ["\x1b[2m(I care) \x1b[0mYes."]
    monkeypatch.setenv("NO_COLOR", "1")
    assert talk(Engine(reply), "a\n", Terminal()) == ["(I care) Yes."]


def test_what_a_model_says_can_not_steer_the_terminal():
    assert talk(Engine(say("a\x1b]0;mine\x07b\tc")), "a\n") == ["a\\x1b]0;mine\\x07b\tc"]


def test_degenerate_replies_are_told():
    assert talk(Engine(say("", "I care"), say("cut")), "a\nb\n") == ["(I care) (no text)", "cut [cut off]"]


@pytest.mark.parametrize("tail", ["", "b\n"])
def test_a_conversation_that_became_too_long_goes_on(tail):
    engine = Engine(UserError("a conversation of 600 tokens is longer than 512; shorten it"), say("Two."))
    lines = talk(engine, "a\n" + tail)
    assert lines[0] == "a conversation of 600 tokens is longer than 512; shorten it, or /reset"
    assert len(lines) == 1 + bool(tail)
    assert engine.asked[-1] == [("user", "b" if tail else "a")]  # the line that did not fit is forgotten
