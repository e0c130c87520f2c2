"""A whole corpus of generated sounds in CirCor's format."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hldm.data.circor.format import Patient
from hldm.data.circor.write import check_unused, write_corpus
from hldm.data.priors.beats import Beats
from hldm.data.priors.constants import age_key, constant, physiology, stream
from hldm.data.priors.population import MAIN_SITES, draw_patient
from hldm.data.records import ClinicalRecord, Recording
from hldm.data.wav import read_wav
from hldm.generation.requests import Request
from hldm.generation.sounds import IDENTITY, SYNTHETIC, Studio, generate
from hldm.paths import workplace

FIRST_ID = 900_001  # above every patient id of CirCor, and of a simulated corpus of less than 800,000 patients
SIDECARS = "sounds.jsonl"
README = """# Generated heart sounds

No person was recorded for this corpus: `hldm generate --corpus` made it, in the layout of the CirCor DigiScope data
set, with seed {seed}. Patients are drawn as CirCor's are distributed. Labels are what the model was asked for, not what
somebody heard. `{sidecars}` says for every recording what it was made from and with which weights.

Segmentation: the onsets of S1 are those of the beat grid that the model was asked for. The other states are not
measured in the sound. They follow the simulator's beats without their random part: systole and the lengths of S1 and
S2 are those expected at the patient's age and for the length of the beat.
"""


@dataclass(frozen=True)
class Visit:
    """A patient, and what is asked for at each site."""

    patient: Patient
    requests: tuple[Request, ...]


def generate_corpus(
    destination: str | os.PathLike,
    patients: int,
    studio: Studio,
    *,
    seed: int = 0,
    batch: int = 16,
    overwrite: bool = False,
    progress: bool = False,
) -> Path:
    """Write a corpus that `CircorCorpus` reads: patients drawn as the simulator draws them, each heard at each site.

    Sounds gather in a folder ``NAME.partial`` beside `destination`, so that an interrupted run resumes; the corpus
    itself is there whole or not at all.

    Parameters
    ----------
    destination : path
        A folder that does not exist yet, or is empty; one that holds the finished corpus is left as it is.
    patients : int
    studio : Studio
        Its duration is that of every recording.
    seed : int
        The same seed gives the same corpus.
    batch, overwrite, progress
        As of `generate`.

    Returns
    -------
    Path
        `destination`.

    Raises
    ------
    FileExistsError
        Where `destination` is there, not empty, and not the corpus that is asked for.
    OSError
        As of `hldm.paths.workplace`.
    """
    destination = Path(destination).expanduser()
    visits = draw_visits(patients, seed)
    requests = [request for visit in visits for request in visit.requests]
    if is_finished(destination, requests, studio):
        return destination
    check_unused(destination)
    destination.parent.mkdir(parents=True, exist_ok=True)
    with workplace(destination.with_name(f"{destination.name}.partial"), keep=True) as partial:
        wavs = generate(requests, partial, studio, batch=batch, overwrite=overwrite, progress=progress)
        said = {wav.stem: json.loads(wav.with_suffix(".json").read_text(encoding="utf-8")) for wav in wavs}
        lines = [json.dumps({"name": name, **sidecar}, ensure_ascii=False) for name, sidecar in said.items()]
        texts = {
            "README.md": README.format(seed=seed, sidecars=SIDECARS),
            SIDECARS: "\n".join(lines) + "\n",
        }
        made = ((visit.patient, _recordings(visit, partial, said)) for visit in visits)
        write_corpus(destination, made, comment=SYNTHETIC, texts=texts)
    return destination


def is_finished(folder: Path, requests: Sequence[Request], studio: Studio) -> bool:
    """Whether a folder is the corpus of these requests, which is there whole or not at all."""
    try:
        said = [json.loads(line) for line in (folder / SIDECARS).read_text(encoding="utf-8").split("\n") if line]
    except (OSError, ValueError):
        return False
    wanted = [{"name": request.name, **json.loads(json.dumps(studio.identity(request)))} for request in requests]
    return [{name: one.get(name) for name in ("name", *IDENTITY)} for one in said if isinstance(one, dict)] == wanted


def draw_visits(patients: int, seed: int) -> list[Visit]:
    """Patients as `simulate_corpus` draws them, with their four main sites and every other that their record names."""
    seeds = np.random.SeedSequence(seed).generate_state(patients)
    return [_visit(str(FIRST_ID + index), int(own)) for index, own in enumerate(seeds)]


def _visit(patient_id: str, seed: int) -> Visit:
    record, rng = draw_patient(seed), stream(seed, "visit")
    requests = []
    for site in dict.fromkeys((*MAIN_SITES, *record.murmur_locations)):
        rate = round(float(np.clip(record.heart_rate * np.exp(rng.normal(0, 0.03)), 40, 220)), 1)
        here = record.replace(location=site, heart_rate=rate)
        requests.append(Request(f"{patient_id}_{site}", here, int(rng.integers(2**32))))
    names = tuple(request.name for request in requests)
    known = record.replace(location=None, heart_rate=None)
    return Visit(Patient(patient_id, known, names, "GENERATED"), tuple(requests))


def _recordings(visit: Visit, folder: Path, said: dict[str, dict]) -> list[Recording]:
    recordings = []
    for request in visit.requests:
        waveform, rate = read_wav(folder / f"{request.name}.wav")
        onsets = np.array(said[request.name]["beats"])
        segments = expected_beats(request.record, onsets).segments(len(waveform) / rate)
        recordings.append(
            Recording(waveform, rate, request.record.location, segments, request.record,
                      visit.patient.patient_id, request.name)
        )  # fmt: skip
    return recordings


def expected_beats(record: ClinicalRecord, onsets: np.ndarray) -> Beats:
    """The simulator's beats without their random part, on given onsets of S1.

    Parameters
    ----------
    record : ClinicalRecord
        With its heart rate, which gives the length of a lone beat.
    onsets : ndarray (beats,)
        Seconds. The last beat is taken to be as long as the median one.
    """
    age = age_key(record)
    last = np.median(np.diff(onsets)) if len(onsets) > 1 else 60 / record.heart_rate
    edges = np.append(onsets, onsets[-1] + last)
    rr = np.diff(edges)
    k = constant("systole_k_sqrt_ms", age, otherwise=physiology(age, "systole_k_sqrt_ms"))
    systole = np.clip(k * np.sqrt(1e3 * rr) / 1e3, 0.12, 0.62 * rr)

    def length(sound: str) -> float:
        return constant(f"{sound}_duration_ms", age, otherwise=physiology(age, f"{sound}_duration_ms")) / 1e3

    s1, s2 = np.minimum(length("s1"), 0.6 * systole), np.minimum(length("s2"), 0.6 * (rr - systole))
    return Beats(edges, systole, s1, s2, np.zeros(len(rr)), 0.0, 0.0)
