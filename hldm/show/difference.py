"""What an edit did: which facts it changed, where the sound differs, and how far each subspace moved."""

from __future__ import annotations

import html
from dataclasses import fields

import numpy as np

from hldm.config import AudioConfig
from hldm.data.records import ClinicalRecord, SystolicMurmur
from hldm.show.page import HIGHEST, spectrum
from hldm.show.plots import COLOURS

RANGE = 12.0  # dB at which the colours of a difference end
SPLIT = 100.0  # Hz; S1 and S2 lie mainly below, murmurs above
FAR = 1.5  # standard deviations at which a bar is full
STRANGERS = 2**0.5  # between two independent draws of unit variance


def comparable(a, b) -> bool:
    """Whether two sounds were generated at equal length, so that a difference in place means something."""
    shapes = [getattr(sound, "log_mel", np.zeros(0)).shape for sound in (a, b)]
    return all(hasattr(sound, "latent") for sound in (a, b)) and shapes[0] == shapes[1]


def changes(before: ClinicalRecord, after: ClinicalRecord) -> list[str]:
    """The facts that differ, such as ``"systolic grade: II/VI → III/VI"``."""
    facts = [_facts(record) for record in (before, after)]
    names = dict.fromkeys(name for some in facts for name in some)
    pairs = {name: [_say(some.get(name)) for some in facts] for name in names}
    return [f"{name}: {old} → {new}" for name, (old, new) in pairs.items() if old != new]


def _facts(record: ClinicalRecord) -> dict[str, object]:
    found = {}
    for field in fields(record):
        value = getattr(record, field.name)
        if isinstance(value, SystolicMurmur):
            found |= {f"{value.phase} {name}": getattr(value, name) for name in value.kinds}
        else:
            found[field.name.replace("_", " ")] = value
    return found


def _say(value: object) -> str:
    if value is None or value == ():
        return "none"
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def difference(a, b, titles: tuple[str, str]) -> str:
    """HTML of both: a map of the level difference, and bars of how far the subspaces lie apart.

    Parameters
    ----------
    a, b : HeartSound
        Of equal length, see `comparable`.
    titles : pair of str
    """
    said = "; ".join(changes(a.record, b.record)) or "nothing"
    line = f'<p class="hldm-changes">Changed in the record: {html.escape(said)}.</p>'
    return f'{line}<div class="hldm-pair">{_map(a, b, titles)}{_bars(a, b)}</div>'


def _map(a, b, titles: tuple[str, str]) -> str:
    import librosa

    config = AudioConfig()
    levels = np.asarray(b.log_mel - a.log_mel, np.float64)
    centres = librosa.mel_frequencies(len(levels) + 2, fmin=config.fmin, fmax=config.fmax)[1:-1]
    below, above = (np.abs(levels[rows]).mean() for rows in (centres < SPLIT, centres >= SPLIT))
    title = f"Difference: {titles[1]} minus {titles[0]}"
    alt = f"{title}. On average {below:.1f} dB apart below {SPLIT:g} hertz and {above:.1f} dB above."
    return f"""<figure class="hldm-map">
<figcaption>{html.escape(title)}</figcaption>
{spectrum(_picture(levels, centres), alt, a.duration)}
<p class="hldm-scale"><span>softer by {RANGE:g} dB</span><i></i><span>louder by {RANGE:g} dB</span></p>
<p class="hldm-note">Mean difference {below:.1f} dB below {SPLIT:g} Hz, {above:.1f} dB above.</p></figure>"""


def _picture(levels: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """Colours of the difference: clear where nothing changed, so that they suit light and dark pages."""
    from matplotlib.colors import to_rgb

    rows = np.linspace(0, HIGHEST, 51)
    weights = np.stack([np.interp(rows, centres, unit) for unit in np.eye(len(centres))], axis=1)
    change = (weights @ levels / RANGE).clip(-1, 1)
    image = np.empty((*change.shape, 4))
    image[..., :3] = np.where(change[..., None] > 0, to_rgb(COLOURS[1]), to_rgb(COLOURS[0]))
    image[..., 3] = np.abs(change)
    return (255 * image).astype(np.uint8)


def _bars(a, b) -> str:
    from hldm.evaluation.what_if import subspace_moves

    moves = subspace_moves(a, b)
    title = "How far each subspace moved (sd)"
    rows = "".join(
        f'<span>{name}</span><div><b style="width:{100 * min(1, move / FAR):.1f}%;background:{colour}"></b></div>'
        f"<span>{move:.2f}</span>"
        for (name, move), colour in zip(moves.items(), COLOURS, strict=False)
    )
    alt = f"{title}: " + ", ".join(f"{name} {move:.2f}" for name, move in moves.items())
    return f"""<figure class="hldm-map">
<figcaption>{title}</figcaption>
<div class="hldm-moved" role="img" aria-label="{html.escape(alt)}">{rows}</div>
<p class="hldm-note">Root mean square over channels and time. Two unrelated hearts lie {STRANGERS:.1f} apart.</p>
</figure>"""
