"""Sounds by the file, the folder and the corpus: what was asked for is checked first, made once, and told beside it."""

import json
import os
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest
import soundfile
import torch
from hypothesis import given
from hypothesis import strategies as st
from small import write_small_weights

import hldm
from hldm import cli
from hldm.config import DiffusionConfig
from hldm.data import CircorCorpus, ClinicalRecord, DataError, simulate_corpus
from hldm.data.rows import SPELLINGS, from_row, to_row
from hldm.generation import Request, Settings, Studio, generate, generate_corpus, read_prompts, read_records
from hldm.generation.corpus import draw_visits
from hldm.knowledge import random_record
from hldm.paths import MARKER, workplace
from hldm.pretrained import sha256

PROMPT = "An 8-year-old female with a grade II/VI systolic murmur"


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A folder with a small untrained model: nothing here hangs on how it sounds."""
    folder = tmp_path_factory.mktemp("weights")
    write_small_weights(folder)
    return folder


@pytest.fixture(scope="module")
def studio(weights):
    return Studio(Settings(duration=1.5, steps=2, weights=weights))


@pytest.fixture
def requests():
    return [Request(f"s{i}", ClinicalRecord(murmur="Absent", heart_rate=60 + 20 * i), seed=i) for i in range(3)]


@pytest.fixture
def threads():
    """A function that sets how many torch has, until the test ends."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def sidecar(wav) -> dict:
    return json.loads(wav.with_suffix(".json").read_text(encoding="utf-8"))


def write(path, *lines):
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


# What is asked for


def test_a_file_of_prompts_one_a_line(tmp_path):
    path = write(tmp_path / "my hearts.txt", "# wanted", PROMPT, "", "  no murmur, HR 70 ")
    first, second = read_prompts(path, seed=5)
    assert (first.name, first.seed, first.prompt) == ("my_hearts-0001", 5, PROMPT)
    assert (second.name, second.seed, second.prompt) == ("my_hearts-0002", 6, "no murmur, HR 70")
    assert (first.record.systolic.grade, second.record.heart_rate) == ("II/VI", 70)


def test_the_line_of_a_wrong_prompt_is_named(tmp_path):
    path = write(tmp_path / "p.txt", "# one", PROMPT, "", "", "", "", "no murmur, grade III/VI systolic murmur", PROMPT)
    with pytest.raises(DataError, match=r"p\.txt: line 7: found 'no murmur, grade.*expected .*murmur"):
        read_prompts(path)


def test_prompts_are_split_at_newlines_only(tmp_path):
    path = tmp_path / "p.txt"
    path.write_text("no murmur,\x0b HR 70\r\na child,\u2028 HR\x0c 90\na\x85 boy", encoding="utf-8")
    assert [request.record.heart_rate for request in read_prompts(path)] == [70, 90, None]


@given(st.integers(0, 10**6))
def test_a_record_goes_into_a_row_and_back(seed):
    record = random_record(np.random.default_rng(seed))
    row = to_row(record)
    bare = {phase: None for phase in ("systolic", "diastolic") if row.pop(phase, None)}  # a phase, and no more known
    back = from_row({SPELLINGS[column.casefold()]: str(value) for column, value in row.items()})
    assert back == record.replace(**bare)


def test_a_table_of_records_in_either_spelling(tmp_path):
    circor = "Age,Murmur,Murmur locations,Systolic murmur grading,Pregnancy status,heart_rate,seed,name"
    ours = "age_group,murmur,murmur_locations,systolic_grade,pregnant,Heart_Rate,seed,name"
    rows = ["Child,Present,AV+PV,III/VI,False,,9,loud", "nan,Absent,nan,nan,nan,88.5,,"]
    loud, silent = read_records(write(tmp_path / "a.csv", circor, *rows), seed=3)
    assert (loud.name, loud.seed, silent.name, silent.seed) == ("loud", 9, "a-0002", 4)
    assert (loud.record.age_group, loud.record.systolic.grade) == ("Child", "III/VI")
    assert (loud.record.murmur_locations, loud.record.pregnant) == (("AV", "PV"), False)
    assert silent.record == ClinicalRecord(murmur="Absent", heart_rate=88.5)
    again = read_records(write(tmp_path / "b.csv", ours, *rows), seed=3)
    assert [request.record for request in again] == [loud.record, silent.record]


