"""The vocoder gives back the log-mel it is given; its measures know what they measure."""

import dataclasses
import re

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hldm import cli
from hldm.config import PROFILES, AudioConfig
from hldm.data import ClinicalRecord, LogMel, simulate
from hldm.evaluation.factors import real_clips
from hldm.evaluation.reference import unseen_corpus
from hldm.evaluation.resynthesis import by_way_of, resynthesis_table, timing_errors
from hldm.models import MultiScaleVAE
from hldm.models.vocoder import Vocoder, VocoderConfig
from hldm.training.vocoder import Crops, SpectralDistance, VocoderLoss, VocoderTraining, draw_pairs

AUDIO = AudioConfig()


@pytest.fixture(scope="module")
def vocoder():
    return Vocoder.from_pretrained()


@pytest.fixture(scope="module")
def sound():
    return simulate(ClinicalRecord(age_group="Child", murmur="Absent", heart_rate=90), duration=5.12, seed=3).recording


@pytest.fixture(scope="module")
def log_mel(sound):
    return LogMel()(torch.from_numpy(sound.waveform))


def test_it_is_small_and_so_is_its_file(vocoder):
    assert sum(p.numel() for p in vocoder.parameters()) <= 3_000_000


@settings(max_examples=6, deadline=None)
@given(st.lists(st.integers(1, 2), max_size=2), st.integers(1, 90))
def test_any_length_and_leading_dimensions(leading, frames):
    log_mel = torch.full((*leading, AUDIO.n_mels, frames), -50.0)
    waveform = Vocoder().vocode(log_mel)
    assert waveform.shape == (*leading, frames * AUDIO.hop_length)
    assert waveform.isfinite().all()


def test_silence_stays_silent(vocoder):
    assert vocoder.vocode(torch.full((AUDIO.n_mels, 64), AUDIO.floor_db)).abs().max() < 1e-2


def test_the_seed_decides(vocoder, log_mel):
    first = vocoder.vocode(log_mel, seed=1)
    assert torch.equal(first, vocoder.vocode(log_mel, seed=1))
    assert not torch.equal(first, vocoder.vocode(log_mel, seed=2))


def test_a_batch_gives_what_single_calls_give(vocoder, log_mel):
    batch = vocoder.vocode(torch.stack([log_mel, log_mel.flip(-1)]))
    torch.testing.assert_close(batch[0], vocoder.vocode(log_mel), atol=1e-4, rtol=0)


def test_the_sound_comes_back_closer_than_from_griffin_lim(vocoder, sound, log_mel):
    """Of as many rounds, at every resolution from 16 to 256 ms; and the log-mel is kept as well."""
    mel, rounds = LogMel(), vocoder.config.settling + vocoder.config.polishing
    made, plain = vocoder.vocode(log_mel), mel.griffin_lim(log_mel, rounds)
    original, distance = torch.from_numpy(sound.waveform)[None], SpectralDistance()
    assert sum(distance(made[None], original)) < 0.97 * sum(distance(plain[None], original))
    assert (mel(made) - log_mel).abs().mean() < 1.5  # dB


@pytest.mark.parametrize("gain_db", [-6, 0, 6])
def test_the_output_has_the_level_of_the_log_mel(vocoder, sound, gain_db):
    waveform = torch.from_numpy(sound.waveform) * 10 ** (gain_db / 20)
    made = vocoder.vocode(LogMel()(waveform))
    assert 20 * (made.std() / waveform.std()).log10() == pytest.approx(0, abs=1.0)


def test_before_training_it_is_griffin_lim(log_mel):
    """The network starts at no correction, so that training can only add to what is known to work."""
    mel = LogMel()
    made, known = Vocoder().vocode(log_mel), mel.griffin_lim(log_mel, VocoderConfig().settling)
    assert (mel(made) - log_mel).abs().mean() < 1.3 * (mel(known) - log_mel).abs().mean()


def test_a_long_sound_is_the_same_whatever_follows(vocoder, log_mel):
    """Convolutions and rounds of Griffin-Lim reach only so far."""
    long = torch.cat([log_mel, log_mel], dim=-1)
    whole, start = vocoder.vocode(long), vocoder.vocode(log_mel)
    assert (len(whole), len(start)) == (2 * 20480, 20480)
    mel = LogMel()
    inside = slice(8, 240)
    assert (mel(whole)[:, inside] - mel(start)[:, inside]).abs().mean() < 3.0  # dB


def test_spectral_distance_of_a_gain_is_known():
    x = torch.randn(2, 8192, generator=torch.Generator().manual_seed(0)) * 0.05
    distance = SpectralDistance()
    convergence, log = distance(x, x)
    assert convergence.max() == 0 == log.max()
    convergence, log = distance(2 * x, x)
    torch.testing.assert_close(convergence, torch.ones(2), atol=1e-4, rtol=0)
    torch.testing.assert_close(log, torch.full((2,), np.log(2.0), dtype=torch.float32), atol=1e-3, rtol=0)


def test_spectral_distance_hears_its_band_only():
    time = torch.arange(8192) / 4000
    low, high = torch.sin(2 * torch.pi * 200 * time)[None], 1e-1 * torch.sin(2 * torch.pi * 1500 * time)[None]
    inside, above = SpectralDistance(), SpectralDistance(band=(800, 2000))
    assert inside(low + high, low)[0] < 0.02
    assert above(low + high, low)[1] > 0.1


