"""A small corpus written by hand as CirCor is published, with the corpus's oddities."""

from pathlib import Path

import numpy as np
import soundfile

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


def write_by_hand(root: Path) -> Path:
    """A corpus written by hand as the publishers lay it out; patient 103 has no files here."""
    folder = root / "training_data"
    folder.mkdir()
    (root / "training_data.csv").write_text("\n".join([HEADER, *ROWS]) + "\n")
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
    return root
