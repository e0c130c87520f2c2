"""``hldm train``: one stage, resumed where it was interrupted, and at an end where nothing is left to do."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

from hldm import __version__
from hldm.cli import arguments
from hldm.cli.progress import working
from hldm.data.errors import DataError
from hldm.paths import circor_folder, replacing, weights_folder, workplace


def add_to(command) -> None:
    """Add the command to the parser."""
    sub = command("train", train, "train a stage; an interrupted run resumes")
    sub.add_argument("stage", choices=TRAININGS)
    arguments.add_profile(sub)
    sub.add_argument(
        "--epochs", type=arguments.count, help="instead of the profile's, where a stage counts epochs; at least 1"
    )
    sub.add_argument(
        "--runs", type=Path, default=Path("runs"), help="folder for checkpoints and weights (default: runs)"
    )
    sub.add_argument("--seed", type=arguments.seed, default=0, help="default: 0")
    sub.add_argument("--experiment", metavar="NAME", help="an ablation of hldm.experiments; goes to RUNS/NAME")


def train(options) -> None:
    """Train what is not finished; the last line says what was made and how to use it."""
    if options.experiment:
        options.runs = options.runs / options.experiment
    training, runs = TRAININGS[options.stage], options.runs
    asked = _asked(options)
    if _is_finished(options, asked):
        print(f"{options.stage}: finished before, nothing to do")
    elif _is_main_process():
        _check_own(options)
        runs.mkdir(parents=True, exist_ok=True)
        with workplace(runs / f".{options.stage}.partial"):  # two processes would spoil each other's checkpoints
            _note(options, asked)
            _run(training, options)
            _note(options, {**asked, "made": {name: _sha256(runs / name) for name in training.makes}})
    else:
        _run(training, options)
    if _is_main_process():
        made = ", ".join(str(runs / name) for name in training.makes)
        print(f"made {made}; {training.use(options)}")


def _run(training: Training, options) -> None:
    with working(f"training {options.stage}") if _is_main_process() else nullcontext():
        training.run(options)


def _is_main_process() -> bool:
    """Whether this is the process that writes, of those that accelerate or torchrun started."""
    return os.environ.get("RANK", "0") == "0"


def _notes(runs: Path, stage: str) -> Path:
    """What a run says of itself: what was asked for and, once it is finished, what it made."""
    return runs / f"{stage}.run.json"


def _asked(options) -> dict:
    names = ("stage", "profile", "epochs", "seed", "experiment")
    asked = {name: getattr(options, name) for name in names}
    return {**asked, "corpus": str(circor_folder() or "simulated"), "version": __version__}


def _note(options, said: dict) -> None:
    with replacing(_notes(options.runs, options.stage)) as partial:
        partial.write_text(json.dumps(said, indent=2) + "\n", encoding="utf-8")


def _is_finished(options, asked: dict) -> bool:
    try:
        said = json.loads(_notes(options.runs, options.stage).read_text(encoding="utf-8"))
        made = said.pop("made")
        return said == asked and all(_sha256(options.runs / name) == value for name, value in made.items())
    except (OSError, ValueError, KeyError, AttributeError):
        return False


def _check_own(options) -> None:
    """Raise `DataError` for weights that no training in this folder made: they are somebody's."""
    for name in TRAININGS[options.stage].makes:
        makers = [stage for stage, training in TRAININGS.items() if name in training.makes]
        if (options.runs / name).exists() and not any(_notes(options.runs, stage).is_file() for stage in makers):
            expected = "no weights, or those of a training in this folder; choose another folder as --runs"
            raise DataError(expected, file=options.runs / name)


def _sha256(path: Path) -> str:
    import hashlib

    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _stage(options) -> None:
    from hldm.engine.processes import team
    from hldm.experiments import experiment
    from hldm.training import train

    log = train(
        options.stage, profile=options.profile, epochs=options.epochs, runs=options.runs, seed=options.seed,
        recipe=experiment(options.experiment or "default"),
    )  # fmt: skip
    if team().is_main_process:
        print("; ".join(f"{name} {value:.4g}" for name, value in log[-1].items()))
    team().destroy_process_group()


def _judge(options) -> None:
    from hldm.experiments.instruments import make_judge
    from hldm.training.judge import JudgeTraining

    make_judge(options.runs, training=JudgeTraining(epochs=options.epochs or JudgeTraining.epochs, seed=options.seed))


def _second_ear(options) -> None:
    from hldm.experiments.instruments import make_second_ear
    from hldm.training.second_ear import SecondEarTraining

    training = SecondEarTraining(seed=SecondEarTraining.seed + options.seed)
    make_second_ear(options.runs, training=replace(training, epochs=options.epochs or training.epochs))


def _vocoder(options) -> None:
    from hldm.experiments.instruments import make_vocoder
    from hldm.training.stages import chosen_profile

    table = make_vocoder(options.runs, profile=chosen_profile(options.profile, options.epochs), seed=options.seed)
    print(table.pivot(index="metric", columns="method", values="value").to_string(float_format="%.3g"))


def _next(stage: str) -> Callable:
    return lambda options: f"next: hldm train {stage} --runs {options.runs} --profile {options.profile}"


def _to_generate(options) -> str:
    use = f"export HLDM_WEIGHTS={options.runs} and hldm generate makes sounds with it"
    if (options.runs / "vae.safetensors").is_file():
        return use
    return f"cp {weights_folder()}/vae.* {options.runs}, the VAE it was trained with, then {use}"


@dataclass(frozen=True)
class Training:
    """What can be trained.

    Attributes
    ----------
    run : callable
        Takes the options of the command line.
    makes : tuple of str
        Files of weights, within the folder of the run.
    use : callable
        What to do with them, from the options.
    """

    run: Callable
    makes: tuple[str, ...]
    use: Callable


_ENCODERS = ("text_encoder/model.safetensors", "text_encoder/standardisation.safetensors", "graph_encoder.safetensors")
_DENOISER = ("unet.safetensors", "condition.safetensors")
#: Judge, second ear and vocoder are measured as they are made, by a room above that of the stages.
TRAININGS = {
    "encoders": Training(_stage, _ENCODERS, _next("diffusion")),
    "attribute_predictor": Training(_stage, ("attribute_predictor.safetensors",), _next("vae")),
    "vae": Training(_stage, ("vae.safetensors",), _next("diffusion")),
    "diffusion": Training(_stage, _DENOISER, _to_generate),
    "finetune": Training(_stage, _DENOISER, _to_generate),
    "vocoder": Training(
        _vocoder,
        ("vocoder.safetensors",),
        lambda options: f'hldm.Synthesizer.from_pretrained({str(options.runs)!r}, vocoder="learned"), beside a model',
    ),
    "judge": Training(
        _judge,
        ("judge.safetensors",),
        lambda options: "in the folder that HLDM_WEIGHTS names, beside a model, hldm evaluate measures with it",
    ),
    "second_ear": Training(
        _second_ear,
        ("second_ear.safetensors",),
        lambda options: "in the folder that HLDM_WEIGHTS names, hldm evaluate --second-ear takes and logs a reading",
    ),
}
