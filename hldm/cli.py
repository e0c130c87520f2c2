"""The command line: ``hldm download / simulate / check / graph / train / generate / evaluate / book``.

Each command imports what it needs when it runs, so that ``hldm --help`` answers at once.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from hldm import __version__
from hldm.config import PROFILES, STAGES
from hldm.data.errors import DataError
from hldm.paths import circor_folder


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns
    -------
    int
        0 when all is well, 1 when a check found problems, 2 when the user or the data is at fault (one line on
        stderr says how), 130 when interrupted.
    """
    options = _parser().parse_args(arguments)
    try:
        return options.run(options) or 0
    except ModuleNotFoundError as error:
        if error.name and error.name.split(".")[0] == "hldm":
            raise
        return _fail(f"{error.name} is not installed; the book needs: pip install 'hldm[book]'")
    except (DataError, OSError) as error:
        return _fail(error)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130


def _fail(message: object) -> int:
    print("hldm:", " ".join(str(message).split()), file=sys.stderr)
    return 2


def _download(options) -> None:
    from hldm.data.download import SOURCES, download

    folder = download(options.dataset, options.to, mirror=options.mirror)
    print(f"{folder}\n{SOURCES[options.dataset].terms}")
    if options.dataset == "circor":
        print(f"export HLDM_CIRCOR={folder}")


def _simulate(options) -> None:
    from hldm.data import simulate_corpus

    simulate_corpus(options.folder, patients=options.patients, seed=options.seed)
    print(options.folder)


def _corpus(options) -> Path:
    folder = options.corpus or circor_folder()
    if folder is None:
        raise DataError("a corpus folder, as the argument CORPUS or in the variable HLDM_CIRCOR")
    return folder


def _check(options) -> int:
    from hldm.data import CircorCorpus

    report = CircorCorpus(_corpus(options)).check()
    print(report)
    return 1 if report.problems else 0


def _graph(options) -> None:
    from hldm.knowledge import counts, export

    writers = {".graphml": export.to_graphml, ".ttl": export.to_turtle}
    write = writers.get(options.file.suffix.lower())
    if write is None:
        raise DataError("a name that ends in .graphml or .ttl", field="FILE", value=str(options.file))
    path, size = write(options.file), counts()
    print(f"{size['nodes']} nodes, {size['edges']} edges: {path}")


def _train(options) -> None:
    _TRAININGS[options.stage](options)


def _train_judge(options) -> None:
    from hldm.experiments.instruments import make_judge
    from hldm.training.judge import JudgeTraining

    training = JudgeTraining(epochs=options.epochs or JudgeTraining.epochs, seed=options.seed)
    print(make_judge(options.runs, training=training))


def _train_vocoder(options) -> None:
    from hldm.experiments.instruments import make_vocoder
    from hldm.training.stages import chosen_profile

    table = make_vocoder(options.runs, profile=chosen_profile(options.profile, options.epochs), seed=options.seed)
    print(table.pivot(index="metric", columns="method", values="value").to_string(float_format="%.3g"))


def _train_stage(options) -> None:
    from hldm.engine.processes import team
    from hldm.experiments import experiment
    from hldm.training import train

    if options.experiment:
        options.runs = options.runs / options.experiment
    log = train(
        options.stage, profile=options.profile, epochs=options.epochs, runs=options.runs, seed=options.seed,
        recipe=experiment(options.experiment or "default"),
    )  # fmt: skip
    if team().is_main_process:
        print("; ".join(f"{name} {value:.4g}" for name, value in log[-1].items()))
        if all((options.runs / f"{name}.safetensors").is_file() for name in ("vae", "unet", "condition")):
            print(f"export HLDM_WEIGHTS={options.runs}")  # enough to generate with
    team().destroy_process_group()


#: What can be trained. Judge and vocoder are measured as they are made, by a room above that of the stages.
_TRAININGS = {**dict.fromkeys(STAGES, _train_stage), "vocoder": _train_vocoder, "judge": _train_judge}


