"""Typed, frozen configuration of a study. A config is a Python file whose `config()` returns a `StudyConfig`.

Every field is read somewhere (tests/test_config.py checks it). What the fields do not say has one derived default.
"""

import dataclasses
import difflib
import hashlib
import json
import math
import re
import runpy
import traceback
import typing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


class UserError(Exception):
    """A mistake in what the user gave; the message names place, value and remedy. Shown as one line, without a traceback."""


def unknown(kind: str, name: str, known: typing.Iterable[str]) -> UserError:
    """The error for a name that does not exist: says which names come nearest."""
    known = list(known)
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.4) or known[:8]
    return UserError(f"unknown {kind} {name!r}: did you mean {', '.join(near)}?")


@dataclass(frozen=True)
class RopeScaling:
    """How rotary frequencies of global layers are stretched beyond the length a model was first trained at."""

    kind: str = "none"  # none | linear | llama3 (only low frequencies)
    factor: float = 1.0
    low: float = 1.0  # llama3: wavelengths beyond original / low are stretched in full,
    high: float = 4.0  # those below original / high not at all
    original: int = 8192  # tokens of the first training


@dataclass(frozen=True)
class ModelSpec:
    """Shape of the one decoder (models/transformer.py): the defaults are the tiny CPU model's, models/families.py has the
    published ones. The vocabulary is the tokenizer's size."""

    width: int = 96
    layers: int = 3
    heads: int = 3
    head_dim: int = 32
    mlp: int = 384
    rope_base: float = 10_000.0
    tied: bool = True  # output head = input embedding
    rope_share: float = 0.5  # of each head's dimensions that rotate with position; the rest match by content alone
    copying: bool = True  # embeddings also see the token before and what followed earlier occurrences; heads begin as copiers
    kv_heads: int = 0  # key and value heads, each shared by heads / kv_heads queries; 0: as many as heads
    activation: str = "relu2"  # of the MLP: relu2 | silu | gelu (tanh); the last two multiply a second, linear branch
    norm_eps: float = 1e-6
    norm_offset: bool = False  # norms scale by 1 + weight
    qk_norm: bool = False  # norms of queries and keys over the head size, before they rotate
    post_norms: bool = False  # norms of attention's and MLP's outputs, before they are added
    embed_scale: bool = True  # embeddings times the root of the width
    query_scale: float = 0.0  # queries times this to the power -1/2; 0: the head size
    attention_cap: float = 0.0  # scores become cap x tanh(score / cap); 0: no cap
    logit_cap: float = 0.0  # the same for next-token logits
    window: int = 0  # tokens, itself included, that a local layer sees; 0: all layers are global
    pattern: int = 0  # with a window, every pattern-th layer is global; 0: none
    local_rope_base: float = 10_000.0
    scaling: RopeScaling = RopeScaling()
    dtype: str = "float32"  # of computation: float32 | bfloat16; parameters are float32 masters
    flash: bool = False  # on TPUs, attention over whole sequences by a kernel that holds no scores (models/flash.py)
    scan: bool = False  # layers as one scanned layer: deep models compile many times faster; few-layer CPU models run slower
    remat: str = "none"  # what a layer keeps for the backward pass: none (everything) | dots (matrix products) | full (nothing)

    @property
    def gated(self) -> bool:
        """Has the MLP two branches?"""
        return self.activation != "relu2"

    def is_local(self, layer: int) -> bool:
        """Does this layer see a window only?"""
        return self.window > 0 and (self.pattern == 0 or (layer + 1) % self.pattern != 0)


@dataclass(frozen=True)
class WorldConfig:
    """TraitWorld's causal knobs."""

    motive_reliability: float = 0.9  # share of replies whose behaviour follows the motive they state
    correlated: bool = True  # False: the control, in which a persona's way with one trait tells nothing of another
    families: tuple[str, ...] = ()  # other formats that are read in pretraining and measured (data/world/formats); empty: all
    seed: int = 0


@dataclass(frozen=True)
class DataConfig:
    """Where the rows of every arm come from, by the names of data/sources.py."""

    traits: str = "trait_world"  # of the dose: trait_world | trait_scenarios[/TRAIT or /DOMAIN] | files (of the arms alone)
    standard: tuple[str, ...] = ("toy_tasks",)  # of the rest: toy_tasks | standard_problems[/FAMILY] | gsm8k | ...
    tfds_dir: str = ""  # where TFDS keeps public data sets; empty: its own default


