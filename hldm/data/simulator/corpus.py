"""Whole simulated corpora in CirCor's layout."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from os import PathLike
from pathlib import Path

import numpy as np
from tqdm import tqdm

from hldm.data.circor.format import Patient
from hldm.data.circor.write import write_corpus
from hldm.data.priors.constants import stream
from hldm.data.priors.population import MAIN_SITES, complete_record, draw_patient
from hldm.data.records import ClinicalRecord, DiastolicMurmur, Location, Recording, SystolicMurmur
from hldm.data.simulator.simulation import simulate

FIRST_ID = 100_001  # above every patient id of CirCor, which end at 85,349
README = """# Simulated heart sounds

No person was recorded for this corpus: `hldm.data.simulate_corpus` made it, in the layout of the CirCor
DigiScope data set, with seed {seed}. Labels and segmentation are those that the simulator was asked for.
"""

#: Twelve patients who show what a reader of CirCor has to cope with: every age group, a pregnant woman, poor
#: quality, each murmur shape, and a murmur in diastole only.
SHOWCASE = (
    ClinicalRecord(age_group="Child", murmur="Absent", outcome="Normal"),
    ClinicalRecord(
        age_group="Child", murmur="Present", murmur_locations=MAIN_SITES, most_audible_location="TV",
        systolic=SystolicMurmur("Holosystolic", "Plateau", "III/VI", "High", "Harsh"), outcome="Abnormal",
    ),
    ClinicalRecord(age_group="Infant", murmur="Absent"),
    ClinicalRecord(
        age_group="Infant", murmur="Present", murmur_locations=("PV", "TV"), most_audible_location="PV",
        systolic=SystolicMurmur("Mid-systolic", "Diamond", "II/VI", "Medium", "Harsh"),
    ),
    ClinicalRecord(pregnant=True, murmur="Absent", outcome="Normal"),
    ClinicalRecord(age_group="Neonate", murmur="Unknown"),
    ClinicalRecord(
        age_group="Adolescent", murmur="Present", murmur_locations=("AV", "PV"), most_audible_location="AV",
        diastolic=DiastolicMurmur("Early-diastolic", "Decrescendo", "II/IV", "High", "Blowing"),
        outcome="Abnormal",
    ),
    ClinicalRecord(
        age_group="Adolescent", murmur="Present", murmur_locations=("MV",), most_audible_location="MV",
        systolic=SystolicMurmur("Late-systolic", "Crescendo", "I/VI", "Medium", "Musical"),
    ),
    ClinicalRecord(
        age_group="Child", murmur="Present", murmur_locations=("MV", "TV"), most_audible_location="MV",
        systolic=SystolicMurmur("Early-systolic", "Decrescendo", "I/VI", "Low", "Blowing"), outcome="Normal",
    ),
    ClinicalRecord(age_group="Child", murmur="Unknown"),
    ClinicalRecord(age_group="Child", murmur="Absent", outcome="Abnormal"),
    ClinicalRecord(age_group="Young adult", murmur="Absent"),
)  # fmt: skip


def simulate_corpus(
    destination: str | PathLike,
    patients: int | Sequence[ClinicalRecord] = 200,
    *,
    seed: int = 0,
    duration: float = 10.0,
    locations: Sequence[Location] = MAIN_SITES,
    progress: bool = False,
) -> Path:
    """Write a corpus that `CircorCorpus` reads: patients drawn as CirCor's are distributed, four sites each.

    Parameters
    ----------
    destination : path
        A folder that does not exist yet, or is empty.
    patients : int or sequence of ClinicalRecord
        How many to draw, or the records of those wanted; what they leave open is drawn.
    seed : int
        The same seed gives the same corpus.
    duration : float
        Seconds of every recording.
    locations : sequence of Location
    progress : bool
        A bar on stderr, where that is a terminal.

    Returns
    -------
    Path
        `destination`.

    Raises
    ------
    FileExistsError
        Where `destination` is there and not empty.
    OSError
        As of `hldm.paths.replacing`.
    """
    seeds = np.random.SeedSequence(seed).generate_state(patients if isinstance(patients, int) else len(patients))
    records = map(draw_patient, map(int, seeds)) if isinstance(patients, int) else patients
    visits = _visits(records, seeds, duration, [Location(site) for site in locations])
    made = tqdm(visits, "simulating", len(seeds), unit="patient", disable=None if progress else True)
    texts = {"README.md": README.format(seed=seed)}
    return write_corpus(destination, made, comment="simulated, not a person", texts=texts)


def _visits(
    records: Iterator[ClinicalRecord] | Sequence[ClinicalRecord],
    seeds: np.ndarray,
    duration: float,
    locations: Sequence[Location],
) -> Iterator[tuple[Patient, list[Recording]]]:
    """Every patient with one recording a site, one patient at a time."""
    for index, (record, seed) in enumerate(zip(records, map(int, seeds), strict=True)):
        patient_id = str(FIRST_ID + index)
        record = complete_record(record, seed)
        rng = stream(seed, "visit")
        recordings = []
        for site in locations:
            rate = round(float(np.clip(record.heart_rate * np.exp(rng.normal(0, 0.03)), 40, 220)), 1)
            here = record.replace(location=site, heart_rate=rate)
            made = simulate(here, duration=duration, seed=int(rng.integers(2**32))).recording
            recordings.append(replace(made, patient_id=patient_id, name=f"{patient_id}_{site}"))
        names = tuple(recording.name for recording in recordings)
        yield Patient(patient_id, record.replace(location=None, heart_rate=None), names, "SIMULATED"), recordings
