"""The worker's side of a check: JSON tasks that look at the source and measure one window of it.

And a gate's: rows with labels, and what two models say of them.
"""

from monitor.observe.contents import contents
from monitor.observe.hindsight import ahead
from monitor.observe.matured import Matured, Stretch, matured, trial_of_log, write_rows
from monitor.observe.outlook import Outlook
from monitor.observe.tasks import extent, observe, resolve, survey
from monitor.observe.trial import Measured, Trial, measure, require_unseen, trial_of_files

__all__ = [
    "Matured",
    "Measured",
    "Outlook",
    "Stretch",
    "Trial",
    "ahead",
    "contents",
    "extent",
    "matured",
    "measure",
    "observe",
    "require_unseen",
    "resolve",
    "survey",
    "trial_of_files",
    "trial_of_log",
    "write_rows",
]
