"""What several tests share: the real corpus where there is one, and the simulated one."""

import hypothesis
import pytest
from published import write_by_hand

from hldm import paths
from hldm.data import CircorCorpus

# A busy machine is no failure: the first example may wait for an import.
hypothesis.settings.register_profile("hldm", deadline=None)
hypothesis.settings.load_profile("hldm")


@pytest.fixture(scope="session")
def circor() -> CircorCorpus:
    """CirCor as published, or a part of it."""
    folder = paths.circor_folder()
    if folder is None:
        pytest.skip("HLDM_CIRCOR is not set: no real recordings here")
    return CircorCorpus(folder)


@pytest.fixture(scope="session")
def simulated() -> CircorCorpus:
    """The small simulated corpus that comes with the project."""
    return CircorCorpus(paths.simulated_folder())


@pytest.fixture
def published(tmp_path):
    """The corpus of `published.write_by_hand`."""
    return write_by_hand(tmp_path)
