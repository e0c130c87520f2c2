"""Four other heart sound collections that a user may bring, behind the same `Recording` type.

Each reader takes the folder as its publishers lay it out, keeps their sampling rate (`Recording.resample` changes
it), and puts into the record only what a label says: a valve disease is a condition and an abnormal outcome, but
nobody said that its murmur can be heard.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from os import PathLike
from pathlib import Path

from hldm.data.errors import DataError, Defects
from hldm.data.folders import beside, files, files_below
from hldm.data.records import ClinicalRecord, Location, Murmur, Outcome, Recording, Sex
from hldm.data.text import read_csv
from hldm.data.wav import read_wav

#: Abbreviations of these collections -> conditions of the knowledge tables.
CONDITIONS = {
    "AS": "aortic_stenosis",
    "AR": "aortic_regurgitation",
    "MR": "mitral_regurgitation",
    "MS": "mitral_stenosis",
    "MVP": "mvp",
}


@dataclass(frozen=True)
class Entry:
    """What is known about a recording before its samples are read; `label` is the publishers' own word."""

    path: Path
    sampling_rate: int
    label: str
    record: ClinicalRecord = ClinicalRecord()  # noqa: RUF009  (frozen)
    patient_id: str = ""


class ExternalCorpus(ABC):
    """Iterable of `Recording`, one file at a time.

    What is not as its publishers promise is left out, with a warning each: a file, a row of a table, a file that no
    row is about. `left_out` names it.

    Parameters
    ----------
    root : path
    strict : bool
        Raise the first defect, instead of leaving it out.

    Raises
    ------
    DataError
        Where `root` is no folder or has none of the recordings; where `strict`, for the first defect.
    """

    def __init__(self, root: str | PathLike, *, strict: bool = False):
        self.root = Path(root).expanduser()
        self._defects = Defects(strict)
        if not self.root.is_dir():
            raise DataError("a folder", file=self.root)

    @property
    def left_out(self) -> tuple[DataError, ...]:
        """What could not be read so far: all of it, after an iteration."""
        return tuple(self._defects.problems)

    @abstractmethod
    def _index(self) -> dict[str, Entry]:
        """Every recording by its name."""

    @cached_property
    def entries(self) -> dict[str, Entry]:
        """Every recording by its name, without samples."""
        if not (entries := self._index()):
            raise DataError(f"the recordings of a {type(self).__name__}", file=self.root)
        return entries

    @property
    def labels(self) -> dict[str, str]:
        """The publishers' own label of each recording."""
        return {name: entry.label for name, entry in self.entries.items()}

    def __len__(self) -> int:
        return len(self.entries)

    def __iter__(self) -> Iterator[Recording]:
        return filter(None, (self._defects.attempt(self.recording, name) for name in self.entries))

    def _report_unlisted(self, folder: Path, listed: set[str], table: Path) -> None:
        for path in files(folder, ".wav"):
            if path.stem not in listed:
                self._defects(DataError(f"a recording that {table.name} lists", file=path))

    def recording(self, name: str) -> Recording:
        """Read one recording; a `DataError` where it is defective, whether the corpus is strict or not."""
        entry = self.entries[name]
        waveform, rate = read_wav(entry.path, entry.sampling_rate)
        return Recording(
            waveform=waveform,
            sampling_rate=rate,
            location=entry.record.location,
            record=entry.record,
            patient_id=entry.patient_id,
            name=name,
            path=entry.path,
        )


class Cinc2016Corpus(ExternalCorpus):
    """PhysioNet/CinC Challenge 2016: folders ``training-a`` to ``training-f`` of 2 kHz WAV and ``REFERENCE.csv``.

    1 (abnormal) and -1 (normal) become the outcome; sites and patients are not in these files. The challenge's
    ``validation`` folder repeats training recordings and is left out.

    Liu et al., "An open access database for the evaluation of heart sound algorithms", Physiol. Meas. 2016.
    """

    sampling_rate = 2000
    outcomes = {"1": Outcome.ABNORMAL, "-1": Outcome.NORMAL}  # noqa: RUF012

    def _index(self) -> dict[str, Entry]:
        entries = {}
        for folder in sorted(self.root.glob("training-*")):
            entries |= self._defects.attempt(self._folder, folder) or {}
        return entries

    def _folder(self, folder: Path) -> dict[str, Entry]:
        path = folder / "REFERENCE.csv"
        table = read_csv(path, names=["name", "label"], key="name", on_defect=self._defects)
        read = (
            self._defects.attempt(self._entry, path, *row) for row in zip(table["name"], table["label"], strict=True)
        )
        entries = {entry.path.stem: entry for entry in read if entry}
        self._report_unlisted(folder, set(table["name"]), path)
        return entries

    def _entry(self, table: Path, name: str, label: str) -> Entry:
        if label not in self.outcomes:
            raise DataError("1 (abnormal) or -1 (normal)", file=table, field=name, value=label)
        record = ClinicalRecord(outcome=self.outcomes[label])
        return Entry(_beside(table, table.parent, name), self.sampling_rate, label, record)


