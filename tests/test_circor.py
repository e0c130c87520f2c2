"""CirCor as published: read, checked, written and read back."""

import hashlib
import struct

import numpy as np
import pandas as pd
import pytest
import soundfile
import wfdb
from hypothesis import given, settings
from hypothesis import strategies as st

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

HEADER = (
    "Patient ID,Recording locations:,Age,Sex,Height,Weight,Pregnancy status,Murmur,Murmur locations,"
    "Most audible location,Systolic murmur timing,Systolic murmur shape,Systolic murmur grading,"
    "Systolic murmur pitch,Systolic murmur quality,Diastolic murmur timing,Diastolic murmur shape,"
    "Diastolic murmur grading,Diastolic murmur pitch,Diastolic murmur quality,Outcome,Campaign,Additional ID"
)
#: Two patients as the published files spell them, with the corpus's oddities; the numbers are made up.
ROWS = [
    "101,AV+AV+Phc,nan,Female,nan,61.5,True,Present,AV,AV,nan,nan,nan,nan,nan,"
    "Early-diastolic,Decrescendo,I/IV,Low,Blowing,Abnormal,CC2014,102",
    "102,MV,Child,Male,98.0,nan,False,Absent,nan,nan,nan,nan,nan,nan,nan,nan,nan,nan,nan,nan,Normal,CC2015,101",
    "103,AV+MV,Infant,Male,nan,nan,False,Unknown,nan,nan,nan,nan,nan,nan,nan,nan,nan,nan,nan,nan,Normal,CC2015,nan",
]
NAMES = {"101": ["101_AV_1", "101_AV_2", "101_Phc"], "102": ["102_MV"]}
SAMPLES = 8000
TABLES = {
    "101_AV_1": "0\t0.5\t0\n0.5\t0.6\t1\n0.6\t0.8\t2\n0.8\t0.9\t3\n0.89\t1.4\t4\n1.4\t2\t0\n",  # overlaps
    "101_AV_2": "0.25\t0.5\t1\r\n0.6\t0.9\t2\r\n",  # begins late, ends early, leaves a gap, CRLF
    "101_Phc": "0\t2\t0",  # one line without an end
    "102_MV": "0\t0.5\t1\n0.5\t0.5\t2\n0.5\t2\t3\n",  # a segment of no length
}


def waveform(samples=SAMPLES):
    return np.random.default_rng(samples).integers(-32768, 32768, samples).astype(np.int16)


@pytest.fixture
def published(tmp_path):
    """A corpus written by hand as the publishers lay it out; patient 103 has no files here."""
    folder = tmp_path / "training_data"
    folder.mkdir()
    (tmp_path / "training_data.csv").write_text("\n".join([HEADER, *ROWS]) + "\n")
    columns = HEADER.split(",")[2:]
    for row in ROWS[:2]:
        patient, _, *values = row.split(",")
        lines = [f"{patient} {len(NAMES[patient])} 4000"]
        lines += [f"{n.split('_')[1]} {n}.hea {n}.wav {n}.tsv" for n in NAMES[patient]]
        lines += [f"#{column}: {value}" for column, value in zip(columns, values, strict=True)]
        (folder / f"{patient}.txt").write_text("\n".join(lines) + "\n")
    for name, table in TABLES.items():
        site = name.split("_")[1]
        text = f"{name} 1 4000 {SAMPLES}\r\n{name}.wav 16+44 1 16 0 0 0 0 {site}\r\n"
        (folder / f"{name}.hea").write_bytes(text.encode())
        (folder / f"{name}.tsv").write_bytes(table.encode())
        soundfile.write(folder / f"{name}.wav", waveform(), 4000, subtype="PCM_16")
    return tmp_path


def test_what_is_published_is_read(published):
    corpus = CircorCorpus(published)
    assert [r.name for r in corpus] == list(corpus.names) == [*NAMES["101"], *NAMES["102"]]
    assert len(corpus) == 4
    first = corpus.recording("101_AV_1")
    np.testing.assert_array_equal(first.waveform, waveform().astype(np.float32) / 32768)
    assert first.waveform.dtype == np.float32
    assert (first.sampling_rate, first.duration, first.location, first.patient_id) == (4000, 2.0, "AV", "101")
    assert first.segments[1] == Segment(0.5, 0.6, State.S1)
    assert first.heart_rate == pytest.approx(60 / 0.9)
    assert corpus.recording("101_Phc").segments == (Segment(0, 2, State.UNANNOTATED),)