def _generate(options) -> None:
    if (options.corpus is None) == (options.output is None):
        options.wrong("-o/--output is required for a prompt, --prompts and --records, and goes with nothing else")
    if (options.corpus is None) != (options.patients is None):
        options.wrong("--corpus FOLDER and --patients N go together")
    if options.corpus is None and not options.output.parent.is_dir():
        raise DataError("an existing folder", file=options.output.parent, field="-o")
    requests = _requests(options)  # before the model is loaded: a wrong one is told of at once
    from hldm.generation import Settings, Studio, generate, generate_corpus

    duration = options.duration
    if options.corpus and duration is None:
        duration = 10.0  # as in a simulated corpus
    studio = Studio(Settings(duration, options.steps, options.guidance, options.weights))
    how = {"batch": options.batch, "overwrite": options.overwrite, "progress": True}
    if options.corpus:
        print(generate_corpus(options.corpus, options.patients, studio, seed=options.seed, **how))
        return
    folder = options.output if options.prompt is None else options.output.parent
    wavs = generate(requests, folder, studio, **how)
    seconds = f"{studio.common['duration']:.2f} s at {studio.common['sampling_rate']} Hz"
    print(f"{len(wavs)} sounds of {seconds}: {folder}" if options.prompt is None else f"{seconds}: {wavs[0]}")


def _requests(options) -> list:
    """What is asked for, with a line on stderr for each prompt that was not wholly understood."""
    from hldm.generation import not_understood, read_prompts, read_records

    if options.corpus:
        return []
    if options.prompt is None:
        read, path = (read_prompts, options.prompts) if options.prompts else (read_records, options.records)
        requests = read(path, options.seed)
    else:
        requests = [_one_request(options)]
    for warning in not_understood(requests):
        print("hldm:", warning, file=sys.stderr)
    return requests


def _one_request(options):
    """The prompt of the command line, told on stdout as it was read."""
    from hldm.generation import Request
    from hldm.knowledge import read_prompt

    if options.output.suffix != ".wav":
        raise DataError("a name that ends in .wav", field="-o", value=str(options.output))
    reading = read_prompt(options.prompt)
    request = Request.of_reading(options.output.stem, options.prompt, options.seed, reading)
    for title, words in {
        "understood": request.understood,
        "implied": request.implied,
        "unknown": request.unknown,
        "problems": reading.problems,
    }.items():
        print(f"{title + ':':<12}{'; '.join(words) or 'nothing'}")
    if reading.problems:
        raise DataError("a prompt without problems", field="PROMPT", value=options.prompt)
    return request


def _evaluate(options) -> None:
    from hldm.evaluation import commands

    profile = PROFILES[options.profile]
    if options.latent:
        from hldm.models import MultiScaleVAE

        vae = _model(options).vae if options.experiment else MultiScaleVAE.from_pretrained()
        tables = [commands.measure_latent(vae, profile, options.corpus)]
    elif options.what_if:
        tables = commands.measure_edits(_model(options), profile, options.seeds)
    else:
        if not (options.corpus or circor_folder()):
            print("hldm: no corpus is named: measured on the simulated one, nothing on real hearts", file=sys.stderr)
        tables = [commands.measure_sounds(_model(options), profile, options.corpus)]
    print("\n\n".join(table.to_string(float_format="{:.3f}".format, na_rep="") for table in tables))


def _model(options):
    """The shipped model, or that of an experiment."""
    from hldm import Synthesizer
    from hldm.experiments import load

    return load(options.experiment, options.runs) if options.experiment else Synthesizer.from_pretrained()


def _book(options) -> int:
    from hldm.book.__main__ import main as book

    return book([options.task, "--profile", options.profile])


def _seed(text: str) -> int:
    number = int(text)
    if not 0 <= number < 2**63:
        raise ValueError
    return number


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError
    return number


def _several(text: str) -> int:
    number = int(text)
    if number < 3:
        raise ValueError
    return number


_several.__name__ = "number above 2"


def _scale(text: str) -> float:
    number = float(text)
    if not 0 <= number < float("inf"):
        raise ValueError
    return number


