"""Every number that shapes a model or a run, in frozen dataclasses.

An ablation is ``dataclasses.replace(config, ...)``; a profile is a set of budgets, never another code path.
"""

from __future__ import annotations

from dataclasses import dataclass

#: The four latent subspaces of Eq. 2, in the order in which their channels are stacked.
SUBSPACES = ("rhythm", "sounds", "murmur", "noise")


@dataclass(frozen=True)
class AudioConfig:
    """Waveform and log-mel front end.

    The defaults give 62.5 frames a second and 320 frames a clip, which two halvings turn
    into 80 latent frames.
    """

    sampling_rate: int = 4000  # Hz, the rate CirCor is published at
    n_fft: int = 256
    hop_length: int = 64
    n_mels: int = 64
    fmin: float = 20.0  # Hz
    fmax: float = 800.0  # Hz; PCG power lies mainly below 500 Hz
    floor_db: float = -80.0  # log-mel values are clipped here, relative to full scale
    clip_seconds: float = 5.12

    @property
    def clip_samples(self) -> int:
        return round(self.clip_seconds * self.sampling_rate)

    @property
    def clip_frames(self) -> int:
        return self.clip_samples // self.hop_length

    @property
    def frame_rate(self) -> float:
        """Frames per second."""
        return self.sampling_rate / self.hop_length


@dataclass(frozen=True)
class VAEConfig:
    """Multi-scale VAE (Eq. 2, 3) and how it is taught.

    The weights below `delta` are those of the terms within L_disentangle; 0 switches a term off.
    """

    audio: AudioConfig = AudioConfig()  # the front end whose log-mels it takes and gives
    width: int = 64
    group_channels: int = 8  # latent channels of each subspace
    superposition: bool = True  # a decoder for each component, powers summed; off: one decoder sees all subspaces
    component_width: int = 64
    mean_db: float = -55.0  # log-mels enter the network as (x - mean_db) / scale_db
    scale_db: float = 12.0
    beta: float = 0.15  # weight of the KL term once annealed; at .01 half of the latent is the texture of the noise
    anneal_steps: int = 500
    delta: float = 0.1  # weight of L_disentangle, the paper's
    reading_weight: float = 2.0  # linear probes of the subspaces, trained along
    correlation_weight: float = 0.3  # 1.0 was seen to hurt reconstruction
    leakage_weight: float = 3.0  # what linear probes read from the wrong subspaces
    component_weight: float = 3.0  # L1 of decoded components, where the simulator tells them
    rendered_weight: float = 5.0  # L1 of decoded swaps, where the simulator can render them
    beat_weight: float = 6.0  # L1 of the mean beat of decoded swaps, between real recordings
    measured_weight: float = 0.6  # what a frozen attribute predictor hears in decoded swaps
    simulated_pairs: int = 1500  # rendered pairs of hearts that half of each batch is drawn from; 0: real ones only

    @property
    def n_mels(self) -> int:
        return self.audio.n_mels

    @property
    def latent_channels(self) -> int:
        return self.group_channels * len(SUBSPACES)

    @property
    def downsampling(self) -> int:
        """Mel frames per latent frame."""
        return 4


@dataclass(frozen=True)
class DiffusionConfig:
    """Forward process, training objective and sampling."""

    train_steps: int = 1000
    schedule: str = "squaredcos_cap_v2"  # cosine: sqrt(alpha_bar_T) is about 0
    prediction: str = "v_prediction"  # "epsilon" is the paper's
    min_snr_gamma: float | None = 5.0  # None: every step weighs the same
    condition_dropout: float = 0.1
    ema_decay: float = 0.999
    scheduler: str = "dpm"  # or "ddim", "ddpm"
    inference_steps: int = 12  # latents then lie .12 of their deviation from those of 100 steps; at 20, .06
    guidance_scale: float = 3.0  # of 1 to 4: nearest to val recordings, with heart rate and murmurs as asked for
    guidance_rescale: float = 0.0  # off: at scale 3 murmurs vary as in train (1.02), and without guidance by .7
    guidance_interval: tuple[float, float] = (0.5, float("inf"))  # noise over signal; below, it moves latents by .11
    window_frames: int = 80  # latent frames of a training clip; a longer sound is made of windows of this width
    window_hop: int = 60


@dataclass(frozen=True)
class UNetConfig:
    """Structured U-Net with Medical Attention (Eq. 4, 5)."""

    latent_channels: int = 32
    condition_width: int = 128
    widths: tuple[int, ...] = (64, 128, 256)  # channels at 1, 1/2 and 1/4 of the latent frame rate
    heads: int = 4
    medical_attention: bool = True  # off: plain self-attention, ablation (a)
    structured: bool = True  # off: one head for all subspaces
    diffusion: DiffusionConfig = DiffusionConfig()  # the process that the network was trained for
    audio: AudioConfig = AudioConfig()  # the front end of the VAE whose latents it was trained on


@dataclass(frozen=True)
class ConditionConfig:
    """Fusion of the clinical condition (Eq. 1); an ablation switches a part off.

    "Label only" is ``ConditionConfig(text=False, graph=False, scalars=False, label=True)``.
    """

    width: int = 128
    text: bool = True
    graph: bool = True
    label: bool = False  # whether a murmur is heard at the stethoscope, as one of three classes
    scalars: bool = True  # heart rate, age, height, weight, sex, level of a murmur
    text_encoder: str | None = None  # None: the shipped compact BERT; else a folder or a hub name
    text_width: int = 160
    graph_width: int = 64
    text_tokens: int = 4  # several distinct tokens: one repeated token gives every query the same answer
    graph_tokens: int = 2


@dataclass(frozen=True)
class Profile:
    """How much work a notebook or a training run does; the code path is the same for all.

    `max_steps` caps the optimiser steps of each stage, whatever the epochs ask for; None means no cap.
    """

    name: str
    epochs: tuple[int, int, int] = (50, 150, 50)  # the paper's three stages
    max_steps: int | None = None
    max_patients: int | None = None
    samples: int = 256  # sounds generated for an evaluation
    inference_steps: int = 12


#: The stages of training: the frozen encoders, the attribute predictor that teaches the VAE, the paper's three.
STAGES = ("encoders", "attribute_predictor", "vae", "diffusion", "finetune")

PROFILES = {
    "smoke": Profile("smoke", epochs=(1, 1, 1), max_steps=8, max_patients=12, samples=16, inference_steps=8),
    "laptop": Profile("laptop", epochs=(1, 1, 1), max_steps=200, max_patients=80, samples=64),
    "gpu": Profile("gpu"),
}