class YaseenCorpus(ExternalCorpus):
    """The five-class set of Yaseen et al.: 8 kHz WAV files ``New_AS_001.wav``, in folders of any name.

    AS, MR, MS and MVP become conditions with an abnormal outcome; N is the normal condition without a murmur.

    Yaseen, Son and Kwon, "Classification of Heart Sound Signal Using Multiple Features", Applied Sciences 2018.
    """

    sampling_rate = 8000

    def _index(self) -> dict[str, Entry]:
        entries: dict[str, Entry] = {}
        for path in files_below(self.root, ".wav"):
            entry = self._defects.attempt(self._entry, path)
            if entry and entries.setdefault(path.stem, entry) is not entry:
                self._defects(DataError("each recording once", file=path, field="name", value=path.stem))
        return entries

    def _entry(self, path: Path) -> Entry:
        match = re.fullmatch(r"New_(AS|MR|MS|MVP|N)_\d+", path.stem)
        if not match:
            raise DataError("New_CLASS_NUMBER with AS, MR, MS, MVP or N", file=path, field="name", value=path.stem)
        record = _diagnosed([] if match[1] == "N" else [match[1]])
        if match[1] == "N":
            record = record.replace(murmur=Murmur.ABSENT)
        return Entry(path, self.sampling_rate, match[1], record)


class PascalCorpus(ExternalCorpus):
    """PASCAL Classifying Heart Sounds Challenge 2011: set A at 44.1 kHz (a phone), set B at 4 kHz (DigiScope).

    Read as the challenge packed it (``Atraining_normal/*.wav``, ``Training B Normal/Btraining_noisynormal/*.wav``,
    ``Bunlabelledtest/*.wav``) or as the set with tables (``set_a/normal__201101070538.wav`` and ``set_a.csv``).
    ``normal`` and ``murmur`` say whether there is a murmur; extra heart sounds, extrasystoles, artefacts and the
    unlabelled leave the record empty and are told apart by `labels`. Sites are not documented. The number in the
    names of set B stands in for the patient.

    Bentley et al., "The PASCAL Classifying Heart Sounds Challenge 2011".
    """

    sampling_rates = {"A": 44100, "B": 4000}  # noqa: RUF012
    murmurs = {"normal": Murmur.ABSENT, "murmur": Murmur.PRESENT}  # noqa: RUF012
    pattern = re.compile(
        r"(?:^|/)(?:set_)?([abAB])(?:/|training_)?"
        r"(normal|murmur|extrahl?s|artifact|extra(?:sy)?stole|[AB]?unlabelledtest)"
    )
    spellings = {"extrahs": "extrahls", "extrasystole": "extrastole"}  # noqa: RUF012

    def _index(self) -> dict[str, Entry]:
        labels = self._labels()
        read = {
            path.relative_to(self.root).with_suffix("").as_posix(): self._defects.attempt(self._entry, path, labels)
            for path in files_below(self.root, ".wav")
        }
        return {name: entry for name, entry in read.items() if entry}

    def _entry(self, path: Path, labels: Mapping[str, str]) -> Entry:
        name = path.relative_to(self.root).with_suffix("").as_posix()
        match = self.pattern.search(name.replace("Training B Normal", "Btraining_normal"))
        if not match:
            expected = "set_a/LABEL__..., set_b/LABEL__..., Atraining_LABEL/... or Btraining_LABEL/..."
            raise DataError(expected, file=path, field="path", value=name)
        part, label = match[1].upper(), match[2].lstrip("AB")
        label = self.spellings.get(label, label)
        if (said := labels.get(_pascal_key(name), label)) != label:
            raise DataError(f"{said!r}, as in its table", file=path, field="label", value=label)
        subject = re.search(r"(?:^|[_/])(\d{3})_\d+_[A-Z]", name) if part == "B" else None
        return Entry(
            path, self.sampling_rates[part], label,
            ClinicalRecord(murmur=self.murmurs.get(label)), f"B{subject[1]}" if subject else "",
        )  # fmt: skip

    def _labels(self) -> dict[str, str]:
        """Labels by the tables that come with the repacked set; rows without one are left out."""
        labels = {}
        for path in sorted(self.root.glob("set_[ab].csv")):
            table = read_csv(path, columns=["fname", "label"], key="fname", on_defect=self._defects)
            labels |= {_pascal_key(n): label for n, label in zip(table["fname"], table["label"], strict=True) if label}
        return labels