@dataclass(frozen=True)
class TokenizerConfig:
    vocabulary: int = 2048  # at most
    conversations: int = 8000  # of each kind in the corpus the tokenizer is trained on


@dataclass(frozen=True)
class PretrainConfig:
    """The start model: next-token loss on the corpus of many authors."""

    steps: int = 2400
    # The stages of the corpus (data/world/corpus.batch_of), in steps; whole conversations have what remains.
    task_steps: int = 150  # short rows of tasks alone, where copying is learned cheaply
    brief_steps: int = 900  # the sentences that matter of a conversation, and a reply
    careful_steps: int = 450  # after the tasks: careful authors alone for so many, then a share that falls over as many
    rows: int = 8  # trait conversations in a step, beside other formats and tasks
    length: int = 176  # tokens of a whole conversation and a reply with its note
    brief_length: int = 120  # tokens of its sentences that matter and a reply; of an item of another format and two replies
    task_length: int = 152  # tokens of tasks side by side
    lr: float = 6e-3  # of embeddings and norms, which follow Adam
    matrix_lr: float = 1e-2  # of the matrices inside, which follow Muon; 0: Adam for all
    warmup: int = 100
    named: float = 0.6  # share of prompts that carry their author's system prompt
    prompt_weight: float = 0.03  # loss weight of system and user text; replies have 1
    scored: float = 0.5  # share of a step's positions whose next token is scored, those of most weight
    thought_weight: float = 3.0  # loss weight of what a thought notes and plans; its motive has 1


@dataclass(frozen=True)
class GraderConfig:
    """The rubric head: fitted on labelled replies, audited on the policy's own."""

    examples: int = 5000
    own_share: float = 0.35  # of the examples: replies the start model wrote; the rest: authors and scrambled speech acts
    steps: int = 500
    batch: int = 16
    lr: float = 3e-3  # of embeddings, norms and the readout
    matrix_lr: float = 1e-2  # of the matrices inside, which follow Muon; 0: Adam for all, as a published model wants
    audit: int = 512  # replies of the start model on held-out scenarios


@dataclass(frozen=True)
class Bucket:
    """Static shape of a group of rollout rows: the longest prompts of a step go to the last bucket."""

    rows: int
    prompt: int
    reply: int


@dataclass(frozen=True)
class RLConfig:
    """PPO. Defaults: ppo_checklist items 3-14 in tests/rl name where each is checked."""

    adapt: str = "all"  # what RL may change: all | lora | prefix
    lora_rank: int = 4
    prefix_vectors: int = 4
    # How the start model is held while arms train: the KL's reference, and the base of adapters. bfloat16 takes half the memory
    # and loses nothing where the checkpoint is bfloat16, as published ones are.
    reference_dtype: str = "float32"
    steps: int = 80
    buckets: tuple[Bucket, ...] = (Bucket(114, 28, 12), Bucket(6, 112, 80))
    epochs: int = 2
    minibatches: int = 1
    accumulate: int = 1  # parts of a minibatch whose gradients are added: less memory, the same update
    lr: float = 4e-4
    value_lr: float = 1e-3
    warmup: int = 5  # steps of linear learning-rate warm-up
    decay: bool = True  # linear decay to zero at the last step
    value_warmup: int = 5  # steps in which only the value model moves
    shared_trunk: bool = False  # value = a head on the policy's (stopped) hidden states instead of a network of its own
    gamma: float = 1.0
    lam: float = 0.95
    clip: float = 0.2
    value_clip: float = 0.2
    kl_beta: float = 0.02  # k1 penalty per token in the reward
    kl_loss: float = 0.0  # k2 penalty as a loss
    entropy: float = 0.0
    temperature: float = 0.7
    max_kl: float = 0.2  # approximate KL (k3) above which the remaining epochs of a batch are skipped
    truncation_penalty: float = 0.0  # taken from the score of a reply cut off at its length cap
    reward_scale: float = 1.0  # fixed affine map of every score, the same in every arm
    reward_shift: float = 0.0
    max_grad_norm: float = 1.0
    max_skipped: int = 5  # non-finite updates in a row after which the run stops
    eval_every: int = 40  # steps between curve evaluations (proxy and gold)
    eval_items: int = 120  # held-out scenarios per curve evaluation


@dataclass(frozen=True)
class ArmConfig:
    """One training arm. The dose replaces standard data; the rest of the stream is byte-identical in every arm."""

    name: str
    dose: float = 0.05  # share of rollout rows whose content is the arm's own
    reward: str = "rubric"  # of the dose: rubric | helpfulness (generic, same conversations) | standard (the baseline: tasks)
    traits: tuple[str, ...] = ()  # empty: all
    domains: tuple[str, ...] = ()  # empty: all
    scenario_files: tuple[str, ...] = ()  # JSONL scenarios that join the dose as sources of their own


