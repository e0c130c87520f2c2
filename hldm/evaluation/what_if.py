"""Does an edit do what it says, and leave the rest? Measured over many seeds, on waveforms.

Nothing here asks the model. Levels, timing, pitch and heart rate are measured along the beats that were asked for
(`hldm.evaluation.systole`); the judge, which was trained on real recordings only, gives a second opinion.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from hldm.config import SUBSPACES
from hldm.data.errors import DataError
from hldm.evaluation.measurers import Judge
from hldm.evaluation.physiology import s1_s2_envelope_correlation
from hldm.evaluation.resampling import seeds_mean
from hldm.evaluation.result import Row, table
from hldm.evaluation.systole import Systole, measure
from hldm.models.judge import ATTRIBUTES, attributes_of
from hldm.synthesis import HeartSound, Synthesizer

GRADES = ("I/VI", "II/VI", "III/VI")
GRADED = "A 7-year-old girl with a grade {} holosystolic murmur"
#: How the next grade is made: by an edit, by drawing all of it again with the same seed, or with another seed.
WAYS = ("what-if edit", "same seed, all drawn anew", "another seed")
MEASURES = tuple(field.name for field in dataclasses.fields(Systole))
AT_ONCE = 16  # sounds of one batch


@dataclass(frozen=True)
class Edit:
    """One change of a record, the measure that ought to follow, and in which direction.

    Attributes
    ----------
    name : str
    base, text : str
        Prompt of the heart that is edited, and the edit.
    measure : str
        One of `MEASURES`.
    sign : int
        1 if it ought to rise, -1 if it ought to fall.
    attribute : str or None
        What the judge is asked, of `hldm.models.judge.ATTRIBUTES`; None where it names no such thing.
    """

    name: str
    base: str
    text: str
    measure: str
    sign: int
    attribute: str | None


HEARD = "A 7-year-old girl with a grade III/VI holosystolic, plateau-shaped, low-pitched, blowing murmur"
QUIET = "A 7-year-old girl without a murmur, auscultated at AV"
#: One edit for each field that can be heard. S1 is the louder sound at the apex (MV), S2 at the base (AV).
EDITS = (
    Edit("grade: III/VI to I/VI", HEARD, "grade I/VI", "level", -1, "grade"),
    Edit("presence: III/VI to none", HEARD, "no murmur", "level", -1, "murmur"),
    Edit("presence: none to III/VI", QUIET, "grade III/VI holosystolic murmur", "level", 1, "murmur"),
    Edit("timing: holo- to early-systolic", HEARD, "early-systolic", "timing", -1, "timing"),
    Edit("shape: plateau to diamond", HEARD, "diamond-shaped", "shape", 1, "shape"),
    Edit("pitch: low to high", HEARD, "high-pitched", "pitch", 1, "pitch"),
    Edit("quality: blowing to musical", HEARD, "musical", "flatness", -1, "quality"),
    Edit("location: AV to MV", QUIET, "auscultated at MV", "s1_to_s2", 1, "location"),
    Edit("heart rate: to 150", QUIET, "heart rate 150", "heart_rate", 1, None),
)


def subspace_moves(a: HeartSound, b: HeartSound) -> dict[str, float]:
    """How far each subspace lies apart in two sounds: root mean square, in standard deviations of the latent.

    Raises
    ------
    ValueError
        For sounds of different length.
    """
    if (one := a.latent["murmur"].shape) != (other := b.latent["murmur"].shape):
        raise ValueError(f"latents of shapes {tuple(one)} and {tuple(other)}, expected sounds of equal length")
    return {name: float((a.latent[name] - b.latent[name]).square().mean().sqrt()) for name in SUBSPACES}


def grade_sweep(
    synth: Synthesizer,
    seeds: Sequence[int],
    *,
    grades: Sequence[str] = GRADES,
    prompt: str = GRADED,
    **options,
) -> pd.DataFrame:
    """Raise the grade of each seed's murmur step by step, in each of `WAYS`, and measure every sound.

    Parameters
    ----------
    seeds : sequence of int
        At least three: "another seed" borrows the hearts of the next ones.
    grades : sequence of str
        From soft to loud.
    prompt : str
        Of the patient, with ``{}`` for the grade.
    options
        As of `Synthesizer.__call__`.

    Returns
    -------
    DataFrame
        A row for each seed, way and grade: `MEASURES`, the S1/S2 envelope correlation with the first grade's sound
        of that seed, and how far each subspace moved from it.

    Raises
    ------
    DataError
        For fewer than three seeds, or than there are grades.
    """
    if len(seeds) < max(3, len(grades)):
        raise DataError(f"{max(3, len(grades))} or more", field="seeds", value=list(seeds))
    drawn = {grade: list(_batches(synth, prompt.format(grade), seeds, options)) for grade in grades}
    rows = []
    for i, (seed, base) in enumerate(zip(seeds, drawn[grades[0]], strict=True)):
        for step, grade in enumerate(grades):
            other = (i + step) % len(seeds)
            edited = base if grade == grades[0] else synth.what_if(base, f"grade {grade}", **_solver(options))
            sounds = edited, drawn[grade][i], drawn[grade][other]
            for way, sound in zip(WAYS, sounds, strict=True):
                rows.append({"seed": seed, "way": way, "grade": grade, **_against(base, sound)})
    return pd.DataFrame(rows)


def _batches(synth: Synthesizer, prompt: str, seeds: Sequence[int], options: dict) -> Iterator[HeartSound]:
    for start in range(0, len(seeds), AT_ONCE):
        some = list(seeds[start : start + AT_ONCE])
        yield from synth.batch([prompt] * len(some), some, **options)


def _solver(options: dict) -> dict:
    """The options that `what_if` takes as well: it keeps the duration of its base."""
    return {name: value for name, value in options.items() if name != "duration"}


def _against(base: HeartSound, sound: HeartSound) -> dict[str, float]:
    measured = measure(sound.waveform, sound.sampling_rate, sound.beats)
    same = s1_s2_envelope_correlation(base.waveform, sound.waveform, sound.sampling_rate)
    return dataclasses.asdict(measured) | {"correlation": same} | subspace_moves(base, sound)


def grade_sweep_table(rows: pd.DataFrame, *, wanted_db: float = 6.0, repeats: int = 100) -> pd.DataFrame:
    """The sweep in figures, seed by seed, with 95 % intervals over seeds.

    Parameters
    ----------
    rows : DataFrame
        As of `grade_sweep`.
    wanted_db : float
        A rise that counts.

    Returns
    -------
    DataFrame
        Indexed by metric and way, as of `hldm.evaluation.result.table`; intervals as of `seeds_mean`.
    """
    lines = []
    for way in dict.fromkeys(rows["way"]):
        part = rows[rows["way"] == way]
        wide = part.pivot(index="seed", columns="grade")
        grades = list(dict.fromkeys(part["grade"]))
        level, rate, first, last = wide["level"][grades], wide["heart_rate"], grades[0], grades[-1]
        for name, values in {
            "rises at every step (share)": (level.diff(axis=1).iloc[:, 1:] > 0).all(axis=1),
            "rise, first to last grade (dB)": level[last] - level[first],
            f"rises by {wanted_db:g} dB or more (share)": level[last] - level[first] >= wanted_db,
            "rise of systole alone (dB)": wide["systole"][last] - wide["systole"][first],
            "heart-rate drift (%)": 100 * (rate[last] / rate[first] - 1).abs(),
            "S1/S2 envelope correlation": wide["correlation"][last],
        }.items():
            lines.append(Row(name, seeds_mean(values.to_numpy(), repeats), of={"way": way}))
    names = list(dict.fromkeys(line.metric for line in lines))
    return table(sorted(lines, key=lambda line: names.index(line.metric)), ("metric", "way"))


def edit_controllability(
    synth: Synthesizer,
    seeds: Sequence[int],
    *,
    edits: Sequence[Edit] = EDITS,
    judge: Judge | None = None,
    **options,
) -> pd.DataFrame:
    """Make every edit on every seed, and measure before and after.

    Parameters
    ----------
    seeds : sequence of int
    judge : Judge, optional
        Default: the shipped one.
    options
        As of `Synthesizer.__call__`.

    Returns
    -------
    DataFrame
        A row for each edit and seed, with two levels of columns: ``before`` and ``after`` with `MEASURES` and
        ``judge``, the probability that the judge gives to what was asked for; and ``both`` with the S1/S2 envelope
        correlation.
    """
    judge = judge or Judge.from_pretrained()
    rows = {}
    for prompt in dict.fromkeys(edit.base for edit in edits):
        for seed, base in zip(seeds, _batches(synth, prompt, seeds, options), strict=True):
            mine = [edit for edit in edits if edit.base == prompt]
            sounds = [synth.what_if(base, edit.text, **_solver(options)) for edit in mine]
            heard = judge([sound.waveform for sound in (base, *sounds)]).probabilities
            before = _against(base, base)
            for i, (edit, sound) in enumerate(zip(mine, sounds, strict=True), start=1):
                after = _against(base, sound)
                said = _belief(heard, edit.attribute, sound)
                rows[edit.name, seed] = {
                    ("before", "judge"): said[0], ("after", "judge"): said[i],
                    ("both", "correlation"): after["correlation"],
                    **{("before", name): before[name] for name in MEASURES},
                    **{("after", name): after[name] for name in MEASURES},
                }  # fmt: skip
    frame = pd.DataFrame.from_dict(rows, orient="index")
    frame.index.names, frame.columns = ["edit", "seed"], pd.MultiIndex.from_tuples(frame.columns)
    return frame.loc[[edit.name for edit in edits]]


def _belief(heard: dict[str, np.ndarray], attribute: str | None, sound: HeartSound) -> np.ndarray:
    """The judge's probability of what was asked of `sound`, in every sound; NaN where it cannot say."""
    wanted = attribute and attributes_of(sound.record)[attribute]
    if not wanted:
        return np.full(len(heard["murmur"]), np.nan)
    return heard[attribute][:, ATTRIBUTES[attribute].index(wanted)]