@pytest.mark.parametrize("shift_ms", [-12, 0, 5, 30])
def test_timing_errors_are_the_shift(sound, shift_ms):
    shifted = np.roll(sound.waveform, round(shift_ms * 4))
    errors = timing_errors(shifted, sound.waveform, 4000, sound.cycles)
    assert len(errors) >= 4
    assert np.median(errors) == pytest.approx(shift_ms, abs=0.5)


def test_crops_come_from_annotated_beats_at_one_level(sound):
    crops = Crops([sound], 4096)
    drawn = crops.draw(5, torch.Generator().manual_seed(0))
    assert drawn.shape == (5, 4096)
    assert len(crops) >= 3
    assert crops.waveforms[0].square().mean().sqrt() == pytest.approx(0.05, rel=1e-3)
    with pytest.raises(ValueError, match="has 50 s of annotated beats"):
        Crops([sound], 200_000)


def test_pairs_belong_together():
    """What the vocoder is given is the mel of what the waveform is, with its surroundings; half of it roughened."""
    training, mel = VocoderTraining(batch_size=4), LogMel()
    crops = Crops([simulate(ClinicalRecord(heart_rate=90), duration=8, seed=3).recording], 8192)
    log_mel, waveform = draw_pairs(crops, mel, training, torch.Generator().manual_seed(0))
    assert log_mel.shape == (4, 64, 128 - 2 * training.margin)
    assert waveform.shape == (4, log_mel.shape[-1] * AUDIO.hop_length)
    inside = slice(4, -4)  # away from the edges, where the surroundings count
    error = (mel(waveform) - log_mel)[..., inside].abs().mean((1, 2))
    assert error[2:].max() < 0.1
    assert 0.2 < error[:2].min() < error[:2].max() < 4


def test_the_loss_hears_level_grain_and_beats(sound):
    """It is 0 for the original alone, and grows with every distance from it."""
    loss, original = VocoderLoss(), torch.from_numpy(sound.waveform)[None]
    noise = original.std() * torch.randn(original.shape, generator=torch.Generator().manual_seed(0))
    assert float(loss(original, original)[0]) == pytest.approx(0, abs=1e-4)
    for change in (0.5 * original, 0.3 * noise, original.roll(80, -1) - original):
        near, far = (float(loss(original + share * change, original)[0]) for share in (0.3, 1.0))
        assert far > near > 0.05


@pytest.fixture(scope="module")
def table(vocoder):
    recordings, name = unseen_corpus(max_patients=4)
    known = real_clips(recordings, name)
    answers = dict(zip((float(m.sum()) for m in known.log_mels), known.waveforms, strict=True))

    def oracle(log_mels):  # knows the answer: what every measure calls no loss
        return torch.from_numpy(np.stack([answers[float(m.sum())] for m in log_mels]))

    vae = MultiScaleVAE.from_pretrained()
    methods = {"oracle": oracle, "vocoder": vocoder.vocode, "both": by_way_of(vae, vocoder.vocode)}
    rows = resynthesis_table(known, methods, splits=3)
    return rows.pivot(index="metric", columns="method", values="value")


def test_no_loss_reads_as_none(table):
    zero = [n for n in table.index if "distance" in n or "shift" in n or ("error" in n and "heart" not in n)]
    assert len(zero) == 7
    assert table.loc[zero, "oracle"].abs().max() < 1e-5
    assert table.loc["S1/S2 envelope correlation", "oracle"] == pytest.approx(1)
    assert table.loc["Frechet ratio", "oracle"] == 1
    assert table.loc["murmur AUC lost (points)", "oracle"] == pytest.approx(0, nan_ok=True)
    for name in ("heart rate error (bpm)", "linear two-sample AUC", "murmur AUC"):
        assert table.loc[name, "oracle"] == pytest.approx(table.loc[name, "original"], nan_ok=True)


def test_the_shipped_vocoder_keeps_the_heart(table):
    made = table["vocoder"]
    assert made["S1/S2 envelope correlation"] > 0.95
    assert made["S1/S2 timing error (ms)"] < 5
    assert made["level error (dB)"] < 1.5
    assert made["murmur-band error in systole (dB)"] < 1.5
    assert (table["both"] - made)["mel spectral distance (dB)"] > 1  # the VAE loses more than the vocoder


def test_the_command_trains_measures_and_writes_the_card(monkeypatch, tmp_path, capsys):
    """On the simulated corpus, as the other stages' test."""
    monkeypatch.delenv("HLDM_CIRCOR", raising=False)
    tiny = dataclasses.replace(PROFILES["smoke"], max_steps=2, max_patients=3)
    monkeypatch.setitem(PROFILES, "smoke", tiny)
    assert cli.main(["train", "vocoder", "--runs", str(tmp_path)]) == 0
    assert re.search(r"S1/S2 timing error \(ms\) +[\d.]+", capsys.readouterr().out)
    card = (tmp_path / "vocoder.md").read_text()
    assert "| updates | 2 |" in card
    assert "Griffin-Lim" in card
    assert "| after the VAE: S1/S2 timing error (ms) |" in card
    Vocoder.from_pretrained(tmp_path)
