"""What is wrong with a corpus is named: file, field and what was found."""

import errno
import hashlib
from pathlib import Path

import numpy as np
import pytest
import soundfile
from published import SAMPLES, waveform

from hldm.data import CircorCorpus, DataError


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


def instead(name, make):
    """Something else under a file's name."""
    return lambda root: ((root / name).unlink(), make(root / name))


def loop(path):
    path.symlink_to(path.name)


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
    "recordings without their text": (remove(TXT), "102.txt", None),
    "a folder called as a text": (instead(TXT, Path.mkdir), "102.txt", None),
    "a folder called as a WAV": (instead(WAV, Path.mkdir), "102_MV.wav", None),
    "a link to itself": (instead(TSV, loop), "102_MV.tsv", None),
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
    "segments in reverse": (edit(TSV, "0\t0.5\t1\n0.5\t0.5\t2\n0.5\t2\t3\n", "0.5\t2\t3\n0\t0.5\t1\n"),
                            "102_MV.tsv", "line 2"),
    "a segment past the end": (edit(TSV, "0.5\t2\t3", "0.5\t2.1\t3"), "102_MV.tsv", "line 3"),
    "two columns": (edit(TSV, "0.5\t2\t3", "0.5\t2"), "102_MV.tsv", "line 3"),
}  # fmt: skip


@pytest.mark.parametrize("case", MALFORMED)
def test_what_is_malformed_is_named(published, case):
    spoil, file, field = MALFORMED[case]
    spoil(published)
    with pytest.raises(DataError) as caught:
        list(CircorCorpus(published, strict=True))
    assert (caught.value.file.name, caught.value.field) == (file, field)
    assert [p.file.name for p in CircorCorpus(published).check().problems][:1] == [file]


@pytest.mark.parametrize(
    "case", [case for case, (_, file, _) in MALFORMED.items() if file != CSV and case != "a stranger"]
)
def test_a_defect_costs_a_file_or_a_patient_and_is_said_once(published, case):
    spoil, file, _ = MALFORMED[case]
    spoil(published)
    corpus = CircorCorpus(published)
    patient = "101" if file == "101.txt" else "102"
    with pytest.warns(UserWarning, match=f"^left out: .*{file}") as said:
        found = [r.name for r in corpus]
    assert found == [name for name in ("101_AV_1", "101_AV_2", "101_Phc", "102_MV") if not name.startswith(patient)]
    assert [r.name for r in corpus] == found
    assert [str(w.message) for w in said] == [f"left out: {problem}" for problem in corpus.left_out]
    assert len(corpus.left_out) == 1


def test_one_recording_of_a_patient_is_left_out_and_the_others_stay(published):
    (published / "training_data/101_AV_2.tsv").write_text("0\t0\t28")  # as CirCor publishes one of its tables
    corpus = CircorCorpus(published)
    with pytest.warns(UserWarning, match="101_AV_2.tsv: line 1"):
        assert [r.name for r in corpus] == ["101_AV_1", "101_Phc", "102_MV"]
    with pytest.raises(DataError, match=r"101_AV_2\.tsv"):
        corpus.recording("101_AV_2")


@pytest.mark.parametrize("shifted", ["102,MV,", "102"])
def test_a_cell_too_many_or_too_few_costs_its_patient(published, shifted):
    edit(CSV, "102,MV", shifted)(published)
    corpus = CircorCorpus(published)
    with pytest.warns(UserWarning, match=r"training_data.csv: row 2: found \['102', .*expected 23 cells"):
        assert [p.patient_id for p in corpus.patients] == ["101"]


def test_what_pandas_and_a_spreadsheet_make_of_a_table_is_read(published):
    before = [(r.patient_id, r.record, r.name) for r in CircorCorpus(published)]
    patients = CircorCorpus(published).patients
    edit(CSV, "102,MV", "102.0,MV")(published)
    edit(CSV, "CC2014,102\n", "CC2014,102.0\n")(published)
    edit(CSV, "True", "TRUE")(published)
    edit(CSV, "False", "FALSE")(published)
    edit(CSV, ",nan,", ",,")(published)
    edit(CSV, ",98.0,", ",98,")(published)
    corpus = CircorCorpus(published, strict=True)
    assert [(r.patient_id, r.record, r.name) for r in corpus] == before
    assert corpus.patients == patients
    assert corpus.check().ok


