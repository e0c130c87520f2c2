"""The judge as an instrument: waveforms in, judgements out."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import librosa
import numpy as np
import torch

from hldm.data.spectrogram import LogMel
from hldm.models.judge import ATTRIBUTES, STATES, JudgeNet, level


@dataclass(frozen=True)
class Judgement:
    """What the judge says about some sounds, one row each.

    Attributes
    ----------
    probabilities : dict of ndarray (sounds, values)
        For each of `hldm.models.judge.ATTRIBUTES`. Timing, shape, grade, pitch and quality are answers to "which,
        if there is a murmur".
    embedding : ndarray (sounds, d)
    state_probabilities : list of ndarray (4, frames)
        Of S1, systole, S2 and diastole, at `Judge.frame_rate`.
    """

    probabilities: dict[str, np.ndarray]
    embedding: np.ndarray
    state_probabilities: list[np.ndarray]

    def __len__(self) -> int:
        return len(self.embedding)

    def said(self, attribute: str) -> np.ndarray:
        """The likeliest value of an attribute for each sound, spelled as CirCor spells it."""
        return np.array(ATTRIBUTES[attribute])[self.probabilities[attribute].argmax(1)]


class Judge:
    """A frozen network, trained on real `train` recordings, that measures waveforms of any length and gain.

    Parameters
    ----------
    model : JudgeNet
    name : str
        Printed beside every figure.
    """

    def __init__(self, model: JudgeNet, name: str = "judge"):
        self.model, self.audio, self.hash = model.eval().requires_grad_(False), model.config.audio, model.hash
        self.name = f"{name} {model.hash[:8]}".strip()
        self.mel = LogMel(self.audio)

    @classmethod
    def from_pretrained(cls, folder: str | os.PathLike | None = None) -> Judge:
        """The judge of a weights folder, or the shipped one; errors as of `hldm.pretrained.Pretrained`."""
        return cls(JudgeNet.from_pretrained(folder))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name})"

    @property
    def frame_rate(self) -> float:
        """Frames per second of the state probabilities."""
        return self.audio.frame_rate / 2

    @torch.inference_mode()
    def __call__(self, waveforms: Sequence[np.ndarray], batch_size: int = 32) -> Judgement:
        """Judge each waveform as a whole.

        Parameters
        ----------
        waveforms : sequence of ndarray (samples,)
            At ``audio.sampling_rate``; sounds of equal length share a batch.

        Raises
        ------
        ValueError
            For a waveform shorter than a second, or not 1-D.
        """
        for i, waveform in enumerate(waveforms):
            if np.ndim(waveform) != 1 or len(waveform) < self.audio.sampling_rate:
                raise ValueError(f"waveform {i} has shape {np.shape(waveform)}, expected 1-D of 1 s or more")
        rows: list = [None] * len(waveforms)
        for indices in _by_length(waveforms, batch_size):
            clips = torch.from_numpy(np.stack([waveforms[i] for i in indices]).astype(np.float32))
            verdict = self.model(self.mel(level(clips)))
            answers = {name: logits.softmax(1).numpy() for name, logits in verdict.logits.items()}
            states, embedding = verdict.states.softmax(1).numpy(), verdict.embedding.numpy()
            for row, i in enumerate(indices):
                rows[i] = {name: p[row] for name, p in answers.items()}, embedding[row], states[row]
        return Judgement(
            {name: np.array([row[0][name] for row in rows]) for name in ATTRIBUTES},
            np.array([row[1] for row in rows]),
            [row[2] for row in rows],
        )

    def embed(self, waveforms: Sequence[np.ndarray]) -> np.ndarray:
        """Embeddings for the set distances, (sounds, d)."""
        return self(waveforms).embedding

    def cycles(self, state_probabilities: np.ndarray) -> np.ndarray:
        """The beats that the state probabilities of one sound tell of.

        The likeliest path that goes round S1, systole, S2, diastole without leaving one out (Viterbi), cut into
        whole beats.

        Parameters
        ----------
        state_probabilities : ndarray (4, frames)

        Returns
        -------
        ndarray (beats, 5)
            As of `hldm.data.Recording.cycles`, to the accuracy of a frame (32 ms).
        """
        # Frames that a state lasts at 105 bpm, as the chance to stay in it.
        frames = self.frame_rate * np.array([0.12, 0.14, 0.10, 0.21])
        path = librosa.sequence.viterbi_discriminative(
            state_probabilities, librosa.sequence.transition_cycle(len(STATES), 1 - 1 / frames)
        )
        onsets = np.flatnonzero(np.diff(path)) + 1
        starts = [i for i in range(len(onsets) - 4) if path[onsets[i]] == 0]
        return np.array([onsets[i : i + 5] / self.frame_rate for i in starts]).reshape(-1, 5)


def _by_length(waveforms: Sequence[np.ndarray], batch_size: int) -> Iterator[list[int]]:
    """Batches of indices of equally long waveforms."""
    lengths: dict[int, list[int]] = {}
    for i, waveform in enumerate(waveforms):
        lengths.setdefault(len(waveform), []).append(i)
    for indices in lengths.values():
        for start in range(0, len(indices), batch_size):
            yield indices[start : start + batch_size]