def test_circors_own_table_is_a_table_of_records(simulated, tmp_path):
    requests = read_records(simulated.root / "training_data.csv")
    assert [(request.name, request.record) for request in requests] == [
        (patient.patient_id, patient.record) for patient in simulated.patients
    ]
    table = pd.read_csv(simulated.root / "training_data.csv")  # ids become decimals, truths are spelled anew
    table["Additional ID"] = 1.5
    table.replace({True: "TRUE", False: "FALSE"}).to_csv(tmp_path / "respelled.csv")
    again = read_records(tmp_path / "respelled.csv")
    assert [(request.name, request.record) for request in again] == [(r.name, r.record) for r in requests]


def test_the_whole_published_table_can_be_asked_for(circor):
    requests = read_records(circor.root / "training_data.csv")
    assert [request.name for request in requests] == list(circor.table.index)


def test_ids_and_seeds_that_a_spreadsheet_took_for_decimals(tmp_path):
    path = write(tmp_path / "a.csv", "Patient ID,Additional ID,Pregnancy status,seed", "50001.0,50002.0,FALSE,7.0")
    (request,) = read_records(path)
    assert (request.name, request.seed, request.record) == ("50001", 7, ClinicalRecord(pregnant=False))


def test_a_prompt_adds_to_its_row(tmp_path):
    path = write(tmp_path / "a.csv", "heart_rate,Sex,prompt", '120,,"8-year-old girl, harsh systolic murmur"')
    (request,) = read_records(path)
    assert (request.record.heart_rate, request.record.sex, request.record.age_years) == (120, "Female", 8)
    assert request.record.systolic.quality == "Harsh"


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["Sex,Hat", "Male,purple"], r"a\.csv: columns: found 'Hat', expected columns among .*Sex"),
        (["Sex,sex", "Male,Male"], r"a\.csv: columns: found \['Sex', 'sex'\]"),
        (
            ["heart_rate", "60", "70", "900"],
            r"a\.csv: row 3: heart_rate: found '900', expected a number from",
        ),
        (["Systolic murmur grading", "II/VI", "2"], r"row 2: Systolic murmur grading: found '2', expected one of I/VI"),
        (["Murmur,systolic_grade", "Absent,I/VI"], r"row 1: Murmur: found 'Absent', expected no murmur attributes"),
        (["Pregnancy status", "maybe"], r"row 1: Pregnancy status: found 'maybe', expected True, False or nan"),
        (["conditions", "mumps"], r"row 1: conditions: found 'mumps', expected diagnoses of the knowledge graph"),
        (["Sex,seed", "Male,-1"], r"row 1: seed: found '-1', expected a whole number"),
        (["Sex,name", "Male,../a"], r"row 1: name: found '\.\./a', expected letters"),
        (["Sex,name", "Male,a", "Male,A"], r"row 2: name: found 'A', expected another name than row 1"),
        (["Sex,prompt", "Male,a girl"], r"row 1: prompt: Sex: found 'Female', expected 'Male'"),
        (["Sex,prompt", "Male,grade IX/VI murmur"], r"row 1: found 'grade IX/VI murmur', expected .*IX/VI"),
        (["Sex"], r"a\.csv: found 'none', expected at least one"),
        (["name,height_cm,weight_kg", "p1,110,20,"], r"a\.csv: row 1: found \['p1', .*expected 3 cells"),
        (["name,height_cm,weight_kg,heart_rate", "p1,110"], r"a\.csv: row 1: found \['p1', '110'\], expected 4 cells"),
        (["Sex,Sex", "Male,Female"], r"a\.csv: columns: found 'Sex', expected each column once"),
    ],
)
def test_what_is_wrong_with_a_table_is_named(tmp_path, lines, message):
    with pytest.raises(DataError, match=message):
        read_records(write(tmp_path / "a.csv", *lines))


# What is made


def test_same_seed_and_request_same_bytes_whatever_the_batch(studio, requests, tmp_path, threads):
    threads(3)
    for batch in (1, 2, 16):
        generate(requests, tmp_path / str(batch), studio, batch=batch)
    generate(requests[::-1], tmp_path / "reversed", studio)
    generate(requests[1:2], tmp_path / "alone", studio)
    for request in requests:
        bytes_ = {path.read_bytes() for path in tmp_path.glob(f"*/{request.name}.wav")}
        assert len(bytes_) == 1
    assert len({path.read_bytes() for path in (tmp_path / "1").glob("*.wav")}) == 3


def test_no_more_sounds_at_once_than_the_batch(studio, requests, tmp_path, monkeypatch, threads):
    threads(8)
    meeting, make = threading.Barrier(2, timeout=60), studio.make
    monkeypatch.setattr(studio, "make", lambda request: meeting.wait() >= 0 and make(request))
    generate([*requests, Request("s3", ClinicalRecord(), 3)], tmp_path, studio, batch=2)
    assert len(list(tmp_path.glob("*.wav"))) == 4


