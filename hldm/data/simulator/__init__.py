"""A physiological simulator of heart sounds that returns every factor it drew."""

from hldm.data.priors.beats import Beats
from hldm.data.priors.population import complete_record, draw_patient
from hldm.data.simulator.corpus import SHOWCASE, simulate_corpus
from hldm.data.simulator.murmurs import MurmurFactors
from hldm.data.simulator.simulation import Factors, Simulation, simulate
from hldm.data.simulator.sounds import EXTRA_SOUNDS, Sound

__all__ = [
    "EXTRA_SOUNDS",
    "SHOWCASE",
    "Beats",
    "Factors",
    "MurmurFactors",
    "Simulation",
    "Sound",
    "complete_record",
    "draw_patient",
    "simulate",
    "simulate_corpus",
]
