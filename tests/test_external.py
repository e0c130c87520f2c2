"""The four external collections, in tiny folders of their published layouts."""

import numpy as np
import pytest
import soundfile

from hldm.data import BmdHsCorpus, Cinc2016Corpus, DataError, PascalCorpus, YaseenCorpus, read_table
from hldm.data.external import CONDITIONS


def wav(path, rate, seconds=0.25):
    path.parent.mkdir(parents=True, exist_ok=True)
    time = np.arange(int(rate * seconds)) / rate
    soundfile.write(path, 0.5 * np.sin(2 * np.pi * 50 * time), rate, subtype="PCM_16")


@pytest.fixture
def cinc(tmp_path):
    for name in ("training-a/a0001", "training-a/a0002", "training-b/b0001", "validation/a0001"):
        wav(tmp_path / f"{name}.wav", 2000)
    (tmp_path / "training-a" / "REFERENCE.csv").write_text("a0001,1\na0002,-1\n")
    (tmp_path / "training-b" / "REFERENCE.csv").write_text("b0001,-1\r\n")
    (tmp_path / "validation" / "REFERENCE.csv").write_text("a0001,1\n")
    return tmp_path


@pytest.fixture
def yaseen(tmp_path):
    for label in ("AS", "MR", "MS", "MVP", "N"):
        wav(tmp_path / f"{label}_New_3" / f"New_{label}_001.wav", 8000)
    return tmp_path


@pytest.fixture
def pascal(tmp_path):
    for name in ("normal__201101070538", "murmur__201101051104", "extrahls__201101070953", "artifact__201012172012",
                 "Aunlabelledtest__201012172010"):  # fmt: skip
        wav(tmp_path / "set_a" / f"{name}.wav", 44100)
    for name in ("normal__103_1305031931979_B", "normal_noisynormal_104_1305032492469_A",
                 "murmur__112_1306243000964_A", "extrastole__127_1306764300147_C2"):  # fmt: skip
        wav(tmp_path / "set_b" / f"{name}.wav", 4000)
    (tmp_path / "set_a.csv").write_text(
        "dataset,fname,label,sublabel\na,set_a/normal__201101070538.wav,normal,\n"
        "a,set_a/murmur__201101051104.wav,murmur,\na,set_a/__201012172010.wav,,\n"
    )
    (tmp_path / "set_b.csv").write_text(
        "dataset,fname,label,sublabel\nb,set_b/Btraining_normal_103_1305031931979_B.wav,normal,\n"
        "b,set_b/Btraining_normal_Btraining_noisynormal_104_1305032492469_A.wav,normal,noisynormal\n"
    )
    return tmp_path


SITES = ("sup_Mit", "sup_Tri", "sup_Pul", "sup_Aor", "sit_Mit", "sit_Tri", "sit_Pul", "sit_Aor")


@pytest.fixture
def bmd(tmp_path):
    rows = ["patient_id,AS,AR,MR,MS,N," + ",".join(f"recording_{n}" for n in range(1, 9))]
    for patient, flags, prefix in (("001", "1,1,0,0,0", "MD"), ("022", "N/A,N/A,N/A,N/A,N/A", "MD"),
                                   ("089", "0,0,0,0,1", "N")):  # fmt: skip
        names = [f"{prefix}_{patient}_{site}" for site in SITES]
        rows.append(f"patient_{patient},{flags},{','.join(names)}")
        for name in names:
            wav(tmp_path / "train" / f"{name}.wav", 4000)
    (tmp_path / "train.csv").write_text("\n".join(rows) + "\n")
    (tmp_path / "additional_metadata.csv").write_text(
        "patient_id,Age,Gender,Smoker,Lives\npatient_001,30-39,M,1,U\npatient_089,20-29,F,0,U\n"
    )
    return tmp_path


def test_conditions_are_those_of_the_knowledge_tables():
    assert {*CONDITIONS.values(), "normal"} <= set(read_table("conditions")["id"])


def test_cinc_labels_become_outcomes_and_validation_is_left_out(cinc):
    corpus = Cinc2016Corpus(cinc)
    assert [(r.name, r.record.outcome, r.sampling_rate) for r in corpus] == [
        ("a0001", "Abnormal", 2000), ("a0002", "Normal", 2000), ("b0001", "Normal", 2000),
    ]  # fmt: skip
    assert len(corpus) == 3
    assert all(r.record.murmur is None and r.location is None for r in corpus)


def test_yaseen_classes_become_conditions(yaseen):
    corpus = YaseenCorpus(yaseen)
    found = {corpus.labels[r.name]: (r.record.conditions, r.record.outcome, r.record.murmur) for r in corpus}
    assert found == {
        "AS": (("aortic_stenosis",), "Abnormal", None),
        "MR": (("mitral_regurgitation",), "Abnormal", None),
        "MS": (("mitral_stenosis",), "Abnormal", None),
        "MVP": (("mvp",), "Abnormal", None),
        "N": (("normal",), "Normal", "Absent"),
    }