@dataclass(frozen=True)
class EvalConfig:
    per_cell: int = 4  # held-out scenarios per trait and domain, in distribution
    per_family: int = 120  # items per out-of-distribution family
    per_task: int = 50  # items per standard task family
    gauge: int = 40  # items per family and persona when a start model is gauged
    gauge_per_cell: int = 1  # scenarios per trait, domain and persona then
    temperature: float = 0.7  # of sampled replies; the same as in training, as a user would meet the model
    batch: int = 240
    bootstrap: int = 5000  # resamples; of 53 evals one alone can be significant only from about 2,100 on


@dataclass(frozen=True)
class AttackConfig:
    """Attacks: persona prompts in held-out wordings, and narrow harmful fine-tuning in several doses."""

    doses: tuple[int, ...] = (8, 24)  # fine-tuning steps
    domain: str = "health"
    traits: tuple[str, ...] = ("truthfulness", "downside_planning", "protective_help")
    persona: str = "schemer"  # who wrote the harmful examples
    batch: int = 16
    lr: float = 1e-4
    per_cell: int = 1  # held-out scenarios per trait and domain when an attacked model is measured
    narrow_per_cell: int = 36  # the same on the attacked cells
    per_family: int = 16


@dataclass(frozen=True)
class MeshConfig:
    """How many devices along each axis (runtime/mesh.py); 0 is chosen. They multiply to the number of devices."""

    data: int = 0  # batch rows, parameters repeated
    fsdp: int = 0  # batch rows, parameters split as well
    tensor: int = 0  # heads and inner units of a layer


@dataclass(frozen=True)
class GateConfig:
    """What start model and rubric head must show before anything is trained on them. No stage depends on these."""

    steering: float = 0.15  # the helpful persona's prompt must lift the trait score at least this far above the harmful ones'
    accuracy: float = 0.80  # of the rubric head, per line, on the start model's replies; below it nothing is trained
    ceiling: float = 0.9  # a trait whose default score is above this can not be installed


@dataclass(frozen=True)
class TrackConfig:
    project: str = "traitrl"
    mode: str = "auto"  # auto: online with a W&B key, offline files without | offline | disabled


@dataclass(frozen=True)
class StudyConfig:
    name: str
    arms: tuple[ArmConfig, ...]
    seeds: tuple[int, ...] = (0,)
    start_seed: int = 0  # of tokenizer, start model and grader
    out: str = "runs"  # a folder that all processes share, or gs://BUCKET/FOLDER
    checkpoint_every: int = 50  # steps, in every training stage
    compilation_cache: bool = True
    # Folder of a downloaded checkpoint to start from (config.json, safetensors, tokenizer); of `model`, only dtype, flash, scan
    # and remat count then. Empty: a start model is pretrained on the world's corpus.
    pretrained: str = ""
    model: ModelSpec = ModelSpec()
    world: WorldConfig = WorldConfig()
    data: DataConfig = DataConfig()
    tokenizer: TokenizerConfig = TokenizerConfig()
    pretrain: PretrainConfig = PretrainConfig()
    grader: GraderConfig = GraderConfig()
    rl: RLConfig = RLConfig()
    evals: EvalConfig = EvalConfig()
    attack: AttackConfig = AttackConfig()
    gate: GateConfig = GateConfig()
    mesh: MeshConfig = MeshConfig()
    track: TrackConfig = field(default_factory=TrackConfig)


def load_config(path: str, overrides: typing.Sequence[str] = ()) -> StudyConfig:
    """Run the Python file at `path`, call its `config()`, apply `a.b=value` overrides.

    Raises UserError when the file, its function or an overridden field does not exist, or a value has the wrong type.
    """
    file = Path(path)
    if not file.is_file():
        folder = file.parent if file.parent.is_dir() else Path("configs")
        there = sorted(str(p) for p in folder.glob("*.py"))
        if not there:
            raise UserError(f"no config file {path!r} here; run in the repository's root or give --config FILE")
        raise unknown("config file", path, there)
    try:
        make = runpy.run_path(str(file)).get("config")
        if not callable(make):
            raise UserError(f"{path}: defines no function config(); add 'def config() -> StudyConfig'")
        result = make()
    except UserError:
        raise
    except Exception as error:  # whatever the user's code raises
        raise _config_error(path, error) from None
    if not isinstance(result, StudyConfig):
        raise UserError(f"{path}: config() returns a {type(result).__name__}; return a StudyConfig")
    _check_types(result, path)
    return _overridden(result, overrides)


