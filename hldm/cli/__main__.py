"""``python -m hldm.cli``, for instance under ``accelerate launch``."""

import sys

from hldm.cli import main

sys.exit(main())
