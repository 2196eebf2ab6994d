"""Many runs: which there are, which are finished, and an engine that carries the others out.

`plan`: the runs, a line each, from the papers. `state`: what has become of them, from the files that runs leave, so
that every process sees the same. `attempt`: one run as a process of its own. `engines`: a queue on this machine, or
Ray. `driver`: hands lines to an engine until none is left. `gather`: records from several folders into one.

A run is only ever made by `ferrepro run`, whose lock dies with its process: nothing here can do a run twice.
"""