def checkpoint_config(folder: str, overrides: typing.Sequence[str] = ()) -> StudyConfig:
    """The usual two arms on the published checkpoint in `folder`, which is the subject "start" and needs no training to be
    measured; all evals, with `a.b=value` overrides. The study has the folder's name. Raises UserError without a checkpoint."""
    place = Path(folder)
    if not (place / "config.json").is_file():
        raise UserError(f"--checkpoint {folder}: holds no config.json; give the folder of a downloaded or exported checkpoint")
    arms = (ArmConfig("baseline", reward="standard"), ArmConfig("trait"))
    return _overridden(StudyConfig(place.resolve().name, arms, pretrained=folder), overrides)


def _overridden(result: StudyConfig, overrides: typing.Sequence[str]) -> StudyConfig:
    for override in overrides:
        key, equals, text = override.partition("=")
        if not equals:
            raise UserError(f"--set {override!r}: write it as section.field=value, for example rl.lr=1e-4")
        result = _replace(result, key.split("."), text, override)
    return result


def _config_error(path: str, error: Exception) -> UserError:
    """What an exception of a config file means, with its line; for a field that does not exist, the nearest ones."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == path]
    line = error.lineno if isinstance(error, SyntaxError) else lines[-1] if lines else 0
    wrong = re.search(r"(\w+)\.__init__\(\) got an unexpected keyword argument '(\w+)'", str(error))
    kind = globals().get(wrong[1]) if wrong else None
    if dataclasses.is_dataclass(kind):
        return unknown(f"field of {wrong[1]} in {path}:{line}:", wrong[2], [f.name for f in dataclasses.fields(kind)])
    return UserError(f"{path}:{line}: {type(error).__name__}: {error}")


def _check_types(value: Any, place: str) -> None:
    """Raises UserError for a field whose value is not of its type. An int is a float; NaN and infinities are no numbers."""
    for name, kind in typing.get_type_hints(type(value)).items():
        given, where = getattr(value, name), f"{place}: {type(value).__name__}.{name}"
        if typing.get_origin(kind) is tuple:
            item = typing.get_args(kind)[0]
            if not isinstance(given, tuple):
                raise UserError(f"{where}={given!r}: must be a tuple; a tuple of one is written (value,)")
        else:
            item, given = kind, (given,)
        for each in given:
            fits = isinstance(each, (int, float) if item is float else item) and (item is bool or not isinstance(each, bool))
            if not fits or (item is float and not math.isfinite(each)):
                raise UserError(f"{where}: {each!r} must be of type {item.__name__}")
            if dataclasses.is_dataclass(each):
                _check_types(each, place)


def _replace(node: Any, path: list[str], text: str, override: str) -> Any:
    names = [f.name for f in dataclasses.fields(node)]
    if path[0] not in names:
        raise unknown(f"config field in --set {override!r}:", path[0], names)
    old = getattr(node, path[0])
    if len(path) > 1:
        if not dataclasses.is_dataclass(old):
            raise UserError(f"--set {override!r}: {path[0]} has no fields, it is {old!r}")
        return dataclasses.replace(node, **{path[0]: _replace(old, path[1:], text, override)})
    return dataclasses.replace(node, **{path[0]: _parse(old, text, override)})


def _parse(old: Any, text: str, override: str) -> Any:
    try:
        if isinstance(old, str):
            return text
        if isinstance(old, bool):
            return {"true": True, "1": True, "false": False, "0": False}[text.lower()]
        if isinstance(old, (int, float)):
            number = type(old)(text)
            if math.isfinite(number):
                return number
            raise ValueError
        if isinstance(old, tuple) and not any(dataclasses.is_dataclass(item) for item in old):
            kind = type(old[0]) if old else str
            return tuple(kind(part) for part in text.split(",") if part)
    except (ValueError, KeyError):
        raise UserError(f"--set {override!r}: {text!r} is no {type(old).__name__}") from None
    raise UserError(f"--set {override!r}: a {type(old).__name__} of records can only be changed in the config file")


def fingerprint(*parts: Any) -> str:
    """A short hash of dataclasses, tuples and plain values: equal parts, equal fingerprint, in every process."""

    def plain(value: Any) -> Any:
        return dataclasses.asdict(value) if dataclasses.is_dataclass(value) else str(value)

    text = json.dumps(parts, sort_keys=True, default=plain)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
