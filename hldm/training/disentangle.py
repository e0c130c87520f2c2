"""L_disentangle (Eq. 3): all that keeps the four subspaces apart, each term switched by a weight of `VAEConfig`."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hldm.config import SUBSPACES, VAEConfig
from hldm.models.attribute_predictor import AttributePredictor, Measurement
from hldm.models.latent_probes import FACTORS, factor_error, pool
from hldm.models.subspaces import split_subspaces, swap
from hldm.models.vae import MultiScaleVAE, Posterior, correlation_penalty, power_sum
from hldm.training.beat import mean_beat, swapped_beat
from hldm.training.mixture import MixtureBatch
from hldm.training.pairs import PairBatch

#: How often each subspace is exchanged in training.
SWAP_CHANCES = {"rhythm": 0.2, "sounds": 0.2, "murmur": 0.4, "noise": 0.2}
AUDIBLE_DB = 20.0  # a component so far below the sum is not heard, and need only stay there
MEMORY = 144  # clips before this batch that leakage is measured on, too


class Disentanglement(nn.Module):
    """The terms of L_disentangle and their weighted sum.

    Parameters
    ----------
    config : VAEConfig
    predictor : AttributePredictor or None
        Frozen; needed where ``config.measured_weight`` is not 0.
    """

    def __init__(self, config: VAEConfig, predictor: AttributePredictor | None = None):
        super().__init__()
        self.config = config
        self._predictor = (predictor,)  # in a tuple: frozen, and no part of the checkpoint
        self.leakage = nn.ModuleDict({source: Leakage(2 * config.latent_channels) for source in ("real", "simulated")})

    def forward(
        self,
        vae: MultiScaleVAE,
        batch: MixtureBatch,
        posterior: Posterior,
        z: Tensor,
        components: dict[str, Tensor],
        step: int,
        generator: torch.Generator,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss, scalar, and each of its terms by name.

        Parameters
        ----------
        z : Tensor (batch, latent channels, latent frames)
            Drawn from `posterior`.
        components : dict of Tensor
            `vae.components` of z; empty where one decoder makes the whole sound.
        step : int
            Of training. The leakage waits for `anneal_steps`, and gains its weight over as many: a latent that says
            nothing yet could only flee from it.
        """
        weights, stride = self.config, self.config.downsampling
        position, states = batch.position[:, ::stride], batch.states[:, ::stride]
        terms: dict[str, Tensor] = {}
        if weights.reading_weight:
            terms["reading"] = vae.probes.loss(z, position, states, batch.factors)
        if weights.correlation_weight:
            terms["correlation"] = correlation_penalty(posterior.mean)
        if weights.leakage_weight:
            pooled = torch.cat([pool(part) for part in split_subspaces(posterior.mean).values()], dim=1)
            halves = zip(
                self.leakage.values(), pooled.split(batch.sizes), batch.factors.split(batch.sizes), strict=True
            )
            ramp = min(1.0, max(0.0, step / weights.anneal_steps - 1))
            terms["leakage"] = ramp * sum(memory(rows, factors) for memory, rows, factors in halves if len(rows))
        if weights.component_weight and components and batch.pairs:
            simulated = {name: x[batch.real :] for name, x in components.items()}
            terms["component"] = component_error(simulated, batch.pairs) / weights.scale_db
        if weights.rendered_weight or weights.beat_weight or weights.measured_weight:
            chance = torch.tensor(list(SWAP_CHANCES.values()))
            subspace = list(SWAP_CHANCES)[int(torch.multinomial(chance, 1, generator=generator))]
            mixed = swap(z, z[batch.partner], subspace, position, position[batch.partner])
            terms |= self._swap_terms(decode_swap(vae, mixed, subspace, components), batch, subspace)
        total = sum((getattr(weights, f"{name}_weight") * term for name, term in terms.items()), start=z.sum() * 0)
        return total, terms

    def _swap_terms(self, swapped: Tensor, batch: MixtureBatch, subspace: str) -> dict[str, Tensor]:
        """What decoded swaps are held against: renderings, the mean beat, and the attribute predictor."""
        weights, terms, real = self.config, {}, batch.real
        if weights.rendered_weight and batch.pairs:
            error = swapped[real:] - batch.pairs.swapped(subspace)
            terms["rendered"] = error.abs().mean() / weights.scale_db
        if weights.beat_weight:
            states = batch.states[:real]
            beat = mean_beat(batch.log_mel[:real], states)
            wanted = swapped_beat(beat, beat[batch.partner[:real]], subspace)
            foretold = float(subspace in ("murmur", "noise"))  # of the others a mean beat says too little
            terms["beat"] = foretold * (mean_beat(swapped[:real], states) - wanted).abs().mean() / weights.scale_db
        if weights.measured_weight:
            predictor = self._predictor[0]
            with torch.no_grad():
                heard = predictor(batch.log_mel)
            states = batch.states[batch.partner] if subspace == "rhythm" else batch.states
            terms["measured"] = measured_error(predictor(swapped), heard, batch.partner, states, subspace)
        return terms


