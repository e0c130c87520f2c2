"""Round trips at scale, phrases and their time on this machine: ``python benchmarks/knowledge.py [count]``.

Random records are told as narratives and as notes and read back; so is every record of the CirCor copy that
``HLDM_CIRCOR`` names, with every site that was recorded. Seconds are of one processor core.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Sequence

import numpy as np

from hldm.data import CircorCorpus, ClinicalRecord
from hldm.knowledge import as_noted, as_told, narrative, note, random_record, read_prompt


def round_trip(
    records: Sequence[ClinicalRecord],
    tell: Callable[[ClinicalRecord, int], object],
    told: Callable[[ClinicalRecord], ClinicalRecord],
) -> str:
    """Tell every record, read it back, and count the readings that give the same record and nothing else."""
    start = time.process_time()
    texts = [str(tell(record, seed)) for seed, record in enumerate(records)]
    middle = time.process_time()
    readings = [read_prompt(text) for text in texts]
    end = time.process_time()
    same = sum(
        reading.record == told(record) and not reading.unknown and not reading.problems
        for reading, record in zip(readings, records, strict=True)
    )
    return f"{same:,} of {len(records):,} read back; told in {middle - start:.1f} s, read in {end - middle:.1f} s"


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    generator = np.random.default_rng(2026)
    records = {f"{count:,} random records": [random_record(generator) for _ in range(count)]}
    if folder := os.environ.get("HLDM_CIRCOR"):
        corpus = CircorCorpus(folder)
        sites = {patient: {name.split("_")[1] for name in patient.recordings} for patient in corpus.patients}
        records[f"CirCor, {len(sites):,} patients at each recorded site"] = [
            patient.record.replace(location=site) for patient in sites for site in sorted(sites[patient])
        ]
    for name, some in records.items():
        print(f"{name}, narratives: {round_trip(some, narrative, as_told)}")
        print(f"{name}, notes:      {round_trip(some, note, as_noted)}")


if __name__ == "__main__":
    main()