def test_the_sound_is_that_of_the_synthesizer_with_one_thread(studio, requests, tmp_path, threads):
    threads(1)
    (wav,) = generate(requests[:1], tmp_path, studio)
    studio.synth(requests[0].record, 0, duration=1.5, num_inference_steps=2).save(tmp_path / "own.wav")
    assert wav.read_bytes() == (tmp_path / "own.wav").read_bytes()
    with soundfile.SoundFile(wav) as file:
        assert (file.samplerate, file.frames) == (4000, 6000)
        assert "ynthetic" in file.comment


def test_the_sidecar_says_what_the_sound_is(studio, weights, tmp_path):
    path = write(tmp_path / "p.txt", f"{PROMPT} and a purple hat")
    (wav,) = generate(read_prompts(path, seed=4), tmp_path / "out", studio)
    said = sidecar(wav)
    assert "not a recording of a patient" in said["synthetic"]
    assert said["prompt"] == f"{PROMPT} and a purple hat"
    assert said["not_understood"] == ["purple", "hat"]
    assert said["asked"]["Systolic murmur grading"] == "II/VI"
    assert said["record"].items() >= said["asked"].items()
    assert {"heart_rate", "Systolic murmur timing", "location"} <= set(said["filled_in"])
    assert set(said["record"]) == {*said["asked"], *said["filled_in"]}
    assert (said["seed"], said["duration"], said["sampling_rate"], said["solver_steps"]) == (4, 1.5, 4000, 2)
    assert said["guidance_scale"] == DiffusionConfig().guidance_scale
    assert said["weights"] == {
        f"{name}.safetensors": sha256(weights / f"{name}.safetensors") for name in ("vae", "unet", "condition")
    }
    assert said["version"] == hldm.__version__
    assert said["sha256"] == sha256(wav)
    assert said["beats"][0] == 0


def test_what_is_finished_is_not_made_again_and_what_is_missing_is(studio, requests, tmp_path, monkeypatch):
    wavs = generate(requests, tmp_path, studio)
    whole = [wav.read_bytes() for wav in wavs]
    wavs[0].unlink()
    for path in (wavs[1], wavs[1].with_suffix(".json")):
        path.unlink()
    made, make = [], studio.make
    monkeypatch.setattr(studio, "make", lambda request: made.append(request.name) or make(request))
    generate(requests, tmp_path, studio)
    assert sorted(made) == ["s0", "s1"]
    assert [wav.read_bytes() for wav in wavs] == whole


def test_where_nothing_is_to_be_done_no_model_is_loaded(studio, weights, requests, tmp_path):
    generate(requests, tmp_path / "sounds", studio)
    generate_corpus(tmp_path / "corpus", 1, studio)
    lazy = Studio(studio.settings)
    assert generate(requests, tmp_path / "sounds", lazy) == [tmp_path / "sounds" / f"s{i}.wav" for i in range(3)]
    assert generate_corpus(tmp_path / "corpus", 1, lazy) == tmp_path / "corpus"
    assert "synth" not in vars(lazy)
    with pytest.raises(FileExistsError, match="is not empty"):
        generate_corpus(tmp_path / "corpus", 1, lazy, seed=1)


FOREIGN = {
    "a recording": ("s1.wav", b"RIFF my own recording"),
    "notes": ("s1.json", b'{"patient": "mine"}'),
    "no JSON": ("s1.json", b"mine"),
    "half a sidecar": ("s1.json", b'{"synthetic": "Synthetic heart'),
    "a deep table": ("s1.json", b"[" * 100_000),
}


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("what", FOREIGN)
def test_what_others_wrote_is_never_overwritten(studio, requests, tmp_path, what, overwrite):
    name, content = FOREIGN[what]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=rf"{name}: expected no file, or .*move it away"):
        generate(requests, tmp_path, studio, overwrite=overwrite)
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [(name, content)]


@pytest.mark.parametrize("name", ["s1.wav", "s1.json"])
def test_a_link_that_leads_nowhere_stays(studio, requests, tmp_path, name):
    (tmp_path / name).symlink_to("/not/mounted/now")
    with pytest.raises(DataError, match=rf"{name}: expected no file, or .*move it away"):
        generate(requests, tmp_path, studio, overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("overwrite", [False, True])
def test_what_somebody_writes_while_a_sound_is_made_stays(studio, requests, tmp_path, monkeypatch, overwrite):
    def make(request, _make=studio.make):
        (tmp_path / f"{request.name}.wav").write_text("mine")
        return _make(request)

    monkeypatch.setattr(studio, "make", make)
    with pytest.raises(DataError, match="move it away"):
        generate(requests[:1], tmp_path, studio, overwrite=overwrite)
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("s0.wav", "mine")]


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_sound_that_somebody_edited_is_theirs(studio, requests, tmp_path, overwrite):
    wavs = generate(requests, tmp_path, studio)
    wavs[1].write_bytes(b"edited")
    with pytest.raises(DataError, match=r"s1\.wav: expected no file, or the one that s1\.json was written for"):
        generate(requests, tmp_path, studio, overwrite=overwrite)
    assert wavs[1].read_bytes() == b"edited"


