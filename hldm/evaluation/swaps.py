"""The swap test: exchange one subspace between two hearts, decode, and measure the sound.

What a probe finds in a latent need not be what the decoder makes of it. Here nothing is asked of the latent: measurers
that know no model hear the sound before and after. A perfect latent moves one factor all the way to the donor's and
leaves the others.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from hldm.config import SUBSPACES
from hldm.data.errors import DataError
from hldm.evaluation.factors import OWN, KnownClips, take_turns
from hldm.evaluation.listening import Heard, Vocode, listen
from hldm.evaluation.measurers import Judge
from hldm.evaluation.physiology import s1_s2_envelope_correlation
from hldm.evaluation.resampling import Estimate, Sample, interval
from hldm.models import MultiScaleVAE, cycle_position, swap


def draw_pairs(known: KnownClips, most: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Recipients and donors of different patients, of whom one has a murmur and the other has none.

    Returns
    -------
    recipients, donors : ndarray (pairs,), indices
        As many with a murmur as without on either side; patients take turns.

    Raises
    ------
    DataError
        Where all clips have a murmur, or none has.
    """
    rng = np.random.default_rng(seed)
    present = known.factors["murmur"] == 1
    if present.all() or not present.any():
        found = f"{present.sum()} of {len(known)} clips with a murmur"
        raise DataError("some with a murmur and some without", field=known.name, value=found)
    sides = [take_turns(np.flatnonzero(side), known.patients, rng) for side in (present, ~present)]
    half = min(most // 2, *map(len, sides))
    heard, quiet = (side[:half] for side in sides)
    recipients, donors = np.concatenate([heard, quiet]), np.concatenate([quiet, heard])
    different = known.patients[recipients] != known.patients[donors]
    return recipients[different], donors[different]


@dataclass(frozen=True)
class SwapTest:
    """Everything that was heard in one swap test.

    Attributes
    ----------
    recipients, donors : ndarray (pairs,)
        Indices of clips.
    patients : ndarray (pairs,)
        Of the recipients.
    labels : ndarray (pairs,)
        Whether the *donor* has a murmur, as annotated.
    before : Heard
        The recipients, encoded and decoded without a swap.
    again : Heard
        The same with another draw of the latent, of the noise texture and of the phase: how far measurers wander for
        nothing.
    giver : Heard
        The donors, encoded and decoded.
    after : dict of Heard
        By the subspace that was exchanged.
    """

    recipients: np.ndarray
    donors: np.ndarray
    patients: np.ndarray
    labels: np.ndarray
    before: Heard
    again: Heard
    giver: Heard
    after: dict[str, Heard]
    sampling_rate: int

    def _mean(self, values: np.ndarray) -> Estimate:
        return interval(lambda s: s.values.mean(), Sample.of(values, self.patients))

    def rate_change(self, other: Heard) -> Estimate:
        """Mean absolute change of the heart rate, %, from `before` to one of `after`, or to `again`."""
        return self._mean(100 * np.abs(other.heart_rate / self.before.heart_rate - 1))

    def rate_kept(self, other: Heard) -> Estimate:
        """Share of pairs whose heart rate changes by no more than 1 %, or one step of the estimator."""
        before = self.before.heart_rate
        return self._mean((np.abs(other.heart_rate - before) <= np.maximum(1.0, 0.01 * before) + 1e-6).astype(float))

    def envelope_correlation(self, other: Heard) -> Estimate:
        """Mean correlation of the 20 to 80 Hz envelopes with `before`: are S1 and S2 still where they were?"""
        pairs = zip(self.before.waveforms, other.waveforms, strict=True)
        return self._mean(np.array([s1_s2_envelope_correlation(a, b, self.sampling_rate) for a, b in pairs]))

    def follows(self, other: Heard) -> Estimate:
        """Share of sounds in which the judge hears a murmur just where the donor's label says so."""
        return self._mean((other.has_murmur == self.labels).astype(float))

    def nearer(self, other: Heard) -> Estimate:
        """Share of sounds whose murmur level lies nearer to the donor's than to the recipient's own before the swap."""
        own, theirs = (np.abs(other.murmur_level - h.murmur_level) for h in (self.before, self.giver))
        return self._mean((theirs < own).astype(float))

    def follows_where_heard(self, other: Heard) -> Estimate:
        """The same, only of pairs in which the judge heard both recipient and donor rightly before the swap.

        NaN where there are fewer than two such recipients.
        """
        right = (self.giver.has_murmur == self.labels) & (self.before.has_murmur != self.labels)
        if len(np.unique(self.patients[right])) < 2:
            return Estimate(np.nan, np.nan, np.nan, int(right.sum()), len(np.unique(self.patients[right])))
        sample = Sample.of((other.has_murmur == self.labels)[right].astype(float), self.patients[right])
        return interval(lambda s: s.values.mean(), sample)

    def moves(self) -> pd.DataFrame:
        """How far each swap (rows) moves each factor (columns) towards the donor's: 0 stays, 1 arrives.

        The slope, through the origin, of the factor's change on the difference between donor and recipient.
        """
        found = {}
        for subspace, heard in self.after.items():
            found[subspace] = {}
            for name, values in heard.factors.items():
                gap, change = self.giver.factors[name] - self.before.factors[name], values - self.before.factors[name]
                found[subspace][name] = float(np.sum(gap * change) / np.sum(np.square(gap)))
        return pd.DataFrame(found).T

    def hit(self, subspace: str) -> Estimate:
        """R^2 of the donor's factor in the sound after the swap; negative where the mean would foretell it better."""
        name = next(f for f, group in OWN.items() if group == subspace)
        rows = np.stack([self.giver.factors[name], self.after[subspace].factors[name]], axis=1)

        def share(sample: Sample) -> float:
            donor, sound = sample.values.T
            return 1 - np.square(sound - donor).sum() / np.square(donor - donor.mean()).sum()

        return interval(share, Sample.of(rows, self.patients))

    def leak(self, subspace: str) -> Estimate:
        """Mean change of the other factors in their standard deviations, less what `again` changes for nothing."""
        changes = []
        for name in (f for f, group in OWN.items() if group != subspace):
            before = self.before.factors[name]
            moved, idle = (np.abs(h.factors[name] - before) for h in (self.after[subspace], self.again))
            changes.append((moved - idle) / before.std())
        return self._mean(np.mean(changes, axis=0))


def swap_test(
    vae: MultiScaleVAE,
    known: KnownClips,
    judge: Judge,
    vocode: Vocode,
    *,
    most: int = 200,
    subspaces: tuple[str, ...] = SUBSPACES,
    seed: int = 0,
) -> SwapTest:
    """Exchange each subspace between pairs of clips of which one has a murmur.

    Parameters
    ----------
    most : int
        Pairs at most.
    subspaces : tuple of str
        Those to exchange, one at a time.
    """
    recipients, donors = draw_pairs(known, most, seed)
    positions = cycle_position(known.states[:, :: vae.config.downsampling])
    with torch.inference_mode():
        posterior = vae.encode(known.log_mels)
        z, other = posterior.mean[recipients], posterior.mean[donors]
        sampled = posterior.sample(torch.Generator().manual_seed(seed))[recipients]

        def heard(latent: Tensor, beats: np.ndarray, seed: int = seed) -> Heard:
            texture = known.mel.noise_texture(known.log_mels.shape[-1], seed)
            sounds = vocode(vae.decode(latent, texture), seed=seed).numpy()
            return listen(sounds, [known.cycles[i] for i in beats], judge)

        after = {
            name: heard(
                swap(z, other, name, positions[recipients], positions[donors]),
                donors if name == "rhythm" else recipients,  # whose beats the result ought to have
            )
            for name in subspaces
        }
        return SwapTest(
            recipients, donors, known.patients[recipients], known.factors["murmur"][donors] == 1,
            heard(z, recipients), heard(sampled, recipients, seed + 1), heard(other, donors), after,
            judge.audio.sampling_rate,
        )  # fmt: skip
