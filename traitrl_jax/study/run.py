"""The study: start model, grader, arms, measurements, attacks, results, report. Each stage is skipped when done.

Killed at any moment, the same command continues and ends in the same parameters and metrics.
"""

import json
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import jax

from traitrl_jax.config import ArmConfig, StudyConfig, UserError, fingerprint, unknown
from traitrl_jax.evals.engine import Engine
from traitrl_jax.evals.records import write_records
from traitrl_jax.models.adapt import hold, init_trainable, materialise
from traitrl_jax.models.pretrained import export
from traitrl_jax.reward.head import init_head
from traitrl_jax.reward.scorer import Scorer
from traitrl_jax.rl.loop import compile_programs
from traitrl_jax.runtime.checkpoint import load_params, save_params
from traitrl_jax.runtime.files import absolute, check_writable, folder_lock, path_of, read_json, write_json_atomic
from traitrl_jax.runtime.mesh import make_mesh, placed_shapes, use_mesh
from traitrl_jax.runtime.processes import check_shared, from_first, held_by_first
from traitrl_jax.runtime.tracking import Progress, Stages, Tracker
from traitrl_jax.study import arms, grader, measure, start
from traitrl_jax.study.check import check_config
from traitrl_jax.study.folder import Folder
from traitrl_jax.study.report import write_report
from traitrl_jax.study.results import collect
from traitrl_jax.study.table import SuiteRow, suite_rows

NEEDED_MB = 500


