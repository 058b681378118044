"""`python -m monitor` is `driftd`."""

import sys

from monitor.cli import main

sys.exit(main())
