"""A corpus written in CirCor's format is read back as it was."""

import hashlib
import struct

import numpy as np
import pytest
import soundfile
import wfdb
from hypothesis import given, settings
from hypothesis import strategies as st
from published import HEADER

from hldm.data import (
    AgeGroup,
    CircorCorpus,
    ClinicalRecord,
    DataError,
    DiastolicMurmur,
    Location,
    Murmur,
    Outcome,
    Patient,
    Recording,
    Segment,
    Sex,
    State,
    SystolicMurmur,
    write_corpus,
)


def maybe(kind):
    return st.none() | st.sampled_from(list(kind))


def murmurs(kind):
    values = st.builds(kind, **{name: maybe(choices) for name, choices in kind.kinds.items()})
    return st.none() | values.filter(lambda murmur: murmur != kind())


@st.composite
def cohorts(draw):
    """Patients with all that CirCor's format can say, and their recordings."""
    cohort = []
    for number in range(draw(st.integers(1, 3))):
        murmur = draw(maybe(Murmur))
        details = {} if murmur == Murmur.ABSENT else {
            "murmur_locations": draw(st.lists(st.sampled_from(list(Location)), unique=True)),
            "systolic": draw(murmurs(SystolicMurmur)), "diastolic": draw(murmurs(DiastolicMurmur)),
        }  # fmt: skip
        record = ClinicalRecord(
            age_group=draw(maybe(AgeGroup)), sex=draw(maybe(Sex)), height_cm=draw(st.none() | st.floats(20, 250)),
            weight_kg=draw(st.none() | st.floats(0.3, 400)), pregnant=draw(st.sampled_from([None, True, False])),
            murmur=murmur, most_audible_location=draw(maybe(Location)), outcome=draw(maybe(Outcome)), **details,
        )  # fmt: skip
        sites = draw(st.lists(st.sampled_from(list(Location)), min_size=1, max_size=3))
        names = [
            f"S{number}_{site}_{i}" if sites.count(site) > 1 else f"S{number}_{site}" for i, site in enumerate(sites)
        ]
        patient = Patient(f"S{number}", record, tuple(names), draw(st.sampled_from([None, "CC2015"])), None)
        cohort.append((patient, [draw(recordings(patient, name)) for name in names]))
    return cohort


@st.composite
def recordings(draw, patient, name):
    samples = draw(st.lists(st.integers(-32768, 32767), min_size=2, max_size=50))
    ticks = st.integers(0, len(samples))
    rows = draw(st.lists(st.tuples(ticks, ticks, st.sampled_from(list(State))), min_size=1, max_size=5))
    location = Location(name.split("_")[1])
    return Recording(
        np.array(samples, np.float32) / 32768, 4000, location,
        tuple(sorted(Segment(min(a, b) / 4000, max(a, b) / 4000, s) for a, b, s in rows)),
        patient.record.replace(location=location), patient.patient_id, name,
    )  # fmt: skip


@settings(max_examples=40, deadline=None)
@given(cohort=cohorts())
def test_what_is_written_is_read_back(cohort, tmp_path_factory):
    root = write_corpus(tmp_path_factory.mktemp("written") / "corpus", cohort, comment="synthetic")
    corpus = CircorCorpus(root)
    assert corpus.patients == tuple(patient for patient, _ in cohort)
    assert corpus.check().ok
    for before, after in zip((r for _, many in cohort for r in many), corpus, strict=True):
        np.testing.assert_array_equal(after.waveform, before.waveform)
        for name in ("sampling_rate", "location", "segments", "record", "patient_id", "name"):
            assert getattr(after, name) == getattr(before, name)


def one(samples=(0.0, 0.5), rate=4000, name="S1_AV", **changes):
    patient = Patient("S1", ClinicalRecord(), (name,))
    recording = Recording(np.array(samples, np.float32), rate, patient_id="S1", name=name)
    return patient, [Recording(**{**recording.__dict__, **changes})]


def test_the_layout_is_the_published_one(tmp_path):
    root = write_corpus(tmp_path / "corpus", [one()], comment="synthetic", texts={"LICENSE.txt": "CC0\n"})
    folder = root / "training_data"
    assert (folder / "S1_AV.hea").read_bytes() == (b"S1_AV 1 4000 2\r\nS1_AV.wav 16+44 1 16 0 0 0 0 AV\r\n")
    assert (folder / "S1_AV.tsv").read_text() == "0\t0.0005\t0\n"  # nothing annotated: all of it is state 0
    assert (folder / "S1.txt").read_text().splitlines()[:3] == [
        "S1 1 4000", "AV S1_AV.hea S1_AV.wav S1_AV.tsv", "#Age: nan",
    ]  # fmt: skip
    assert (root / "training_data.csv").read_text().splitlines()[0] == HEADER
    assert (root / "RECORDS").read_text() == "training_data/S1_AV\n"
    sums = dict(line.split()[::-1] for line in (root / "SHA256SUMS.txt").read_text().splitlines())
    files = [p for p in root.rglob("*") if p.is_file() and p.name != "SHA256SUMS.txt"]
    assert sums == {p.relative_to(root).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}
    assert "LICENSE.txt" in sums


def test_a_comment_marks_the_wav_and_leaves_the_samples_where_the_header_says(tmp_path):
    root = write_corpus(tmp_path / "corpus", [one()], comment="synthetic heart sound")
    path = root / "training_data" / "S1_AV.wav"
    with soundfile.SoundFile(path) as file:
        assert file.comment == "synthetic heart sound"
    assert path.read_bytes()[44:48] == struct.pack("<hh", 0, 16384)
    signal = wfdb.rdrecord(str(path.with_suffix("")), physical=False)  # goes by the header alone
    np.testing.assert_array_equal(signal.d_signal[:, 0], [0, 16384])


def test_a_corpus_is_there_whole_or_not_at_all(tmp_path):
    def patients():
        yield one()
        raise RuntimeError("the simulator stopped")

    with pytest.raises(RuntimeError, match="stopped"):
        write_corpus(tmp_path / "corpus", patients())
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_overwritten(tmp_path):
    (tmp_path / "note").write_text("mine")
    with pytest.raises(FileExistsError):
        write_corpus(tmp_path, [one()])
    assert [p.name for p in tmp_path.iterdir()] == ["note"]


@pytest.mark.parametrize(
    "broken",
    [
        one(rate=2000),
        one(samples=(0, 1.5)),
        one(samples=(0, np.nan)),
        one(samples=[[0.0], [0.5]]),
        one(name="S1_XV"),
        one(name="S2_AV"),
        one(patient_id="S2"),
        (Patient("S1", ClinicalRecord(), ("S1_MV",)), one()[1]),
        (Patient("../S1", ClinicalRecord()), []),
    ],
)
def test_what_the_format_cannot_hold_is_refused(broken, tmp_path):
    with pytest.raises(DataError):
        write_corpus(tmp_path / "corpus", [broken])
    assert list(tmp_path.iterdir()) == []


def test_the_writer_writes_the_real_files_again_byte_for_byte(circor, tmp_path):
    some = circor.patients[:8]
    root = write_corpus(tmp_path / "copy", ((p, [circor.recording(n) for n in p.recordings]) for p in some))
    for path in (root / "training_data").iterdir():
        assert path.read_bytes() == (circor.folder / path.name).read_bytes(), path.name
