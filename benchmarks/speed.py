"""Seconds and ratios on this machine: ``python benchmarks/speed.py``.

The front end is compared with librosa on the same clips, Griffin-Lim with librosa's mel inversion, the vocoder with
Griffin-Lim, and vocoder and synthesis with real time. Medians over repeated runs after one that is not counted.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import librosa
import torch

from hldm import Synthesizer
from hldm.config import AudioConfig
from hldm.data import ClinicalRecord, LogMel, simulate
from hldm.models import Vocoder

REPEATS = 5
PROMPT = "An 8-year-old female with a grade II/VI systolic murmur"


def seconds(work: Callable[[], object]) -> float:
    """Median time of a run."""
    times = []
    for _ in range(REPEATS + 1):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return statistics.median(times[1:])


def main() -> None:
    audio, mel = AudioConfig(), LogMel()
    clip = torch.from_numpy(simulate(ClinicalRecord(), duration=audio.clip_seconds).recording.waveform)
    batch = clip.repeat(16, 1)
    log_mel = mel(batch)
    settings = {
        "sr": audio.sampling_rate, "n_fft": audio.n_fft, "hop_length": audio.hop_length,
        "fmin": audio.fmin, "fmax": audio.fmax, "norm": None,
    }  # fmt: skip

    def librosa_log_mel():
        return librosa.power_to_db(librosa.feature.melspectrogram(y=batch.numpy(), n_mels=audio.n_mels, **settings))

    def griffin_lim():
        return mel.griffin_lim(log_mel[0])

    def librosa_inverse():
        return librosa.feature.inverse.mel_to_audio(10 ** (log_mel[0].numpy() / 10), n_iter=32, **settings)

    synth = Synthesizer.from_pretrained()
    vocoder = Vocoder.from_pretrained()
    length = audio.clip_seconds
    print(f"{torch.get_num_threads()} threads, torch {torch.__version__}, median of {REPEATS} runs")
    for name, ours, theirs in (
        ("log-mel of 16 clips, against librosa", lambda: mel(batch), librosa_log_mel),
        ("log-mel to waveform, 1 clip, against librosa", griffin_lim, librosa_inverse),
        (
            "vocoder, 1 clip, against Griffin-Lim",
            lambda: vocoder.vocode(log_mel[0]),
            lambda: mel.griffin_lim(log_mel[0]),
        ),
    ):
        a, b = seconds(ours), seconds(theirs)
        print(f"{name}: {a:.4f} s, {b:.4f} s, {b / a:.1f} times as fast")
    for name, clips in (("1 clip", log_mel[:1]), ("16 clips", log_mel)):
        took = seconds(lambda clips=clips: vocoder.vocode(clips))
        print(f"vocoder, {name}: {took:.4f} s, {len(clips) * length / took:.0f} times real time")
    for name, count in (("prompt to waveform, one sound", 1), ("prompt to waveform, batch of 16", 16)):
        took = seconds(lambda count=count: synth.batch([PROMPT] * count))
        print(f"{name} of {length:g} s: {took:.2f} s, {count * length / took:.1f} times real time")


if __name__ == "__main__":
    main()