def test_folders_of_the_users_with_our_names_stay(studio, requests, tmp_path):
    for name in (".s0.wav.partial", "corpus.partial"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "thesis.txt").write_text("mine")
    for make in (generate_corpus, generate):
        with pytest.raises(FileExistsError, match="in the way"):
            make(tmp_path / "corpus", 1, studio) if make is generate_corpus else make(requests, tmp_path, studio)
    assert [path.read_text() for path in tmp_path.rglob("thesis.txt")] == ["mine", "mine"]


def test_what_a_kill_left_is_cleaned_up_even_by_another_request(studio, requests, tmp_path):
    left = tmp_path / ".old.wav.partial"
    left.mkdir()
    for name in (MARKER, "old.wav"):
        (left / name).touch()
    generate(requests[:1], tmp_path, studio)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["s0.json", "s0.wav"]


def test_what_somebody_is_at_work_on_stays(studio, requests, tmp_path):
    with workplace(tmp_path / ".other.wav.partial") as aside:
        (aside / "other.wav").touch()
        generate(requests[:1], tmp_path, studio)
        assert (aside / "other.wav").exists()


def test_two_at_one_folder_share_the_work_and_agree(studio, requests, tmp_path, monkeypatch):
    made, make = [], studio.make
    monkeypatch.setattr(studio, "make", lambda request: made.append(request.name) or make(request))
    with ThreadPoolExecutor(2) as pool:
        for future in [pool.submit(generate, order, tmp_path, studio) for order in (requests, requests[::-1])]:
            future.result()
    assert sorted(made) == ["s0", "s1", "s2"]
    assert all(sidecar(wav)["sha256"] == sha256(wav) for wav in tmp_path.glob("*.wav"))


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"seed": 9}, "seed: found 2, expected 9"),
        ({"prompt": "a child"}, "prompt: found 'nothing', expected 'a child'"),
        ({"record": ClinicalRecord(murmur="Absent", heart_rate=77)}, "asked: heart_rate: found 100.0, expected 77.0"),
        ({"record": ClinicalRecord(murmur="Absent")}, "asked: heart_rate: found 100.0, expected 'nothing'"),
    ],
)
def test_another_request_is_not_overwritten_unasked(studio, requests, tmp_path, monkeypatch, change, field):
    generate(requests, tmp_path, studio)
    other = Request(**{**vars(requests[2]), **change})
    made, make = [], studio.make
    monkeypatch.setattr(studio, "make", lambda request: made.append(request.name) or make(request))
    (tmp_path / "s0.wav").unlink()
    with pytest.raises(DataError, match=rf"s2\.json: {field}; or --overwrite"):
        generate([*requests[:2], other], tmp_path, studio)
    assert made == []
    generate([*requests[:2], other], tmp_path, studio, overwrite=True)
    assert sorted(made) == ["s0", "s2"]
    assert sidecar(tmp_path / "s2.wav")["seed"] == other.seed