def test_fields_are_typed_and_nan_is_unknown(published):
    first, second = CircorCorpus(published).patients
    assert first.record == ClinicalRecord(
        sex=Sex.FEMALE, weight_kg=61.5, pregnant=True, murmur=Murmur.PRESENT, murmur_locations=(Location.AV,),
        most_audible_location=Location.AV, outcome=Outcome.ABNORMAL,
        diastolic=DiastolicMurmur("Early-diastolic", "Decrescendo", "I/IV", "Low", "Blowing"),
    )  # fmt: skip
    assert (first.campaign, first.additional_id) == ("CC2014", "102")
    assert first.locations == ("AV", "AV", "Phc")
    assert (second.record.age_group, second.record.height_cm, second.record.systolic) == (AgeGroup.CHILD, 98, None)


def test_a_recording_knows_where_it_was_taken(published):
    corpus = CircorCorpus(published)
    assert corpus.recording("101_Phc").record == corpus.patients[0].record.replace(location="Phc")
    assert corpus.recording("101_Phc").record.murmur_here is False
    assert corpus.recording("101_AV_2").record.murmur_here is True


def test_the_older_release_has_another_column_of_sites_and_no_outcome(published):
    table = pd.read_csv(published / "training_data.csv", dtype=str, keep_default_na=False)
    table = table.drop(columns="Outcome").rename(columns={"Recording locations:": "Locations"})
    table.to_csv(published / "training_data.csv", index=False)
    for path in (published / "training_data").glob("*.txt"):
        path.write_text("\n".join(x for x in path.read_text().splitlines() if not x.startswith("#Outcome")))
    assert [p.record.outcome for p in CircorCorpus(published).patients] == [None, None]


def test_only_some_patients(published):
    splits = {"101": "train", "102": "val"}
    assert CircorCorpus(published, "val", splits=splits).names == ("102_MV",)
    assert CircorCorpus(published, max_patients=1).names == tuple(NAMES["101"])
    with pytest.raises(DataError, match="splits: found '102'"):
        CircorCorpus(published, "val", splits={"101": "train"}).names  # noqa: B018
    with pytest.raises(ValueError, match="validation"):
        CircorCorpus(published, "validation")
    with pytest.raises(KeyError, match="102_AV"):
        CircorCorpus(published).recording("102_AV")


def test_the_report_counts_oddities(published):
    report = CircorCorpus(published).check()
    assert report.ok
    assert (report.patients, report.recordings, report.absent) == (2, 4, 1)
    assert {k: v for k, v in (report.patient_oddities | report.recording_oddities).items() if v} == {
        "without age": 1, "without height": 1, "without weight": 1, "pregnant": 1, "diastolic murmur only": 1,
        "with an additional id": 2, "a site recorded repeatedly": 1, "name with a number": 2,
        "at another site (Phc)": 1, "nothing annotated": 1, "no complete beat": 3, "table starts after 0 s": 1,
        "table ends early": 1, "segments overlap (> 1 ms)": 1, "gaps between segments (> 1 ms)": 1,
        "segment of no length": 1,
    }  # fmt: skip
    assert report.hours == pytest.approx(8 / 3600)
    assert report.unannotated == pytest.approx(1 - (0.91 + 0.55 + 2) / 8)
    assert "pregnant" in str(report)


def edit(name, old, new):
    def spoil(root):
        path = root / name
        text = path.read_bytes().decode()
        assert old in text
        path.write_bytes(text.replace(old, new).encode())

    return spoil


def remove(name):
    return lambda root: (root / name).unlink()


def record(name, rate=4000, channels=1, samples=SAMPLES):
    noise = np.tile(waveform(samples)[:, None], channels)
    return lambda root: soundfile.write(root / name, noise, rate, subtype="PCM_16")


def garble(name):
    return lambda root: (root / name).write_bytes(b"\xff\xfe\x00")


def truncate(name, size):
    return lambda root: (root / name).write_bytes((root / name).read_bytes()[:size])


CSV, TXT = "training_data.csv", "training_data/102.txt"
HEA, WAV, TSV = (f"training_data/102_MV.{kind}" for kind in ("hea", "wav", "tsv"))

