"""The coarse-to-fine curriculum of stage 2: rhythm first, then S1 and S2, then murmur and noise."""

from __future__ import annotations

import math
from dataclasses import dataclass

from hldm.config import SUBSPACES

#: The phases in order, and the subspaces whose turn comes with each.
PHASES = {"rhythm": ("rhythm",), "sounds": ("sounds",), "details": ("murmur", "noise")}


@dataclass(frozen=True)
class Curriculum:
    """How much each subspace's error weighs while training goes on; times are shares of all updates.

    The paper names the order of the phases but neither lengths nor weights: those are ours. A subspace that waits has
    a small weight, and one whose turn has come keeps the weight 1, so that all finish as equals. AdamW scales the
    gradient of every parameter, so a head learns under a small weight too; what waits is the trunk that all share.

    Raises
    ------
    ValueError
        Where phases do not follow one another within training.
    """

    sounds: float = 0.1  # when the turn of S1 and S2 comes; rhythm has its turn from the start
    details: float = 0.2  # when that of murmur and noise comes
    ramp: float = 0.02  # how long a weight takes to rise: a jump would throw AdamW's moments off
    waiting: float = 0.05  # weight of a subspace that waits

    def __post_init__(self):
        if not 0 <= self.sounds <= self.details <= 1:
            raise ValueError(
                f"sounds and details are {self.sounds} and {self.details}, expected 0 <= sounds <= details <= 1"
            )
        if not self.ramp > 0:
            raise ValueError(f"ramp is {self.ramp}, expected a share above 0")

    def weights(self, progress: float) -> tuple[float, ...]:
        """Weight of every subspace's error, in the order of `SUBSPACES`, after a share `progress` of the updates."""
        turns = {"rhythm": -self.ramp, "sounds": self.sounds, "details": self.details}
        risen = {phase: min(1.0, max(0.0, (progress - turn) / self.ramp)) for phase, turn in turns.items()}
        phase_of = {name: phase for phase, names in PHASES.items() for name in names}
        return tuple(self.waiting + (1 - self.waiting) * risen[phase_of[name]] for name in SUBSPACES)

    def ends(self, steps: int) -> dict[str, int]:
        """After how many of `steps` updates each phase is over."""
        return dict(zip(PHASES, (math.ceil(self.sounds * steps), math.ceil(self.details * steps), steps), strict=True))
