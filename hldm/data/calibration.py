"""Measuring recordings, real or simulated alike, and setting the simulator's constants by what is found.

Constants that a recording shows directly (heart rate, length of the sounds) are copied from the measurements.
The others are found by *indirect inference* (Gouriéroux, Monfort and Renault 1993): simulate a twin of every
recording, measure it in the same way, and move the constant by the difference. Whatever bias the measurement has,
it has on both sides.

``python -m hldm.data.calibration`` rewrites ``tables/calibration.csv`` from the ``train`` patients of
``HLDM_CIRCOR``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import wasserstein_distance

from hldm.data.records import ClinicalRecord, Murmur, Recording, SystolicGrade
from hldm.data.simulator import simulate
from hldm.data.simulator.constants import OCTAVES, age_key, calibration

N_FFT = 1024
MIN_BEATS = 3
MIN_GROUP = 5  # recordings; fewer say nothing about a group
#: What is compared between real and simulated recordings, with its unit and how to split it.
STATISTICS = {
    "heart_rate_bpm": ("bpm", "age"),
    "rr_variation": ("1", "all"),
    "systole_ms": ("ms", "age"),
    "diastole_ms": ("ms", "age"),
    "s1_duration_ms": ("ms", "age"),
    "s2_duration_ms": ("ms", "age"),
    "s1_minus_s2_db": ("dB", "location"),
    "s1_centroid_hz": ("Hz", "all"),
    "s2_centroid_hz": ("Hz", "all"),
    "centroid_hz": ("Hz", "all"),
    "systole_level_db": ("dB", "heard"),
    "diastole_level_db": ("dB", "heard"),
    "wander_db": ("dB", "all"),
}


def measure(recording: Recording) -> dict[str, float] | None:
    """What a recording shows; None with fewer than three complete annotated beats.

    Returns
    -------
    dict
        Medians over beats. Times: ``heart_rate_bpm``; ``rr_variation``, the robust standard deviation of the beat
        intervals over their median; ``systole_ms`` and ``diastole_ms`` from the onset of one sound to that of the
        next; ``systole_k_sqrt_ms``, systole over the root of the interval; ``s1_duration_ms`` and
        ``s2_duration_ms`` as annotated. Levels in dB: ``s1_level_dbfs``; ``s1_minus_s2_db``;
        ``systole_level_db`` and ``diastole_level_db``, 20 to 1,000 Hz amid the interval over S1;
        ``background_<octave>``, diastole over S1; ``s1_snap_db`` and ``s2_snap_db``, 200 to 800 Hz over 25 to
        125 Hz; ``wander_db``, mean over median of the diastolic power. Centroids in Hz: ``centroid_hz`` of
        whole beats, ``s1_centroid_hz`` and ``s2_centroid_hz`` (20 to 800 Hz), ``s1_peak_hz`` and ``s2_peak_hz``
        (25 to 125 Hz).
    """
    recording = recording.resample(4000)
    beats = recording.cycles
    if len(beats) < MIN_BEATS:
        return None
    s1, systole, s2, diastole, end = beats.T
    rr = end - s1
    spectrum = {
        "s1": _spectra(recording, s1, systole),
        "systole": _spectra(recording, *_within(systole, s2, 0.2, 0.8)),
        "s2": _spectra(recording, s2, diastole),
        "diastole": _spectra(recording, *_within(diastole, end, 0.35, 0.85)),
    }
    median = {name: np.median(power, axis=0) for name, power in spectrum.items()}
    level = {name: _level(power, 20, 1000) for name, power in spectrum.items()}  # (beats,)
    whole = np.mean(np.concatenate(list(spectrum.values())), axis=0)
    first = np.median(level["s1"])
    found = {
        "heart_rate_bpm": 60 / np.median(rr),
        "rr_variation": np.subtract(*np.percentile(rr, [75, 25])) / 1.35 / np.median(rr),
        "systole_ms": 1e3 * np.median(s2 - s1),
        "systole_k_sqrt_ms": np.sqrt(1e3) * np.median((s2 - s1) / np.sqrt(rr)),
        "diastole_ms": 1e3 * np.median(end - s2),
        "s1_duration_ms": 1e3 * np.median(systole - s1),
        "s2_duration_ms": 1e3 * np.median(diastole - s2),
        "s1_level_dbfs": first,
        "s1_minus_s2_db": first - np.median(level["s2"]),
        "systole_level_db": np.median(level["systole"]) - first,
        "diastole_level_db": np.median(level["diastole"]) - first,
        "centroid_hz": _centroid(whole, 20, 800),
        "wander_db": 10 * np.log10(np.mean(10 ** (level["diastole"] / 10))) - np.median(level["diastole"]),
    }
    for name in ("s1", "s2"):
        power = median[name]
        found[f"{name}_centroid_hz"] = _centroid(power, 20, 800)
        found[f"{name}_peak_hz"] = _centroid(power, 25, 125)
        found[f"{name}_snap_db"] = float(_level(power, 200, 800) - _level(power, 25, 125))
    for low, high in pairwise(OCTAVES):
        found[f"background_{low:g}"] = float(np.median(_level(spectrum["diastole"], low, high)) - first)
    return {name: float(value) for name, value in found.items()}


def _within(start: np.ndarray, end: np.ndarray, low: float, high: float) -> tuple[np.ndarray, np.ndarray]:
    return start + low * (end - start), start + high * (end - start)


def _spectra(recording: Recording, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Power density of one interval in every beat (Hann window), (beats, bins), per Hz."""
    rate, wave = recording.sampling_rate, recording.waveform
    first = (starts * rate).astype(int)
    length = np.clip(((ends - starts) * rate).astype(int), 32, N_FFT)[:, None]
    k = np.arange(N_FFT)
    window = np.where(k < length, 0.5 - 0.5 * np.cos(2 * np.pi * k / length), 0.0)
    at = np.minimum(first[:, None] + k, len(wave) - 1)
    power = np.abs(np.fft.rfft(wave[at] * window, axis=1)) ** 2
    return 2 * power / (rate * np.sum(window**2, axis=1, keepdims=True))