MALFORMED = {
    "no table of patients": (remove(CSV), "training_data.csv", None),
    "an empty table of patients": (truncate(CSV, 0), "training_data.csv", None),
    "a table that is no text": (garble(CSV), "training_data.csv", None),
    "a column short": (edit(CSV, ",Murmur locations", ""), "training_data.csv", "columns"),
    "no column of sites": (edit(CSV, "Recording locations:", "Where"), "training_data.csv", "columns"),
    "a patient twice": (edit(CSV, "103,", "102,"), "training_data.csv", "Patient ID"),
    "a stranger": (edit(CSV, "102,MV", "104,MV"), "102.txt", "id"),
    "an unknown value": (edit(TXT, "Male", "male"), "102.txt", "patient 102: Sex"),
    "an unknown yes": (edit(TXT, "False", "no"), "102.txt", "patient 102: Pregnancy status"),
    "an unknown grade": (edit("training_data/101.txt", "I/IV", "I/VI"), "101.txt",
                         "patient 101: Diastolic murmur grading"),
    "a negative height": (edit(TXT, "98.0", "-98"), "102.txt", "patient 102: Height"),
    "a field short": (edit(TXT, "#Murmur: Absent\n", ""), "102.txt", "patient 102"),
    "text and table at odds": (edit(TXT, "98.0", "89.0"), "102.txt", "Height"),
    "sites at odds": (edit(CSV, "102,MV", "102,AV"), "102.txt", "Recording locations:"),
    "another id": (edit(TXT, "102 1 4000", "103 1 4000"), "102.txt", "line 1"),
    "another count": (edit(TXT, "102 1 4000", "102 2 4000"), "102.txt", "line 1"),
    "another rate in the text": (edit(TXT, "102 1 4000", "102 1 2000"), "102.txt", "line 1"),
    "an empty text": (truncate(TXT, 0), "102.txt", "line 1"),
    "a path that leaves": (edit(TXT, "102_MV.wav", "../102_MV.wav"), "102.txt", "line 2"),
    "a site of no name": (edit(TXT, "MV", "XV"), "102.txt", "line 2"),
    "another patient's file": (edit(TXT, "102_MV.", "101_MV."), "102.txt", "line 2"),
    "a site that the name denies": (edit(TXT, "MV 102_MV", "AV 102_MV"), "102.txt", "line 2"),
    "no text": (garble(TXT), "102.txt", None),
    "no header": (remove(HEA), "102_MV.hea", None),
    "an empty header": (truncate(HEA, 0), "102_MV.hea", None),
    "a header of another length": (edit(HEA, "8000", "8001"), "102_MV.wav", "samples"),
    "a header of another rate": (edit(HEA, "4000", "2000"), "102_MV.hea", "sampling rate"),
    "a header of another site": (edit(HEA, "0 MV", "0 AV"), "102_MV.hea", "signal name"),
    "a header that leaves": (edit(HEA, "102_MV.wav", "../102_MV.wav"), "102_MV.hea", None),
    "a header of two channels": (edit(HEA, "102_MV 1", "102_MV 2"), "102_MV.hea", "number of channels"),
    "no audio": (remove(WAV), "102_MV.wav", None),
    "no WAV": (truncate(WAV, 20), "102_MV.wav", None),
    "a truncated WAV": (truncate(WAV, 9000), "102_MV.wav", "data"),
    "a WAV of another rate": (record(WAV, rate=2000), "102_MV.wav", "sampling rate"),
    "a WAV of two channels": (record(WAV, channels=2), "102_MV.wav", "channels"),
    "a shorter WAV": (record(WAV, samples=7999), "102_MV.wav", "samples"),
    "an empty WAV": (record(WAV, samples=0), "102_MV.wav", "data"),
    "no segments": (remove(TSV), "102_MV.tsv", None),
    "segments that are no text": (garble(TSV), "102_MV.tsv", None),
    "a header that is no text": (garble(HEA), "102_MV.hea", None),
    "an empty table of segments": (truncate(TSV, 0), "102_MV.tsv", None),
    "a state of no meaning": (edit(TSV, "\t3\n", "\t5\n"), "102_MV.tsv", "line 3"),
    "a segment that runs back": (edit(TSV, "0.5\t2\t3", "0.5\t0.4\t3"), "102_MV.tsv", "line 3"),
    "a segment of no time": (edit(TSV, "0.5\t2\t3", "0.5\tnan\t3"), "102_MV.tsv", "line 3"),
    "a segment past the end": (edit(TSV, "0.5\t2\t3", "0.5\t2.1\t3"), "102_MV.tsv", "line 3"),
    "two columns": (edit(TSV, "0.5\t2\t3", "0.5\t2"), "102_MV.tsv", "line 3"),
}  # fmt: skip