class BmdHsCorpus(ExternalCorpus):
    """BUET Multi-disease Heart Sound data: ``train.csv``, ``train/*.wav`` (4 kHz, 20 s), ``additional_metadata.csv``.

    Each patient has eight recordings, ``MD_001_sup_Mit`` to ``MD_001_sit_Aor``: supine and sitting, at the mitral,
    tricuspid, pulmonary and aortic site. AS, AR, MR and MS become conditions, N a normal outcome; where all are
    ``N/A`` the record says nothing. Ages come as decades, which fit no age class, and are left out.

    Ali et al., "BUET Multi-disease Heart Sound Dataset", 2024.
    """

    sampling_rate = 4000
    sites = {"Mit": Location.MV, "Tri": Location.TV, "Pul": Location.PV, "Aor": Location.AV}  # noqa: RUF012
    diseases = ("AS", "AR", "MR", "MS")
    recordings = [f"recording_{number}" for number in range(1, 9)]  # noqa: RUF012
    sexes = {"M": Sex.MALE, "F": Sex.FEMALE}  # noqa: RUF012

    def _index(self) -> dict[str, Entry]:
        path = self.root / "train.csv"
        columns = ["patient_id", *self.diseases, "N", *self.recordings]
        table = read_csv(path, columns, key="patient_id", on_defect=self._defects)
        sexes = self._sexes()
        entries = {}
        for row in table.to_dict("records"):
            label, record = self._defects.attempt(self._diagnosis, row, path) or (None, None)
            for name in (row[column] for column in self.recordings if record):
                entry = self._defects.attempt(self._entry, path, name, row["patient_id"])
                if entry:
                    record = record.replace(sex=sexes.get(row["patient_id"]), location=entry.record.location)
                    entries[name] = replace(entry, label=label, record=record)
        self._report_unlisted(self.root / "train", set(table[self.recordings].to_numpy().ravel()), path)
        return entries

    def _entry(self, table: Path, name: str, patient_id: str) -> Entry:
        site = name.rpartition("_")[2]
        if site not in self.sites:
            raise DataError("a name that ends in _Mit, _Tri, _Pul or _Aor", file=table, field=patient_id, value=name)
        path = _beside(table, self.root / "train", name)
        return Entry(path, self.sampling_rate, "", ClinicalRecord(location=self.sites[site]), patient_id)

    def _diagnosis(self, row: Mapping[str, str], path: Path) -> tuple[str, ClinicalRecord]:
        flags = {name: row[name] for name in (*self.diseases, "N")}
        if set(flags.values()) == {"N/A"}:
            return "N/A", ClinicalRecord()
        present = [name for name in self.diseases if flags[name] == "1"]
        if not set(flags.values()) <= {"0", "1"} or (flags["N"] == "1") == bool(present):
            expected = "0 or 1 under AS, AR, MR, MS and N, and N alone where there is no disease"
            raise DataError(expected, file=path, field=row["patient_id"], value=flags)
        return "+".join(present) or "N", _diagnosed(present)

    def _sexes(self) -> dict[str, Sex]:
        path = self.root / "additional_metadata.csv"
        if not path.is_file():
            return {}
        table = read_csv(path, columns=["patient_id", "Gender"], key="patient_id", on_defect=self._defects)
        said = dict(zip(table["patient_id"], table["Gender"], strict=True))
        for patient_id, gender in said.items():
            if gender not in self.sexes:
                self._defects(DataError("M or F", file=path, field=patient_id, value=gender))
        return {patient_id: self.sexes[gender] for patient_id, gender in said.items() if gender in self.sexes}


def _diagnosed(diseases: list[str]) -> ClinicalRecord:
    """A record of these diseases by their abbreviations; of none, a normal one."""
    conditions = tuple(CONDITIONS[name] for name in diseases)
    return ClinicalRecord(
        conditions=conditions or ("normal",), outcome=Outcome.ABNORMAL if conditions else Outcome.NORMAL
    )


def _beside(table: Path, folder: Path, name: str) -> Path:
    """The WAV file that a table names, which must lie in `folder`."""
    if Path(name).name != name:
        raise DataError(f"the name of a file in {folder.name}", file=table, field="name", value=name)
    return beside(folder / f"{name}.wav")


def _pascal_key(name: str) -> str:
    """One key for the two spellings of a name: tables write ``Btraining_`` and single underscores."""
    stem = name.removesuffix(".wav").replace("Btraining_", "")
    return re.sub("_+", "_", stem)