def _band(low: float, high: float) -> np.ndarray:
    frequency = np.fft.rfftfreq(N_FFT, 1 / 4000)
    return (frequency >= low) & (frequency < high)


def _level(power: np.ndarray, low: float, high: float) -> np.ndarray:
    """Power between two frequencies in dB relative to full scale."""
    return 10 * np.log10(np.sum(power[..., _band(low, high)], axis=-1) * 4000 / N_FFT + 1e-14)


def _centroid(power: np.ndarray, low: float, high: float) -> float:
    band = _band(low, high)
    return float(np.average(np.fft.rfftfreq(N_FFT, 1 / 4000)[band], weights=power[band]))


def measure_all(recordings: Iterable[Recording]) -> pd.DataFrame:
    """`measure` for many recordings, a row each, with their records and the groups in which they are compared."""
    rows = []
    for recording in recordings:
        found = measure(recording)
        if found is not None:
            origin = {"name": recording.name, "patient": recording.patient_id, "record": recording.record}
            rows.append({**origin, **groups(recording.record), **found})
    return pd.DataFrame(rows)


def groups(record: ClinicalRecord) -> dict[str, str]:
    """Age group, site, signal quality, and what is heard here: a systolic grade, or why there is none."""
    heard = "Absent"
    if record.murmur == Murmur.UNKNOWN:
        heard = "Unknown"
    elif record.murmur == Murmur.PRESENT and not record.murmur_here:
        heard = "elsewhere"
    elif record.murmur == Murmur.PRESENT:
        heard = str(record.systolic.grade) if record.systolic else "diastolic"
    quality = {"Absent": "good", "Unknown": "poor"}.get(heard, "murmur")
    return {
        "all": "all", "age": age_key(record), "location": str(record.location), "heard": heard, "quality": quality,
        "loudest": str(record.location == record.most_audible_location),
    }  # fmt: skip


def twins(table: pd.DataFrame, *, duration: float = 10.0, seed: int = 0) -> pd.DataFrame:
    """Measurements of a simulated recording for every row of `table`, of the same record.

    Only what a record does not say differs: heart rate, breathing, levels, noise.
    """
    made = (simulate(r, duration=duration, seed=seed + i).recording for i, r in enumerate(table["record"]))
    named = zip(made, table["name"], table["patient"], strict=True)
    return measure_all(replace(recording, name=name, patient_id=patient) for recording, name, patient in named)


def compare(real: pd.DataFrame, simulated: pd.DataFrame, *, splits: int = 10, seed: int = 0) -> pd.DataFrame:
    """Real against simulated distributions, a row for every statistic and group.

    Returns
    -------
    DataFrame
        ``statistic``, ``group``, ``unit``, ``n``; quartiles ``real_25`` ... ``simulated_75``; ``distance``, the
        Wasserstein distance in the statistic's unit; and ``floor``, the mean such distance between two halves of
        the real recordings that share no patient, over `splits` random halvings.
    """
    rng = np.random.default_rng(seed)
    rows = []
    for statistic, (unit, by) in STATISTICS.items():
        for group, part in real.groupby(by):
            other = simulated.loc[simulated[by] == group, statistic]
            if min(len(part), len(other)) < MIN_GROUP:
                continue
            row = {"statistic": statistic, "group": group, "unit": unit, "n": len(part)}
            for name, values in (("real", part[statistic]), ("simulated", other)):
                row |= {f"{name}_{q}": float(np.percentile(values, q)) for q in (25, 50, 75)}
            row["distance"] = float(wasserstein_distance(part[statistic], other))
            row["floor"] = float(np.mean([_halves(part, statistic, rng) for _ in range(splits)]))
            rows.append(row)
    return pd.DataFrame(rows)


def _halves(table: pd.DataFrame, statistic: str, rng: np.random.Generator) -> float:
    """Wasserstein distance between two halves of the patients."""
    patients = rng.permutation(table["patient"].unique())
    first = table["patient"].isin(patients[: len(patients) // 2])
    if first.all() or not first.any():
        return np.nan
    return wasserstein_distance(table.loc[first, statistic], table.loc[~first, statistic])


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
    """Rewrite ``tables/calibration.csv``."""
    from hldm.config import circor_folder
    from hldm.data.circor import CircorCorpus

    folder = circor_folder()
    if folder is None:
        raise SystemExit("HLDM_CIRCOR is not set: real recordings are needed to calibrate on")
    real = measure_all(CircorCorpus(folder, "train"))
    table = calibrate(real, "CirCor DigiScope 1.0.3, train patients")
    table.to_csv(Path(__file__).parent / "tables" / "calibration.csv", index=False, lineterminator="\n")
    print(compare(real, twins(real, seed=10**6)).round(2).to_string())


if __name__ == "__main__":
    main()
