"""Measuring recordings, real or simulated alike, and telling how far their distributions lie apart."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pandas as pd
from scipy.stats import wasserstein_distance

from hldm.data.priors.constants import OCTAVES, age_key
from hldm.data.records import ClinicalRecord, Murmur, Recording
from hldm.data.simulator import simulate

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
