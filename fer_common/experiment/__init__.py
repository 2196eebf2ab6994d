"""One run of a paper's system, from the command line to the record; a room each.

`paper`: what a script hands over, and what is chosen for a run beside it. `command_line`: reading it. `running`: the
run itself. `checkpoint`: what a stopped run goes on from. `result`: what a run says when it ends. `machine`: what it
ran on.

A script hands over its setups, its protocols and a function `train(run)`; that function builds the model and calls
`fit` itself, so that a reader finds them there. What the run needs around `fit` is the `Run` passed to it.
"""

from fer_common.experiment.command_line import BUSY, command, parse, run_all
from fer_common.experiment.machine import device
from fer_common.experiment.paper import RUNS, Needed, Options, Paper
from fer_common.experiment.running import SMOKE_IMAGES, Run, described, load, record_folder, run

__all__ = [
    "BUSY",
    "RUNS",
    "SMOKE_IMAGES",
    "Needed",
    "Options",
    "Paper",
    "Run",
    "command",
    "described",
    "device",
    "load",
    "parse",
    "record_folder",
    "run",
    "run_all",
]