def decode_swap(vae: MultiScaleVAE, mixed: Tensor, subspace: str, components: dict[str, Tensor]) -> Tensor:
    """`vae.decode` of a latent with one subspace exchanged; components that it does not shape are taken as they are."""
    if not components:
        return vae.decode(mixed)
    shaped = [name for name, parts in vae.COMPONENTS.items() if subspace in parts]
    return power_sum(*(components | vae.components(mixed, shaped)).values())


def component_error(decoded: dict[str, Tensor], pairs: PairBatch) -> Tensor:
    """Mean absolute error in dB of decoded components, where they can be heard."""
    limit = pairs.log_mel - AUDIBLE_DB
    errors = []
    for name, truth in pairs.components().items():
        heard = truth > limit
        errors.append(torch.where(heard, (decoded[name] - truth).abs(), (decoded[name] - limit).clamp_min(0)).mean())
    return sum(errors) / len(errors)


def measured_error(said: Measurement, heard: Measurement, partner: Tensor, states: Tensor, subspace: str) -> Tensor:
    """How far the predictor's hearing of decoded swaps is from what it heard before: in the partner for what was
    exchanged, in the clip itself for all else.

    Noise may drown a murmur or a faint S2: where noise was exchanged, only noise and states are asked for.

    Parameters
    ----------
    said, heard : Measurement
        Of the decoded swaps and of the clips before.
    states : Tensor (batch, frames), int64 in 1..4
        Where the swap's beats ought to be.
    """
    total = F.cross_entropy(said.states, states[:, ::2] - 1)
    for i, (name, factor) in enumerate(FACTORS.items()):
        if subspace == "noise" and factor.subspace in ("sounds", "murmur"):
            continue
        truth = heard.factors[partner, i] if factor.subspace == subspace else heard.factors[:, i]
        total = total + factor_error(name, said.factors[:, i], truth.sigmoid() if name == "murmur" else truth)
    if subspace != "noise":
        source = partner if subspace == "murmur" else slice(None)
        present = heard.factors[source, list(FACTORS).index("murmur")].sigmoid()
        for name, logits in said.attributes.items():
            truth = heard.attributes[name][source].softmax(1)
            total = total + 0.3 * (present * F.cross_entropy(logits, truth, reduction="none")).mean()
    return total


class Leakage(nn.Module):
    """What linear probes of each *wrong* subspace read of each factor, from its means and spreads over time.

    The R^2 of a ridge regression in closed form: ``r' (R + ridge)^-1 r``, with the correlations r of a subspace's
    features with the factor, and R among themselves. So few clips as a batch has correlate by chance, so those of the
    last few batches are kept; not more, since what is measured late is corrected late: a memory of 32 batches was seen
    to swing. There is no adversary to balance, and no scale of the latent makes a correlation smaller.
    """

    def __init__(self, features: int, ridge: float = 0.1):
        super().__init__()
        self.ridge = ridge
        self.register_buffer("pooled", torch.zeros(MEMORY, features))
        self.register_buffer("factors", torch.full((MEMORY, len(FACTORS)), torch.nan))

    def forward(self, pooled: Tensor, factors: Tensor) -> Tensor:
        """Sum of R^2 over wrong subspaces, mean over factors, scalar; 0 until the memory is full.

        The batch alone carries the gradient, for all.

        Parameters
        ----------
        pooled : Tensor (batch, features)
            Of all subspaces, in order.
        factors : Tensor (batch, len(FACTORS))
            NaN where unknown.
        """
        share = len(pooled) / (len(pooled) + MEMORY)
        x = torch.cat([pooled.detach() + (pooled - pooled.detach()) / share, self.pooled])
        y = torch.cat([factors, self.factors])
        self.pooled, self.factors = x[:MEMORY].detach(), y[:MEMORY]
        if y[-1].isnan().all():
            return pooled.sum() * 0
        total = pooled.sum() * 0
        for name, part in zip(SUBSPACES, x.chunk(len(SUBSPACES), dim=1), strict=True):
            wrong = [i for i, factor in enumerate(FACTORS.values()) if factor.subspace != name]
            among = correlations(part.detach(), part.detach()) + self.ridge * torch.eye(part.shape[1], device=x.device)
            r = correlations(part, y[:, wrong])
            total = total + (r * torch.linalg.solve(among, r)).sum()
        return total / len(FACTORS)


def correlations(x: Tensor, y: Tensor) -> Tensor:
    """Pearson correlation of every column of x with every column of y over the rows where the latter is known.

    Parameters
    ----------
    x : Tensor (rows, a)
    y : Tensor (rows, b)
        NaN where unknown.

    Returns
    -------
    Tensor (a, b)
        0 where a column is constant or nearly so.
    """
    known = (~y.isnan()).to(x)
    share = known / known.sum(0).clamp_min(1)  # (rows, b)
    y = y.nan_to_num()
    x_mean, y_mean = x.T @ share, (y * share).sum(0)
    covariance = x.T @ (y * share) - x_mean * y_mean
    variance = (x.square().T @ share - x_mean.square()) * ((y.square() * share).sum(0) - y_mean.square())
    return covariance / variance.clamp_min(1e-6).sqrt()
