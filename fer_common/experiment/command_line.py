"""A script's command line: reading it, and running what it says. Help needs no heavy library."""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from fer_common import UserError, provenance
from fer_common.experiment import values
from fer_common.experiment.paper import RUNS, Options, Paper
from fer_common.experiment.running import Busy, load, run
from fer_common.progress import say

ALL = "all"
BUSY = 75  # the status where another process is making the run: try again later, as sysexits.h has it


def command(paper: Paper, arguments: Sequence[str] | None = None) -> None:
    """The script's command line: read the options, run, and exit with status 1 (75 where another process is
    making this very run) and one sentence on a UserError."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    try:
        if _system(paper, arguments) == ALL:
            runs = run_all(paper, arguments)
        else:
            chosen = parse(paper, arguments)
            run(paper, *chosen)
            runs = chosen[3].runs
        print(f"next: ferrepro tables{'' if runs == RUNS else f' --runs {runs}'}")
    except UserError as error:
        say(f"error: {error}", error=True)
        sys.exit(BUSY if isinstance(error, Busy) else 1)
    except KeyboardInterrupt:
        print("\ninterrupted; the same command goes on from the last finished epoch.", file=sys.stderr)
        sys.exit(130)


def run_all(paper: Paper, arguments: Sequence[str]) -> Path:
    """Every system of the paper but its later stages in turn, with the same options; returns where their records are.

    A UserError of one does not keep the next from running, and ends in one that names them all. Data that cannot be
    read end it at once.
    """
    failed, runs = [], None
    systems = [system for system in paper.systems if system not in paper.later_stages]
    for system in systems:
        try:
            chosen = parse(paper, [*arguments, "--system", system])
        except SystemExit:  # the command line's own, where a system lacks one of the options
            if not failed and runs is None:
                raise  # the first of them: so do all, and it was said
            failed.append(system)
            continue
        if runs is None:
            runs = chosen[3].runs
            load(paper, chosen[3])
        try:
            run(paper, *chosen)
        except UserError as error:
            say(f"error: {error}", error=True)
            failed.append(system)
    if failed:
        raise UserError(f"{paper.id}: {len(failed)} of {len(systems)} systems failed: {', '.join(failed)}.")
    return runs


def _system(paper: Paper, arguments: Sequence[str]) -> str:
    """The system that is asked for. Raises UserError for one, or a protocol, that there is not."""
    look = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    look.add_argument("--system", default=next(iter(paper.systems)))
    look.add_argument("--protocol", default=next(iter(paper.protocols)))
    asked = look.parse_known_args(arguments)[0]
    values.one_of(f"system of {paper.id}", asked.system, [*paper.systems, ALL])
    values.one_of("protocol", asked.protocol, paper.choices())
    return asked.system


def parse(paper: Paper, arguments: Sequence[str]) -> tuple[str, str, Any, Options, set[str]]:
    """(system, protocol, setup, options, names of the options given); the setup's defaults are those of the system."""
    import tyro

    # The system decides the defaults of all other options, so it is looked at first.
    setup = paper.systems.get(_system(paper, arguments), next(iter(paper.systems.values())))
    setup_class = provenance.with_help(type(setup))

    @dataclass(frozen=True)
    class Command:
        system: Literal[(*paper.systems, ALL)] = next(iter(paper.systems))
        """Which of the paper's systems, `all` for one after the other; it sets the defaults of the setup below."""
        protocol: Literal[tuple(paper.choices())] = next(iter(paper.protocols))
        """Who trains, who selects and who is scored: the paper's own words first, then those of the other papers."""
        run: tyro.conf.OmitArgPrefixes[Options] = field(default_factory=Options)
        setup: tyro.conf.OmitArgPrefixes[setup_class] = field(default_factory=lambda: setup)

    chosen = tyro.cli(Command, args=arguments, prog=f"ferrepro run {paper.id}", description=paper.description)
    given = {name[2:].partition("=")[0].replace("-", "_") for name in arguments if name.startswith("--")}
    if chosen.system != ALL:
        values.check(paper, chosen.system, chosen.setup, chosen.run)
    return chosen.system, chosen.protocol, chosen.setup, chosen.run, given
