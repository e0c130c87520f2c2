"""The front end against librosa, and what is lost on the way back."""

import librosa
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hldm.config import AudioConfig
from hldm.data import LogMel, simulate
from hldm.data.records import ClinicalRecord


@pytest.fixture(scope="module")
def sound():
    return torch.from_numpy(
        simulate(ClinicalRecord(age_group="Child", murmur="Absent"), duration=5.12, seed=3).recording.waveform
    )


def test_log_mel_is_that_of_librosa(sound):
    config = AudioConfig()
    power = librosa.feature.melspectrogram(
        y=sound.numpy(), sr=config.sampling_rate, n_fft=config.n_fft, hop_length=config.hop_length,
        n_mels=config.n_mels, fmin=config.fmin, fmax=config.fmax, norm=None, pad_mode="constant",
    )[:, :-1]  # fmt: skip
    scale = 2 / np.hanning(config.n_fft + 1)[:-1].sum()
    expected = 10 * np.log10(np.maximum(power * scale**2, 10 ** (config.floor_db / 10)))
    np.testing.assert_allclose(LogMel(config)(sound).numpy(), expected, atol=2e-3)


def test_a_full_scale_sine_reads_about_0_db():
    time = torch.arange(20480) / 4000
    assert LogMel()(torch.sin(2 * torch.pi * 200 * time)).max() == pytest.approx(0, abs=2)


@settings(max_examples=10, deadline=None)
@given(st.lists(st.integers(1, 3), max_size=2), st.integers(4, 40))
def test_shapes_keep_leading_dimensions(leading, hops):
    config = AudioConfig()
    waveform = torch.zeros(*leading, hops * config.hop_length)
    log_mel = LogMel(config)(waveform)
    assert log_mel.shape == (*leading, config.n_mels, hops)
    assert (log_mel == config.floor_db).all()


def test_gradients_reach_the_waveform(sound):
    waveform = sound[:4096].clone().requires_grad_()
    LogMel()(waveform).mean().backward()
    assert waveform.grad.isfinite().all()
    assert waveform.grad.abs().max() > 0


def test_the_linear_magnitude_comes_back(sound):
    mel = LogMel()
    magnitude, back = mel.magnitude(sound), mel.to_magnitude(mel(sound))
    band = slice(2, 50)  # 31 to 766 Hz
    assert (magnitude - back)[band].norm() / magnitude[band].norm() < 0.02


def test_griffin_lim_gives_back_the_log_mel_and_the_envelope(sound):
    mel = LogMel()
    log_mel = mel(sound)
    again = mel.griffin_lim(log_mel, iterations=32)
    assert again.shape == sound.shape
    assert (mel(again) - log_mel).abs().mean() < 3.0  # dB

    def envelope(x):
        return torch.nn.functional.avg_pool1d(x.abs()[None], 80, 40)[0]

    assert np.corrcoef(envelope(sound), envelope(again))[0, 1] > 0.95


def test_griffin_lim_repeats_itself_and_only_for_the_same_seed(sound):
    mel = LogMel()
    log_mel = mel(sound[:8192])
    first = mel.griffin_lim(log_mel, 4, seed=1)
    assert torch.equal(first, mel.griffin_lim(log_mel, 4, seed=1))
    assert not torch.equal(first, mel.griffin_lim(log_mel, 4, seed=2))


def test_noise_texture_is_what_a_noise_has_beyond_its_level():
    mel = LogMel()
    texture = mel.noise_texture(320, seed=3)
    assert texture.shape == (64, 320)
    assert torch.equal(texture, mel.noise_texture(320, seed=3))
    torch.testing.assert_close(texture.median(-1).values, torch.zeros(64))
    # A band of one bin has the logarithm of an exponential variable: 5.57 dB; wider ones wander less.
    assert 4 < texture.std() < 5.57
    noise = torch.from_numpy(np.random.default_rng(0).normal(0, 0.1, 20480).astype(np.float32))
    assert texture.std() == pytest.approx(float((mel(noise) - mel(noise).mean(-1, keepdim=True)).std()), rel=0.05)