@pytest.mark.parametrize("case", MALFORMED)
def test_what_is_malformed_is_named(published, case):
    spoil, file, field = MALFORMED[case]
    spoil(published)
    with pytest.raises(DataError) as caught:
        list(CircorCorpus(published))
    assert (caught.value.file.name, caught.value.field) == (file, field)
    assert [p.file.name for p in CircorCorpus(published).check().problems][:1] == [file]


def test_a_folder_that_is_no_corpus_is_refused(tmp_path):
    with pytest.raises(DataError, match="training_data"):
        CircorCorpus(tmp_path)


def test_the_report_lists_all_problems_at_once(published):
    for name in ("a truncated WAV", "an unknown grade"):
        MALFORMED[name][0](published)
    remove("training_data/102_MV.tsv")(published)
    record("training_data/102_AV.wav")(published)
    edit("training_data.csv", ",Murmur locations", "")(published)
    report = CircorCorpus(published).check()
    assert not report.ok
    assert sorted(p.file.name for p in report.problems) == [
        "101.txt", "102_AV.wav", "102_MV.wav", "training_data.csv",
    ]  # fmt: skip
    assert all(str(problem) in str(report) for problem in report.problems)


def test_every_truncated_header_and_wav_is_refused(published):
    for name, sizes in (("102_MV.hea", range(52)), ("102_MV.wav", (0, 4, 11, 12, 30, 43, 44, 45, 100, 16043))):
        path = published / "training_data" / name
        whole = path.read_bytes()
        for size in sizes:
            path.write_bytes(whole[:size])
            with pytest.raises(DataError):
                CircorCorpus(published).recording("102_MV")
        path.write_bytes(whole)
    assert CircorCorpus(published).recording("102_MV").name == "102_MV"


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
        tuple(Segment(min(a, b) / 4000, max(a, b) / 4000, s) for a, b, s in rows),
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


def test_the_real_corpus_has_no_problem(circor):
    report = circor.check()
    assert report.problems == ()
    assert report.recordings == len(circor) == len(list(circor.folder.glob("*.wav")))
    table = circor.table.loc[[p.patient_id for p in circor.patients]]  # counted anew from the table
    expected = {
        "without age": (table["Age"] == "nan").sum(),
        "without height": (table["Height"] == "nan").sum(),
        "without weight": (table["Weight"] == "nan").sum(),
        "pregnant": (table["Pregnancy status"] == "True").sum(),
        "murmur unknown": (table["Murmur"] == "Unknown").sum(),
        "murmur absent, outcome abnormal": ((table["Murmur"] == "Absent") & (table["Outcome"] == "Abnormal")).sum(),
        "murmur present, outcome normal": ((table["Murmur"] == "Present") & (table["Outcome"] == "Normal")).sum(),
        "with an additional id": (table["Additional ID"] != "nan").sum(),
    }
    assert {name: report.patient_oddities[name] for name in expected} == expected
    assert report.recording_oddities["at another site (Phc)"] == len(list(circor.folder.glob("*_Phc*.wav")))


def test_wfdb_reads_the_same_samples(circor):
    for patient in circor.patients[:5]:
        for name in patient.recordings:
            signal = wfdb.rdrecord(str(circor.folder / name), physical=False).d_signal[:, 0]
            np.testing.assert_array_equal(circor.recording(name).waveform * 32768, signal)


def test_the_writer_writes_the_real_files_again_byte_for_byte(circor, tmp_path):
    some = circor.patients[:8]
    root = write_corpus(tmp_path / "copy", ((p, [circor.recording(n) for n in p.recordings]) for p in some))
    for path in (root / "training_data").iterdir():
        assert path.read_bytes() == (circor.folder / path.name).read_bytes(), path.name
