"""The recordings that sounds are measured against: real ones of patients that no model saw, else simulated ones."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from hldm.data.circor.corpus import CircorCorpus
from hldm.data.errors import DataError
from hldm.data.records import ClinicalRecord, Recording
from hldm.paths import circor_folder, simulated_folder


def unseen_corpus(max_patients: int | None = None, folder: str | os.PathLike | None = None) -> tuple[CircorCorpus, str]:
    """Recordings that the shipped weights were never trained on, and how tables name them.

    The val part of `folder`, or of the corpus that ``HLDM_CIRCOR`` names; without either the whole simulated corpus,
    none of whose patients the weights have seen. It shows that everything works, and says nothing about real hearts.

    Raises
    ------
    DataError
        Where the corpus has no validation patients.
    """
    if folder is None and circor_folder() is None:
        return CircorCorpus(simulated_folder(), max_patients=max_patients), "simulated corpus"
    name = "CirCor, val part" if folder is None else f"{Path(folder).name} val"
    corpus = CircorCorpus(folder or circor_folder(), split="val", max_patients=max_patients)
    if not len(corpus):
        raise DataError("recordings of validation patients", file=folder or circor_folder())
    return corpus, name


def records_of(reference: Sequence[Recording], n: int) -> list[ClinicalRecord]:
    """Records to ask a model for `n` sounds with, as various as the patients: spread evenly over the recordings."""
    return [reference[i * len(reference) // n].record for i in range(n)]