def edit_controllability_table(
    rows: pd.DataFrame, edits: Sequence[Edit] = EDITS, *, repeats: int = 100
) -> pd.DataFrame:
    """For each edit: did the measure follow, did the judge, and what happened to S1 and S2.

    Parameters
    ----------
    rows : DataFrame
        As of `edit_controllability`.

    Returns
    -------
    DataFrame
        Indexed by edit and metric, as of `hldm.evaluation.result.table`; intervals are over seeds. ``better`` says
        which way the measure was to go.
    """
    lines = []
    for edit in edits:
        part, way = rows.loc[edit.name], {1: "higher", -1: "lower"}[edit.sign]
        before, after = part["before"][edit.measure], part["after"][edit.measure]
        figures = [
            ("before", before, "", edit.measure),
            ("after", after, "", edit.measure),
            ("change", after - before, way, edit.measure),
            ("seeds as wanted", edit.sign * (after - before) > 0, "higher", edit.measure),
            ("S1/S2 correlation", part["both"]["correlation"], "higher", "20 to 80 Hz"),
        ]
        if edit.attribute:
            opinion = part["before"]["judge"], part["after"]["judge"]
            figures += [("judge before", opinion[0], "", "judge"), ("judge after", opinion[1], "", "judge"),
                        ("judge's change", opinion[1] - opinion[0], "higher", "judge")]  # fmt: skip
        lines += [
            Row(metric, seeds_mean(values.to_numpy(), repeats), better, measured_by=by, of={"edit": edit.name})
            for metric, values, better, by in figures
        ]
    return table(lines, ("edit", "metric"))


def controllability_matrix(rows: pd.DataFrame) -> pd.DataFrame:
    """Mean change of every measure by every edit, in standard deviations of that measure over unedited hearts.

    Returns
    -------
    DataFrame (edits, measures)
    """
    change = (rows["after"] - rows["before"])[list(MEASURES)].groupby("edit", sort=False).mean()
    return change / rows["before"][list(MEASURES)].std()


def evaluate_what_if(synth: Synthesizer, seeds: Sequence[int], **options) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The tables of `grade_sweep` and `edit_controllability`; options as of `Synthesizer.__call__`."""
    sweep, edits = grade_sweep(synth, seeds, **options), edit_controllability(synth, seeds, **options)
    return grade_sweep_table(sweep), edit_controllability_table(edits)
