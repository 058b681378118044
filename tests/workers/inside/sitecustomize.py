"""Makes the tasks beside this file part of `monitor` in worker processes that tests start."""

from pathlib import Path

import monitor

monitor.__path__.append(str(Path(__file__).parent))