class Study:
    """One study: its config, its folder, and what is loaded so far."""

    def __init__(self, config: StudyConfig):
        self.config = config
        self.runs = [(arm, seed) for arm in config.arms for seed in config.seeds]
        self.folder = Folder(config, Stages(len(stages(config))))

    def run(self) -> Path:
        """Run what is not done yet; the path of the report."""
        with self._working():
            self.make_start()
            self.make_grader()
            self.train_arms()
            self.measure_all()
            return self.report()

    def train(self, only: str | None = None) -> list[Path]:
        """Run what training needs and is not done yet, for every arm or `only` one; the arms' folders."""
        if only:
            self.runs = [(find_arm(self.config, only), seed) for seed in self.config.seeds]
        self.folder = Folder(self.config, Stages(4 + len(self.runs)))
        with self._working():
            self.make_start()
            self.make_grader()
            self.train_arms()
        return [self.folder / "arms" / f"{arm.name}-s{seed}" for arm, seed in self.runs]

    def evaluate(self, subject: str | None = None) -> list[str]:
        """Run the suite where it is not done yet, on every subject or one; the subjects' names."""
        names = [self._known(subject)] if subject else measure.subjects(self.config)
        self.folder = Folder(self.config, Stages(len(names)))
        with self._working():
            self.open(*names)
            for name in names:
                self.run_evals(name)
        return names

    def open(self, *subjects: str) -> None:
        """Load tokenizer and start model, and see that the subjects are trained: nothing is run. A published start model needs
        no training."""
        own = () if self.config.pretrained else ("tokenizer", "start")
        for stage in (*own, *(f"arms/{self._known(name)}" for name in subjects if name != "start")):
            if not self.folder.done(stage):
                raise UserError(f"{self.folder / stage}: not trained yet; run traitrl train with the same --config and --set")
        self._load_tokenizer()
        self._load_start()

    def made_of(self, subject: str) -> str:
        """Fingerprint of what a subject was made of."""
        return fingerprint(*self._inputs) if subject == "start" else self.folder.made_of(f"arms/{subject}")

    def _known(self, subject: str) -> str:
        if subject not in measure.subjects(self.config):
            raise unknown("subject", subject, measure.subjects(self.config))
        return subject

    @contextmanager
    def _working(self) -> Iterator[None]:
        """Hold the study's folder, once the config is known to be sound and the folder to be writable."""
        check_config(self.config)
        root = self.folder.root
        from_first("is the folder writable", check_writable, root, NEEDED_MB)
        check_shared(root)
        with held_by_first(folder_lock(root)):
            write_json_atomic(self.folder / "config.json", asdict(self.config))
            if self.config.compilation_cache:
                use_compilation_cache(root)
            with self.on_mesh():
                yield

    def on_mesh(self) -> AbstractContextManager[None]:
        """Within it, models are loaded onto the config's mesh and programs partitioned over it. Raises UserError for a mesh
        that does not fit the devices or the rows of a step."""
        rl = self.config.rl
        rows = [bucket.rows // rl.minibatches // rl.accumulate for bucket in rl.buckets]
        return use_mesh(make_mesh(self.config.mesh, rows))

    def make_start(self) -> None:
        """Tokenizer, start model, gauge."""
        config, folder = self.config, self.folder
        with folder.stage("tokenizer", *self._inputs[1:]) as place:
            if place and not config.pretrained:
                from_first("the tokenizer", start.make_tokenizer, config, place)
        self._load_tokenizer()
        with folder.stage("start", *self._inputs) as place:
            if place and not config.pretrained:
                params = start.pretrain(config, self.model, self.tokenizer, place, *self._watch("start model", ("loss",)))
                save_params(place / "model", params)
        self._load_start()
        with folder.stage("start/gauge", *self._inputs, config.evals) as place:
            if place:
                write_json_atomic(place / "gauge.json", start.gauge(config, self.engine, (self.start, None)))
        start.check_start(config, from_first("the gauge", read_json, folder / "start" / "gauge" / "gauge.json"))

    @property
    def _inputs(self) -> tuple[Any, ...]:
        """What the start model, and with it everything, depends on."""
        config = self.config
        files = start.checkpoint_files(config)
        return config.model, config.tokenizer, config.pretrain, config.world, config.start_seed, config.pretrained, files

    def _load_tokenizer(self) -> None:
        """Tokenizer, and the model and engine of its size."""
        config = self.config
        self.tokenizer, self.model = start.open_start(config, self.folder / "tokenizer")
        self.engine = Engine(self.model, self.tokenizer, config.evals.batch, config.evals.temperature)

    def _load_start(self) -> None:
        self.start = start.load_start(self.config, self.model, self.folder / "start")

    def make_grader(self) -> None:
        """The rubric head and its audit."""
        config, folder = self.config, self.folder
        with folder.stage("grader", *self._inputs, config.grader, config.rl.buckets) as place:
            if place:
                data = grader.label_examples(config, self.engine, self.start, self.tokenizer)
                watch = self._watch("rubric head", ("loss", "accuracy"))
                head = grader.fit_head(config, self.model, self.start, data, place, *watch)
                save_params(place / "model", head)
                audited = grader.audit_head(config, self.engine, self.model, self.start, head, self.tokenizer)
                write_json_atomic(place / "audit.json", audited)
        grader.check_grader(config, from_first("the audit", read_json, folder / "grader" / "audit.json"))
        self.scorer = Scorer(self.model, self.load_head()[0], self.tokenizer)

    def load_head(self) -> tuple[Any, str]:
        """The fitted rubric head and its stage's fingerprint. Raises UserError where there is none."""
        place = self.folder / "grader"
        if not self.folder.done("grader"):
            raise UserError(f"{place}: not fitted yet; run traitrl train with the same --config and --set")
        shapes = placed_shapes(lambda start: init_head(start, self.model.spec.width), self.start)
        return load_params(place / "model", shapes), self.folder.made_of("grader")

    def train_arms(self) -> None:
        """Every arm with every seed."""
        config, folder = self.config, self.folder
        arms.check_rows(config, self.tokenizer, self.scorer)
        programs = compile_programs(self.model, config.rl, self.tokenizer.stops)
        curve = arms.Curve(config, self.engine, self.scorer, self.tokenizer)
        self.start = hold(self.start, config.rl.reference_dtype)
        for arm, seed in self.runs:
            name = f"{arm.name}-s{seed}"
            with folder.stage(
                f"arms/{name}", *self._inputs, config.grader, config.rl, arm, seed, *arms.content_of(config, [arm])
            ) as place:
                if place:
                    watch = self._watch(name, ("reward", "reward/trait", "gold", "sequence_kl"))
                    trained = arms.train_arm(
                        config, arm, seed, self.model, programs, self.start, self.tokenizer, self.scorer, curve, place, *watch
                    )
                    save_params(place / "model", trained)
        if config.rl.reference_dtype != "float32":
            self._load_start()

    def policy(self, name: str):
        """(decoder parameters, soft prefix) of a subject: "start" or an arm and seed."""
        if name == "start":
            return self.start, None
        rl = self.config.rl
        shapes = placed_shapes(lambda start: init_trainable(rl.adapt, start, rl, jax.random.key(0)), self.start)
        trained = load_params(self.folder / "arms" / name / "model", shapes)
        return materialise(self.config.rl.adapt, trained, self.start)

    def export(self, name: str, to: Path) -> None:
        """Write a subject as a checkpoint folder in its family's published form. Raises UserError for what has none: the
        world's own model, or a soft prefix."""
        with self.on_mesh():
            self.open(name)
            params, prefix = self.policy(name)
        if prefix is not None:
            raise UserError(f"{name}: a soft prefix has no place in a checkpoint; train with rl.adapt=all or lora to export")
        source = Path(self.config.pretrained) if self.config.pretrained else None
        export(to, self.model.spec, self.model.vocabulary, params, source)

    def measure_all(self) -> None:
        """The suite and the attacks on every subject."""
        tuner = measure.harmful_tuner(self.config, self.model)
        for name in measure.subjects(self.config):
            self.run_evals(name)
            self.run_attacks(name, tuner)

    def run_evals(self, name: str) -> None:
        """The suite on one subject."""
        with self.folder.stage(f"evals/{name}", *self._subject_inputs()) as place:
            if place:
                records = measure.run_suite(self.config, self.engine, self.policy(name), place)
                self._keep_suite(place, records)
                rows, (tracker_of, _) = suite_rows(records), self._watch(name, ())
                with tracker_of(place, None) as tracker:
                    tracker.log(0, {f"score/{row.eval}": row.score for row in rows})
                    tracker.table("suite", SuiteRow._fields, rows)

    def _keep_suite(self, place: Path, records: list[dict[str, Any]]) -> None:
        """All records of a suite in one file, beside the protocol that they follow."""
        write_records(place / "records.jsonl", records)
        write_json_atomic(place / "protocol.json", measure.protocol_record(self.config))
        from_first("drop the parts", measure.drop_parts, place)

    def run_attacks(self, name: str, tuner) -> None:
        """Persona prompts and harmful fine-tuning on one subject."""
        config = self.config
        with self.folder.stage(f"attacks/{name}", *self._subject_inputs()) as place:
            if place:
                policy = self.policy(name)
                write_records(place / "personas.jsonl", measure.run_persona_prompts(config, self.engine, policy))
                tuned = measure.run_harmful_tuning(config, self.engine, self.tokenizer, policy, tuner)
                write_records(place / "harmful_tuning.jsonl", tuned)

    def retest(self, name: str) -> tuple[Path, Path]:
        """The suite on one subject with two seeds of sampling, where it is not done yet; the folders of both."""
        self.folder = Folder(self.config, Stages(2))
        with self._working():
            self.open(name)
            self.run_evals(name)
            with self.folder.stage(f"retest/{name}", *self._subject_inputs()) as place:
                if place:
                    policy = self.policy(name)
                    self._keep_suite(place, measure.run_suite(self.config, self.engine, policy, place, measure.RETEST_SEED))
        return self.folder / "evals" / name, self.folder / "retest" / name

    def _subject_inputs(self) -> tuple[Any, ...]:
        config = self.config
        stored = arms.content_of(config, config.arms)
        return (*self._inputs, config.grader, config.rl, config.arms, config.evals, config.attack, *stored)

    def report(self) -> Path:
        """results.json and report.html: always made anew, from the files alone."""
        for stage in stages(self.config):
            if not self.folder.done(stage):
                raise UserError(f"{self.folder / stage}: not done yet; run traitrl study with the same --config and --set")
        return path_of(from_first("the report", self._write_report))

    def _write_report(self) -> str:
        write_json_atomic(self.folder / "results.json", collect(self.config, self.folder))
        return str(write_report(self.folder.root))

    def _watch(self, name: str, show: tuple[str, ...]):
        """(tracker_of(folder, first step), progress_of(total)) for one training stage."""

        def tracker_of(place: Path, first: int | None) -> Tracker:
            run = f"{self.config.name}/{place.relative_to(self.folder.root)}"
            return Tracker(place, self.config.track, run, asdict(self.config), resume_step=first or None)

        return tracker_of, partial(Progress, name=name, show=show)


def stages(config: StudyConfig) -> list[str]:
    """Names of all stages, in order."""
    names = measure.subjects(config)
    measured = [f"{kind}/{name}" for name in names for kind in ("evals", "attacks")]
    return ["tokenizer", "start", "start/gauge", "grader", *(f"arms/{name}" for name in names[1:]), *measured]


def use_compilation_cache(folder: Path) -> None:
    """Keep compiled programs in the study's folder: a resumed study compiles nothing again."""
    cache = os.environ.get("JAX_COMPILATION_CACHE_DIR") or str(absolute(folder) / "compiled")
    jax.config.update("jax_compilation_cache_dir", cache)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", 0)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)


def find_arm(config: StudyConfig, name: str) -> ArmConfig:
    """The arm called `name`; UserError with the nearest names."""
    for arm in config.arms:
        if arm.name == name:
            return arm
    raise unknown("arm", name, [arm.name for arm in config.arms])


def summary(folder: Path) -> str:
    """The headline of a finished study in three lines."""
    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    head, ind = results["headline"], results["in_distribution"]

    def levels(row: dict[str, Any]) -> str:
        return ", ".join(f"{name} {score:.3f}" for name, score in row["scores"].items())

    low, high = head["interval"]
    lines = [
        f"trait score, held-out scenarios: {levels(ind)}",
        *(f"  {label}: {levels(row)}" for label, row in results["left_out"].items()),
        f"{head['improved']} of {head['of']} other evals improved, {head['treated']} against {head['baseline']} "
        f"(mean change {head['mean_change']:+.3f}, 95% [{low:+.3f}, {high:+.3f}])",
        f"standard tasks: {levels(results['tasks'])}",
    ]
    return "\n".join(lines)
