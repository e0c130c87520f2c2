"""``hldm generate``: one sound, a list of them, or a corpus."""

from __future__ import annotations

import sys
from pathlib import Path

from hldm.cli import arguments
from hldm.data.errors import DataError


def add_to(command) -> None:
    """Add the command to the parser."""
    sub = command("generate", generate, "write heart sounds that a sentence, a list of them or a table describes")
    what = sub.add_mutually_exclusive_group(required=True)
    what.add_argument("prompt", nargs="?", help='such as "An 8-year-old female with a grade II/VI systolic murmur"')
    what.add_argument("--prompts", type=Path, metavar="FILE", help="one prompt a line")
    what.add_argument("--records", type=Path, metavar="FILE.csv", help="one record a row, columns named as CirCor's")
    what.add_argument("--corpus", type=Path, metavar="FOLDER", help="a whole corpus in CirCor's format")
    sub.add_argument("-o", "--output", type=Path, metavar="PATH", help="FILE.wav for a prompt, else a folder")
    sub.add_argument(
        "--patients", type=arguments.count, metavar="N", help="of the corpus, at least 1, as CirCor's are distributed"
    )
    sub.add_argument(
        "--seed", type=arguments.seed, default=0, help="same seed, same bytes; of the first sound (default: 0)"
    )
    sub.add_argument("--duration", type=float, metavar="SECONDS", help="from 1 to 60; default: 5.12, of a corpus 10")
    sub.add_argument("--steps", type=arguments.count, help="of the solver; default: the model's")
    sub.add_argument("--guidance", type=arguments.scale, help="scale of guidance, 1 is none; default: the model's")
    sub.add_argument("--weights", type=Path, metavar="FOLDER", help="default: $HLDM_WEIGHTS, or the shipped ones")
    sub.add_argument(
        "--batch", type=arguments.count, default=16, metavar="N", help="sounds in the making at once (default: 16)"
    )
    sub.add_argument(
        "--overwrite",
        action="store_true",
        help="replace sounds that this command made for other requests; what it did not make is never replaced",
    )
    sub.set_defaults(wrong=sub.error)


def generate(options) -> None:
    """Read what is asked for, then make what is missing of it."""
    if (options.corpus is None) == (options.output is None):
        options.wrong("-o/--output is required for a prompt, --prompts and --records, and goes with nothing else")
    if (options.corpus is None) != (options.patients is None):
        options.wrong("--corpus FOLDER and --patients N go together")
    if options.corpus is None and not options.output.parent.is_dir():
        raise DataError("an existing folder", file=options.output.parent, field="-o")
    requests = _requests(options)  # before the model is loaded: a wrong one is told of at once
    from hldm.generation import Settings, Studio, generate_corpus
    from hldm.generation import generate as make

    duration = options.duration
    if options.corpus and duration is None:
        duration = 10.0  # as in a simulated corpus
    studio = Studio(Settings(duration, options.steps, options.guidance, options.weights))
    how = {"batch": options.batch, "overwrite": options.overwrite, "progress": True}
    if options.corpus:
        print(generate_corpus(options.corpus, options.patients, studio, seed=options.seed, **how))
        return
    folder = options.output if options.prompt is None else options.output.parent
    wavs = make(requests, folder, studio, **how)
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