_scale.__name__ = "number from 0"
_count.__name__ = "number above 0"
_seed.__name__ = "seed from 0 to 2**63 - 1"  # argparse quotes the name: "invalid seed from 0 ... value: '-1'"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="hldm", description="Heart sounds from clinical metadata.")
    parser.add_argument("--version", action="version", version=f"hldm {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    def command(name: str, run, summary: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=summary, description=summary)
        sub.set_defaults(run=run)
        return sub

    sub = command("download", _download, "fetch a public data set, resuming an interrupted attempt")
    sub.add_argument("dataset", choices=["circor"])
    sub.add_argument("--to", type=Path, metavar="FOLDER", help="default: ~/.cache/hldm/DATASET, or $HLDM_CACHE/DATASET")
    sub.add_argument("--mirror", metavar="URL", help="a folder with the same content, instead of the publisher's")

    sub = command("simulate", _simulate, "write a simulated corpus in CirCor's format")
    sub.add_argument("folder", type=Path)
    sub.add_argument("--patients", type=_count, default=200)
    sub.add_argument("--seed", type=_seed, default=0)

    sub = command("check", _check, "read a corpus in CirCor's format and list every problem")
    sub.add_argument("corpus", type=Path, nargs="?", help="default: $HLDM_CIRCOR")

    sub = command("graph", _graph, "write the knowledge graph for other programs")
    sub.add_argument("file", type=Path, metavar="FILE", help="NAME.graphml (graph tools) or NAME.ttl (RDF)")

    sub = command("train", _train, "train a stage; an interrupted run resumes")
    sub.add_argument("stage", choices=_TRAININGS)
    _add_profile(sub)
    sub.add_argument("--epochs", type=_count, help="instead of the profile's, where a stage counts epochs")
    sub.add_argument(
        "--runs", type=Path, default=Path("runs"), help="folder for checkpoints and weights (default: runs)"
    )
    sub.add_argument("--seed", type=_seed, default=0)
    sub.add_argument("--experiment", metavar="NAME", help="an ablation of hldm.experiments; goes to RUNS/NAME")

    sub = command("generate", _generate, "write heart sounds that a sentence, a list of them or a table describes")
    what = sub.add_mutually_exclusive_group(required=True)
    what.add_argument("prompt", nargs="?", help='such as "An 8-year-old female with a grade II/VI systolic murmur"')
    what.add_argument("--prompts", type=Path, metavar="FILE", help="one prompt a line")
    what.add_argument("--records", type=Path, metavar="FILE.csv", help="one record a row, columns named as CirCor's")
    what.add_argument("--corpus", type=Path, metavar="FOLDER", help="a whole corpus in CirCor's format")
    sub.add_argument("-o", "--output", type=Path, metavar="PATH", help="FILE.wav for a prompt, else a folder")
    sub.add_argument("--patients", type=_count, metavar="N", help="of the corpus, drawn as CirCor's are distributed")
    sub.add_argument("--seed", type=_seed, default=0, help="same seed, same bytes; of the first sound (default: 0)")
    sub.add_argument("--duration", type=float, metavar="SECONDS", help="default: 5.12, of a corpus 10")
    sub.add_argument("--steps", type=_count, help="of the solver; default: the model's")
    sub.add_argument("--guidance", type=_scale, help="scale of guidance, 1 is none; default: the model's")
    sub.add_argument("--weights", type=Path, metavar="FOLDER", help="default: $HLDM_WEIGHTS, or the shipped ones")
    sub.add_argument("--batch", type=_count, default=16, metavar="N", help="sounds in the making at once (default: 16)")
    sub.add_argument("--overwrite", action="store_true", help="replace sounds of other requests at the same names")
    sub.set_defaults(wrong=sub.error)

    sub = command("evaluate", _evaluate, "measure generated sounds against the recordings of validation patients")
    sub.add_argument("corpus", type=Path, nargs="?", help="default: $HLDM_CIRCOR, else the simulated corpus")
    sub.add_argument("--experiment", metavar="NAME", help="weights that hldm train --experiment NAME made")
    sub.add_argument("--runs", type=Path, default=Path("runs"), help="folder of the experiments (default: runs)")
    sub.add_argument(
        "--latent", action="store_true", help="measure the VAE's subspaces instead, on simulated hearts too"
    )
    sub.add_argument("--what-if", action="store_true", help="measure what-if edits instead; needs no corpus")
    sub.add_argument("--seeds", type=_several, help="hearts to edit with --what-if (default: a third of the profile's)")
    _add_profile(sub)

    sub = command("book", _book, "execute the chapters and render the site to _build/html")
    sub.add_argument("task", nargs="?", default="build", choices=["build", "render", "links", "check", "serve"])
    _add_profile(sub)
    return parser


def _add_profile(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--profile", choices=list(PROFILES), default="smoke", help="how much work (default: smoke)")


if __name__ == "__main__":
    sys.exit(main())
