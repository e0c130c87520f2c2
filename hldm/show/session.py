"""The one call at the top of every chapter."""

from __future__ import annotations

import os
from typing import NamedTuple

from hldm.config import PROFILES, Profile
from hldm.paths import circor_folder


class Session(NamedTuple):
    """What a chapter runs with: its budget of work, and the torch device ``"cpu"`` or ``"cuda"``."""

    profile: Profile
    device: str


def setup(profile: str = "smoke", *, seed: int = 0) -> Session:
    """Prepare a notebook: seeds, device, figures; and say in one line what it runs with.

    The library itself takes every seed as an argument. The global generators are seeded for what a reader adds.

    Parameters
    ----------
    profile : str
        ``"smoke"``, ``"laptop"`` or ``"gpu"``.
    seed : int

    Returns
    -------
    Session
        Unpacks as ``profile, device = setup(profile)``.

    Raises
    ------
    ValueError
        If there is no such profile.
    """
    import random

    import torch
    from IPython.display import HTML, display

    from hldm.show.plots import use_book_figures

    if profile not in PROFILES:
        raise ValueError(f"profile: found {profile!r}, expected one of {', '.join(PROFILES)}")
    random.seed(seed)
    torch.manual_seed(seed)
    use_book_figures(on_page=on_page())
    device = "cuda" if torch.cuda.is_available() else "cpu"
    threads = torch.get_num_threads()
    where = torch.cuda.get_device_name() if device == "cuda" else f"CPU ({threads} thread{'s' * (threads > 1)})"
    data = "the CirCor recordings" if circor_folder() else "the simulated corpus"
    note = f"Profile <b>{profile}</b> on {where}, with {data}."
    if profile == "gpu" and device == "cpu":
        note += " There is no GPU here: this profile would take days. On Colab, change the runtime's type to GPU."
    display(HTML(f"<p>{note}</p>"))
    return Session(PROFILES[profile], device)


def on_page() -> bool:
    """Whether the notebook runs for the site, where no kernel and no Jupyter front end will be."""
    return bool(os.environ.get("HLDM_BOOK"))
