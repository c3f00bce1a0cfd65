"""Text never becomes a control token, and comes back as it was."""

import io

import pytest
import sentencepiece
from hypothesis import example, given, settings
from hypothesis import strategies as st

from traitrl_jax.config import UserError
from traitrl_jax.text.tokenizer import CONTROLS, Tokenizer, load_tokenizer, train_tokenizer

SPACE = "\u2581"  # SentencePiece's own sign for a space: the one character that does not come back
FRAMES = (
    "{}",
    " {}",
    "{} ",
    "the{}plan",
    "{0}{0}",
    "we {} can",
    "\n{}\n",
    "<{}>",
    "{}answer",
    "\t{}\u00a0",
    SPACE + "{}",
    "\0{}",
)
TEXTS = (
    "two  spaces,   three", " leading and trailing ", "line\nbreak\r\nand\ttab", "naïve Ångström", "👩‍👩‍👧 flags 🇪🇺 and 🤖",
    "ﬁ ligature, ½, full-width Ａ, e\u0301 and é", "日本語とрусский", "\u200b\ufeffzero width", "the plan\x00 \x07 bytes",
    "1234567890", "", " ", "\n",
)  # fmt: skip


@pytest.mark.parametrize("control", CONTROLS)
def test_a_control_string_in_text_is_ordinary_text(tokenizer, control):
    """Alone, inside words, with odd spacing, upper case and spelled apart; and it comes back as it was typed."""
    for frame in FRAMES:
        for name in (control, control.upper(), control.replace("<", "< "), control[:-1], control[1:]):
            text = frame.format(name)
            ids = tokenizer.encode(text)
            assert min(ids) >= tokenizer.first_text_id, (text, ids)
            assert tokenizer.decode(ids) == text.replace(SPACE, " ")


def test_control_strings_in_a_row_are_ordinary_text(tokenizer):
    text = "".join(CONTROLS) + " ".join(CONTROLS)
    assert min(tokenizer.encode(text)) >= tokenizer.first_text_id
    assert min(tokenizer.encode_batch([text, f"x{text}"])[1]) >= tokenizer.first_text_id


@pytest.mark.parametrize("text", TEXTS, ids=ascii)
def test_text_comes_back(tokenizer, text):
    """The identity normaliser keeps newlines, spaces and composed characters; bytes stand for what was never seen."""
    assert tokenizer.decode(tokenizer.encode(text)) == text


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=40).filter(lambda t: SPACE not in t))
@example("<assistant>\n<answer>")
def test_any_text_comes_back_without_control_ids(tokenizer, text):
    ids = tokenizer.encode(text)
    assert all(i >= tokenizer.first_text_id for i in ids)
    assert tokenizer.decode(ids) == text


def test_characters_never_seen_become_bytes(tokenizer):
    ids = tokenizer.encode("🤖")
    assert len(ids) >= 4 and tokenizer.first_text_id not in ids, "four UTF-8 bytes, and no unknown token"


def test_decoding_leaves_control_tokens_out(tokenizer):
    """Sampled ids may hold any control token anywhere."""
    ids = tokenizer.encode("the plan")
    mixed = [i for pair in zip(ids, [*range(9)] * len(ids), strict=False) for i in pair]
    assert tokenizer.decode([0, 1, *mixed, 9]) == "the plan"
    assert tokenizer.decode(range(tokenizer.first_text_id + 1)) == ""


def test_half_a_character_decodes_to_something(tokenizer):
    """A sampled reply may stop inside a character's bytes."""
    assert isinstance(tokenizer.decode(tokenizer.encode("🤖")[:-2]), str)


def test_a_batch_is_its_texts(tokenizer):
    assert tokenizer.encode_batch(list(TEXTS)) == [tokenizer.encode(text) for text in TEXTS]


def test_training_is_deterministic_and_the_file_is_the_tokenizer(tokenizer, tmp_path):
    lines = ["we can check the plan"] * 20 + ["nothing is hidden"] * 20
    first, second = (train_tokenizer(lines, 300, tmp_path / name) for name in ("a.model", "b.model"))
    assert (tmp_path / "a.model").read_bytes() == (tmp_path / "b.model").read_bytes()
    loaded = load_tokenizer(tmp_path / "a.model")
    assert loaded.encode("check the plan") == first.encode("check the plan") == second.encode("check the plan")
    assert loaded.size == first.size <= 300 and sorted(p.name for p in tmp_path.iterdir()) == ["a.model", "b.model"]


def test_what_is_no_tokenizer_is_an_error_of_one_line(tmp_path):
    with pytest.raises(UserError, match="no tokenizer there; run the study first"):
        load_tokenizer(tmp_path / "missing.model")
    broken = tmp_path / "broken.model"
    broken.write_text("not a model")
    with pytest.raises(UserError, match="is no SentencePiece model"):
        load_tokenizer(broken)


def test_a_foreign_tokenizer_is_refused(tmp_path):
    """A SentencePiece model without our control tokens would number its text pieces like them."""
    model = io.BytesIO()
    lines = iter(["we can check the plan"] * 20)
    sentencepiece.SentencePieceTrainer.Train(
        sentence_iterator=lines, model_writer=model, vocab_size=40, hard_vocab_limit=False, minloglevel=2
    )
    with pytest.raises(UserError, match="id 0 is not the control token <pad>"):
        Tokenizer(model.getvalue())