def test_resampling_is_explicit(yaseen):
    recording = YaseenCorpus(yaseen).recording("New_N_001")
    assert (recording.sampling_rate, len(recording.waveform)) == (8000, 2000)
    slower = recording.resample(4000)
    assert (slower.sampling_rate, len(slower.waveform)) == (4000, 1000)
    time = np.arange(200, 800) / 4000  # away from the ends, where the filter rings
    np.testing.assert_allclose(slower.waveform[200:800], 0.5 * np.sin(2 * np.pi * 50 * time), atol=2e-3)


def test_pascal_keeps_both_rates_and_says_only_what_labels_say(pascal):
    corpus = PascalCorpus(pascal)
    assert {r.name.split("/")[0]: r.sampling_rate for r in corpus} == {"set_a": 44100, "set_b": 4000}
    murmurs = {corpus.labels[r.name]: r.record.murmur for r in corpus}
    assert murmurs == {
        "normal": "Absent", "murmur": "Present",
        "extrahls": None, "artifact": None, "extrastole": None, "unlabelledtest": None,
    }  # fmt: skip
    assert corpus.recording("set_b/normal_noisynormal_104_1305032492469_A").patient_id == "B104"


def test_pascal_as_the_challenge_packed_it(tmp_path):
    wav(tmp_path / "Atraining_extrahls" / "201101070953.wav", 44100)
    wav(tmp_path / "Aunlabelledtest" / "201012172010.wav", 44100)
    wav(tmp_path / "Training B Normal" / "103_1305031931979_B.wav", 4000)
    wav(tmp_path / "Training B Normal" / "Btraining_noisynormal" / "104_1305032492469_A.wav", 4000)
    wav(tmp_path / "Btraining_extrastole" / "127_1306764300147_C2.wav", 4000)
    corpus = PascalCorpus(tmp_path)
    assert sorted((corpus.labels[r.name], r.patient_id) for r in corpus) == [
        ("extrahls", ""), ("extrastole", "B127"), ("normal", "B103"), ("normal", "B104"), ("unlabelledtest", ""),
    ]  # fmt: skip


def test_bmd_has_several_conditions_and_eight_recordings_a_patient(bmd):
    corpus = BmdHsCorpus(bmd)
    assert len(corpus) == 24
    both = corpus.recording("MD_001_sit_Aor")
    assert both.record.conditions == ("aortic_stenosis", "aortic_regurgitation")
    assert (both.record.outcome, both.record.sex, both.location, both.patient_id) == (
        "Abnormal", "Male", "AV", "patient_001",
    )  # fmt: skip
    assert corpus.recording("N_089_sup_Mit").record.outcome == "Normal"
    unknown = corpus.recording("MD_022_sup_Tri")
    assert (unknown.record.conditions, unknown.record.outcome, unknown.location) == ((), None, "TV")


def removed(name):
    return lambda root: (root / name).unlink()


def written(name, text):
    return lambda root: (root / name).write_text(text)


def replaced(name, old, new):
    return lambda root: (root / name).write_text((root / name).read_text().replace(old, new))


def recorded(name, rate):
    return lambda root: wav(root / name, rate)


CINC, YASEEN, PASCAL, BMD = (
    (Cinc2016Corpus, "cinc"), (YaseenCorpus, "yaseen"), (PascalCorpus, "pascal"), (BmdHsCorpus, "bmd"),
)  # fmt: skip
REFERENCE = "training-a/REFERENCE.csv"
HEALTHY_WITHOUT_N = dict.fromkeys(["AS", "AR", "MR", "MS", "N"], "0")
METADATA = "additional_metadata.csv"