def test_a_failure_leaves_nothing_half_written(studio, requests, tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError("No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        generate(requests, tmp_path, studio)
    assert list(tmp_path.iterdir()) == []


# A corpus


def test_a_corpus_is_circors_in_format_and_the_simulators_in_patients(studio, tmp_path):
    root = generate_corpus(tmp_path / "corpus", 2, studio, seed=3)
    corpus = CircorCorpus(root)
    assert corpus.check().problems == ()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["corpus"]
    simulated = CircorCorpus(simulate_corpus(tmp_path / "simulated", 2, seed=3, duration=1.5))
    assert [p.record for p in corpus.patients] == [p.record for p in simulated.patients]
    assert min(int(patient.patient_id) for patient in corpus.patients) > 900_000
    said = [json.loads(line) for line in (root / "sounds.jsonl").read_text(encoding="utf-8").splitlines()]
    for recording, how in zip(corpus, said, strict=True):
        assert recording.name == how["name"]
        assert [s.start for s in recording.segments if s.state == 1] == pytest.approx(how["beats"], abs=1e-5)
        assert recording.heart_rate == pytest.approx(how["record"]["heart_rate"], rel=0.3)
        assert "ynthetic" in soundfile.SoundFile(recording.path).comment
    assert "not\nmeasured in the sound" in (root / "README.md").read_text(encoding="utf-8")


def test_every_site_that_a_record_names_is_heard():
    visits = draw_visits(60, seed=1)
    for visit in visits:
        sites = {request.record.location for request in visit.requests}
        assert sites >= {"AV", "PV", "TV", "MV", *visit.patient.record.murmur_locations}
        assert len({request.record.replace(location=None, heart_rate=None) for request in visit.requests}) == 1
    assert len({request.seed for visit in visits for request in visit.requests}) > 239


def test_an_interrupted_corpus_resumes(studio, tmp_path, monkeypatch, threads):
    threads(1)
    made, make = [], studio.make

    def until_the_third(request):
        made.append(request.name)
        if len(made) == 3:
            raise OSError("interrupted")
        return make(request)

    monkeypatch.setattr(studio, "make", until_the_third)
    with pytest.raises(OSError, match="interrupted"):
        generate_corpus(tmp_path / "corpus", 1, studio)
    assert not (tmp_path / "corpus").exists()
    generate_corpus(tmp_path / "corpus", 1, studio)
    assert len(made) == len(set(made)) + 1


# The command line


def run(*arguments) -> int:
    return cli.main(["generate", *map(str, arguments)])


def test_a_prompt_a_list_a_table_and_a_corpus_from_the_command_line(weights, tmp_path, capsys):
    how = ("--weights", weights, "--steps", 1, "--guidance", 1.5, "--duration", 1)
    assert run(f"{PROMPT}, purple", "-o", tmp_path / "one.wav", *how) == 0
    out, err = capsys.readouterr()
    assert err == "hldm: one: not understood: purple\n"
    assert f"1.00 s at 4000 Hz: {tmp_path / 'one.wav'}" in out
    assert (sidecar(tmp_path / "one.wav")["solver_steps"], sidecar(tmp_path / "one.wav")["guidance_scale"]) == (1, 1.5)
    path = write(tmp_path / "p.txt", f"{PROMPT}, purple", "no murmur")
    assert run("--prompts", path, "-o", tmp_path / "many", *how, "--batch", 1) == 0
    assert (tmp_path / "many/p-0001.wav").read_bytes() == (tmp_path / "one.wav").read_bytes()
    assert "2 sounds of 1.00 s" in capsys.readouterr().out
    table = write(tmp_path / "r.csv", "Murmur,name", "Absent,silent")
    assert run("--records", table, "-o", tmp_path / "many", *how) == 0
    assert len(list((tmp_path / "many").glob("*.json"))) == 3
    assert run("--corpus", tmp_path / "corpus", "--patients", 1, *how) == 0
    assert CircorCorpus(tmp_path / "corpus").check().ok


def test_what_is_wrong_is_one_line_before_any_sound(weights, tmp_path, capsys):
    path = write(tmp_path / "p.txt", PROMPT, "no murmur, grade III/VI systolic murmur")
    table = write(tmp_path / "r.csv", "heart_rate", "9")
    for arguments, said in {
        ("--prompts", path): "p.txt: line 2",
        ("--records", table): "r.csv: row 1: heart_rate: found '9'",
        ("--prompts", tmp_path / "absent.txt"): "absent.txt: expected a text file",
        ("a child", "--duration", "0.1"): "duration: found 0.1, expected 1 to",
        ("a child", "--weights", tmp_path / "none"): "no weights here",
    }.items():
        assert run(*arguments, "-o", tmp_path / "out.wav") == 2
        err = capsys.readouterr().err
        assert err.startswith("hldm: ")
        assert err.count("\n") == 1
        assert said in err
    assert sorted(p.name for p in tmp_path.iterdir()) == ["p.txt", "r.csv"]


@pytest.mark.parametrize(
    "arguments",
    [
        [], ["a child"], ["a child", "--prompts", "p.txt", "-o", "out"], ["--corpus", "c"],
        ["--patients", "3", "a child", "-o", "a.wav"], ["--corpus", "c", "--patients", "3", "-o", "out"],
        ["a child", "-o", "a.wav", "--guidance", "-1"], ["a child", "-o", "a.wav", "--batch", "0"],
    ],
)  # fmt: skip
def test_what_does_not_go_together_ends_with_usage(capsys, arguments):
    with pytest.raises(SystemExit) as ended:
        run(*arguments)
    assert ended.value.code == 2
    assert "usage: hldm generate" in capsys.readouterr().err
