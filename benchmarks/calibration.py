"""Setting the simulator's constants by what real recordings show.

Constants that a recording shows directly (heart rate, length of the sounds) are copied from the measurements.
The others are found by *indirect inference* (Gouriéroux, Monfort and Renault 1993): simulate a twin of every
recording, measure it in the same way, and move the constant by the difference. Whatever bias the measurement has,
it has on both sides.

``python benchmarks/calibration.py`` rewrites ``hldm/data/tables/calibration.csv`` from the ``train`` patients of
``HLDM_CIRCOR``.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from hldm.data import CircorCorpus
from hldm.data.measurement import MIN_GROUP, compare, measure_all, twins
from hldm.data.priors.constants import OCTAVES, calibration
from hldm.data.records import SystolicGrade
from hldm.paths import circor_folder, replacing


@dataclass(frozen=True)
class Rule:
    """How a constant follows from a statistic.

    Attributes
    ----------
    quantity, unit : str
        The constant's name in ``calibration.csv``, and its unit.
    statistic, by : str
        The column of `measure_all` that shows it, and the one that groups it: one constant for each group.
    how : {"shift", "ratio", "spread"}
        Add the difference of the medians, multiply by their ratio, or by the ratio of the interquartile ranges.
    start : float or None
        The first guess; None takes the measured median itself.
    """

    quantity: str
    unit: str
    statistic: str
    by: str
    how: str
    start: float | None = None


RULES = (
    Rule("heart_rate_bpm", "bpm", "heart_rate_bpm", "age", "ratio"),
    Rule("heart_rate_log_sd", "1", "heart_rate_bpm", "age", "spread", 0.15),
    Rule("rr_variation", "1", "rr_variation", "age", "ratio"),
    Rule("systole_k_sqrt_ms", "sqrt(ms)", "systole_k_sqrt_ms", "age", "ratio"),
    Rule("systole_k_log_sd", "1", "systole_k_sqrt_ms", "all", "spread", 0.08),
    Rule("s1_duration_ms", "ms", "s1_duration_ms", "age", "ratio"),
    Rule("s1_duration_log_sd", "1", "s1_duration_ms", "all", "spread", 0.2),
    Rule("s2_duration_ms", "ms", "s2_duration_ms", "age", "ratio"),
    Rule("s2_duration_log_sd", "1", "s2_duration_ms", "all", "spread", 0.2),
    Rule("s1_level_dbfs", "dB re full scale", "s1_level_dbfs", "all", "shift"),
    Rule("s1_level_sd_db", "dB", "s1_level_dbfs", "all", "spread", 6.0),
    Rule("s1_minus_s2_db", "dB", "s1_minus_s2_db", "location", "shift"),
    Rule("s1_minus_s2_sd_db", "dB", "s1_minus_s2_db", "all", "spread", 4.0),
    Rule("murmur_level_db", "dB re S1", "systole_level_db", "heard", "shift"),
    Rule("murmur_level_sd_db", "dB", "systole_level_db", "heard", "spread", 4.0),
    *(
        rule
        for sound in ("s1", "s2")
        for rule in (
            Rule(f"{sound}_peak_hz", "Hz", f"{sound}_peak_hz", "age", "ratio", 50.0),
            Rule(f"{sound}_pitch_octave_sd", "octave", f"{sound}_peak_hz", "all", "spread", 0.25),
            Rule(f"{sound}_snap_db", "dB re sound", f"{sound}_snap_db", "all", "shift"),
            Rule(f"{sound}_snap_sd_db", "dB", f"{sound}_snap_db", "all", "spread", 5.0),
        )
    ),
    *(Rule(f"background_{f:g}", "dB re S1", f"background_{f:g}", "quality", "shift") for f in OCTAVES[:-1]),
    *(Rule(f"background_{f:g}_sd", "dB", f"background_{f:g}", "all", "spread", 5.0) for f in OCTAVES[:-1]),
    Rule("background_wander_db", "dB", "wander_db", "all", "ratio", 3.0),
)
# Groups that show a constant, where not all do: a murmur covers the background, only a grade has a level, and
# soft murmurs drown in the background, so that only the loud ones show their spread.
SHOWN_BY = {
    "quality": {"good", "poor"},
    "murmur_level_db": {SystolicGrade.I, SystolicGrade.II, SystolicGrade.III},
    "murmur_level_sd_db": {SystolicGrade.III},
}


def calibrate(real: pd.DataFrame, measured_on: str, *, rounds: int = 5, seed: int = 0) -> pd.DataFrame:
    """The table ``calibration.csv`` from measured recordings.

    Parameters
    ----------
    real : DataFrame
        From `measure_all`.
    measured_on : str
        What they are, for the table.
    rounds : int
        How often twins are simulated and the constants moved.
    """
    values, rows = {}, {}
    for rule in RULES:
        for group, part in real.groupby(rule.by):
            shown_by = SHOWN_BY.get(rule.quantity, SHOWN_BY.get(rule.by, {group}))
            if len(part) >= MIN_GROUP and group in shown_by:
                start = float(part[rule.statistic].median()) if rule.start is None else rule.start
                values[rule.quantity, group] = start
                rows[rule.quantity, group] = rule, len(part)
    values["background_octave_correlation", "all"] = _octave_correlation(real)
    if np.isfinite(softer := _elsewhere(real)):
        values["murmur_elsewhere_db", "all"] = softer
    for trial in range(rounds):
        with calibration(values):
            simulated = twins(real, seed=seed + trial * len(real))
        for (quantity, group), (rule, _) in rows.items():
            ours = simulated.loc[simulated[rule.by] == group, rule.statistic]
            theirs = real.loc[real[rule.by] == group, rule.statistic]
            moved = _moved(values[quantity, group], rule.how, theirs, ours)
            # Later steps are shorter, so that the noise of one simulation averages out.
            values[quantity, group] += (moved - values[quantity, group]) / (1 + 0.5 * trial)
    units = {key: (rule.unit, n) for key, (rule, n) in rows.items()}
    units["background_octave_correlation", "all"] = ("1", int(np.sum(real["quality"] == "good")))
    units["murmur_elsewhere_db", "all"] = ("dB", int(np.sum(real["heard"] == SystolicGrade.III)))
    return pd.DataFrame(
        [(*key, round(value, 4), units[key][0], measured_on, units[key][1]) for key, value in values.items()],
        columns=["quantity", "group", "value", "unit", "measured_on", "n"],
    )


def _moved(value: float, how: str, theirs: pd.Series, ours: pd.Series) -> float:
    """A constant moved towards what would make `ours` like `theirs`, by no more than makes sense in one step."""
    if how == "shift":
        return value + float(np.clip(theirs.median() - ours.median(), -6, 6))
    if how == "ratio":
        return value * float(np.clip(theirs.median() / ours.median(), 0.5, 2))
    widths = [np.subtract(*np.percentile(values, [75, 25])) for values in (theirs, ours)]
    return value * float(np.clip(widths[0] / max(widths[1], 1e-9), 0.5, 2))


def _octave_correlation(real: pd.DataFrame) -> float:
    """Mean correlation of the background's neighbouring octaves, where no murmur covers it."""
    levels = real.loc[real["quality"] == "good", [f"background_{f:g}" for f in OCTAVES[:-1]]]
    return float(np.mean(np.diag(levels.corr().to_numpy(), k=1)))


def _elsewhere(real: pd.DataFrame) -> float:
    """How much softer grade III murmurs are where they are heard but not loudest, dB.

    Softer grades drown in the background and say nothing about it.
    """
    level = real[real["heard"] == SystolicGrade.III].groupby("loudest")["systole_level_db"].median()
    return float(level.get("False", np.nan) - level.get("True", np.nan))


def main() -> None:
    """Rewrite ``calibration.csv``."""
    folder = circor_folder()
    if folder is None:
        raise SystemExit("HLDM_CIRCOR is not set: real recordings are needed to calibrate on")
    real = measure_all(CircorCorpus(folder, "train"))
    table = calibrate(real, "CirCor DigiScope 1.0.3, train patients")
    folder = Path(__file__).parents[1] / "hldm" / "data" / "tables"
    with replacing(folder / "calibration.csv") as partial:
        table.to_csv(partial, index=False, lineterminator="\n")
    print(compare(real, twins(real, seed=10**6)).round(2).to_string())


if __name__ == "__main__":
    main()