@pytest.mark.parametrize(
    ("corpus", "spoil", "file", "value"),
    [
        (CINC, removed(REFERENCE), "REFERENCE.csv", None),
        (CINC, written(REFERENCE, "a0001,2\n"), "REFERENCE.csv", "2"),
        (CINC, written(REFERENCE, "../a,1\n"), "REFERENCE.csv", "../a"),
        (CINC, written(REFERENCE, "a0001\n"), "REFERENCE.csv", ["a0001"]),
        (CINC, removed("training-a/a0001.wav"), "a0001.wav", None),
        (CINC, recorded("training-a/a0001.wav", 4000), "a0001.wav", 4000),
        (YASEEN, recorded("New_XX_001.wav", 8000), "New_XX_001.wav", "New_XX_001"),
        (YASEEN, recorded("other/New_N_001.wav", 8000), "New_N_001.wav", "New_N_001"),
        (PASCAL, recorded("set_a/cough__1.wav", 44100), "cough__1.wav", "set_a/cough__1"),
        (PASCAL, written("set_a.csv", "dataset,fname\n"), "set_a.csv", ["dataset", "fname"]),
        (PASCAL, replaced("set_a.csv", "wav,normal", "wav,murmur"), "normal__201101070538.wav", "normal"),
        (BMD, removed("train.csv"), "train.csv", None),
        (BMD, replaced("train.csv", "0,0,0,0,1", "0,0,0,0,0"), "train.csv", HEALTHY_WITHOUT_N),
        (BMD, replaced("train.csv", "MD_001_sup_Mit", "MD_001_sup_Back"), "train.csv", "MD_001_sup_Back"),
        (BMD, replaced("train.csv", ",MR,", ",XX,"), "train.csv", ...),
        (BMD, replaced(METADATA, ",M,", ",X,"), METADATA, "X"),
    ],
)  # fmt: skip
def test_what_is_malformed_is_named(corpus, spoil, file, value, request):
    reader, layout = corpus
    root = request.getfixturevalue(layout)
    spoil(root)
    with pytest.raises(DataError) as caught:
        list(reader(root, strict=True))
    assert caught.value.file.name == file
    assert value is ... or caught.value.value == value


def test_a_folder_without_recordings_is_no_corpus(tmp_path):
    with pytest.raises(DataError):
        len(YaseenCorpus(tmp_path))
    with pytest.raises(DataError):
        YaseenCorpus(tmp_path / "nowhere")


@pytest.mark.filterwarnings("ignore:left out")
def test_bmd_as_published_is_read_and_its_oddities_are_reported(bmd):
    """One file is called otherwise than its table says, and one patient's files have no row."""
    lines = (bmd / "train.csv").read_text().splitlines()
    (bmd / "train.csv").write_text("\n".join(line for line in lines if "patient_022" not in line) + "\n")
    (bmd / "train/MD_001_sit_Tri.wav").rename(bmd / "train/MD_001_sit_Tri6_06.wav")
    corpus = BmdHsCorpus(bmd)
    assert [r.name for r in corpus] == [
        *(f"MD_001_{site}" for site in SITES if site != "sit_Tri"), *(f"N_089_{site}" for site in SITES),
    ]  # fmt: skip
    assert sorted(problem.file.name for problem in corpus.left_out) == sorted(
        ["MD_001_sit_Tri.wav", "MD_001_sit_Tri6_06.wav", *(f"MD_022_{site}.wav" for site in SITES)]
    )


@pytest.mark.filterwarnings("ignore:left out")
@pytest.mark.parametrize(
    ("reference", "kept"),
    [
        ("a0001,1\na0002,-1\na0001,1\n", ["a0001", "a0002", "b0001"]),
        ("a0001,1\na0002,-1\na0001,-1\n", ["a0002", "b0001"]),
        ("a0001,1,1\na0002,-1\n", ["a0002", "b0001"]),
        ("a0001\na0002,-1\n", ["a0002", "b0001"]),
        ("a0001,2\na0002,-1\n", ["a0002", "b0001"]),
        ("", ["b0001"]),
    ],
)
def test_a_defective_row_costs_its_recording(cinc, reference, kept):
    (cinc / REFERENCE).write_text(reference)
    corpus = Cinc2016Corpus(cinc)
    assert [r.name for r in corpus] == kept
    assert bool(corpus.left_out) == (len(kept) < 3)
    assert all(str(cinc / "training-a") in str(problem) for problem in corpus.left_out)


def test_capital_endings_and_what_a_mac_left_behind(yaseen):
    for name in ("__MACOSX/AS_New_3/._New_AS_001.wav", "AS_New_3/._New_AS_001.wav", "AS_New_3/notes.txt"):
        (yaseen / name).parent.mkdir(parents=True, exist_ok=True)
        (yaseen / name).write_bytes(b"\x00\x05\x16\x07")
    (yaseen / "N_New_3/New_N_001.wav").rename(yaseen / "N_New_3/New_N_001.WAV")
    assert len(list(YaseenCorpus(yaseen, strict=True))) == 5


def test_a_table_finds_its_file_with_a_capital_ending(cinc):
    (cinc / "training-a/a0001.wav").rename(cinc / "training-a/a0001.WAV")
    assert len(list(Cinc2016Corpus(cinc, strict=True))) == 3


@pytest.mark.filterwarnings("ignore:left out")
def test_a_broken_file_costs_itself(yaseen):
    path = yaseen / "AS_New_3/New_AS_001.wav"
    path.write_bytes(path.read_bytes()[:100])
    corpus = YaseenCorpus(yaseen)
    assert len(list(corpus)) == 4
    assert [problem.file for problem in corpus.left_out] == [path]