def test_a_row_that_stands_twice_is_read_once_and_rows_that_disagree_cost_their_patient(published):
    path = published / CSV
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines, lines[2]]) + "\n")
    assert len(CircorCorpus(published, strict=True).patients) == 2
    path.write_text("\n".join([*lines, lines[2].replace("Child", "Infant")]) + "\n")
    with pytest.warns(UserWarning, match="Patient ID: found '102', expected each once, or the same row again"):
        assert [p.patient_id for p in CircorCorpus(published).patients] == ["101"]


def test_what_people_and_archivers_leave_in_a_folder_is_passed_over(published):
    folder = published / "training_data"
    for name in (".DS_Store", "._102.txt", "._102_MV.wav", "notes.txt", "__MACOSX/102.txt", "__MACOSX/102_MV.wav"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"\x00\x05\x16\x07")
    (folder / "102_MV.wav").rename(folder / "102_MV.WAV")
    corpus = CircorCorpus(published, strict=True)
    assert len(list(corpus)) == 4
    assert corpus.check().ok


@pytest.mark.parametrize("name", ["102.txt", "102_MV.tsv", "102_MV.wav"])
def test_a_disk_that_fails_names_the_file_and_the_check_goes_on(published, monkeypatch, name):
    def open_(self, *args, _open=Path.open, **options):
        if self.name == name:
            raise OSError(errno.EIO, "Input/output error", str(self))
        return _open(self, *args, **options)

    monkeypatch.setattr(Path, "open", open_)
    monkeypatch.setattr(Path, "read_text", lambda self, encoding: self.open(encoding=encoding).read())
    (problem,) = CircorCorpus(published).check().problems
    assert problem.file.name == name
    assert "Input/output error" in str(problem)


def test_an_empty_corpus_is_a_problem(published):
    for path in (published / "training_data").iterdir():
        path.unlink()
    assert not CircorCorpus(published).check().ok
    with pytest.raises(DataError, match="at least one patient"):
        list(CircorCorpus(published))


def test_the_check_verifies_the_corpus_own_sums(published):
    rows = [path for path in sorted(published.rglob("*")) if path.is_file()]
    sums = [f"{hashlib.sha256(p.read_bytes()).hexdigest()} {p.relative_to(published).as_posix()}\n" for p in rows]
    absent = f"{'0' * 64} training_data/103_AV.wav\n"  # a part of a corpus has a part of its files
    (published / "SHA256SUMS.txt").write_text("".join([*sums, absent]))
    assert CircorCorpus(published).check().ok
    record(WAV)(published)
    edit(WAV.replace("wav", "tsv"), "0.5\t2\t3", "0.5\t1.9\t3")(published)
    (problem,) = CircorCorpus(published).check().problems
    assert (problem.file.name, problem.field) == ("102_MV.tsv", "sha256")


def test_a_link_to_itself_does_not_stop_the_check_of_sums(published):
    (published / "SHA256SUMS.txt").write_text(f"{'0' * 64} {TSV}\n")
    MALFORMED["a link to itself"][0](published)
    (problem,) = CircorCorpus(published).check().problems
    assert problem.file.name == "102_MV.tsv"


@pytest.mark.parametrize("place", [".", "training_data"])
def test_a_folder_without_permission_is_named(published, monkeypatch, place):
    closed = published / place

    def stat(self, _stat=Path.stat, **options):
        if closed in self.parents:
            raise PermissionError(errno.EACCES, "Permission denied", str(self))
        return _stat(self, **options)

    monkeypatch.setattr(Path, "stat", stat)
    with pytest.raises(DataError, match="Permission denied") as caught:
        list(CircorCorpus(published, strict=True))
    assert caught.value.file == closed


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
