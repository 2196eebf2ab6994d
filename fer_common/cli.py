"""The command `ferrepro`. Each part imports what it needs when it is called."""

import argparse
import os
import re
import shutil
import subprocess
import sys
import time
from json import dumps
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import tyro

from fer_common import NoData, UserError, __version__, experiment, files, records
from fer_common.experiment import RUNS, values
from fer_common.progress import plain, say
from reproductions import PAPERS, load

ROOT = Path(__file__).parent.parent
TABLES = Path("results/tables")
PASSPORTS = Path("results/passports")
REGISTER = "Add the name to PAPERS in reproductions/__init__.py."
Data = Annotated[
    str | None, tyro.conf.arg(help="a copy of FER2013, or `synthetic`; default: the variable FER2013, then the cache")
]
AllowSubset = Annotated[bool, tyro.conf.arg(help="accept a copy whose counts are not FER2013's")]
MergedTest = Annotated[
    bool, tyro.conf.arg(help="read test images that do not say PublicTest or PrivateTest as one test, and say so")
]
WithoutExtra = Annotated[bool, tyro.conf.arg(help="leave out files that were made from others, or are there twice")]


def main() -> None:
    """Run the command line; a UserError ends it with one sentence and status 1 (3 where there is no FER2013 at all)."""
    arguments = sys.argv[1:]
    for stream in (sys.stdout, sys.stderr):  # a terminal that knows ASCII alone loses a sign, not the sentence
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    try:
        if (
            arguments[:1] == ["run"]
            and {"--plan", "--index"} & set(arguments)
            and not {"-h", "--help"} & set(arguments)
        ):
            return tyro.cli(run_planned, prog="ferrepro run", args=arguments[1:])
        # `run PAPER …` hands its options on to the paper's script, which has its own help.
        if arguments[:1] == ["run"] and arguments[1:2] and not arguments[1].startswith("-"):
            return experiment.command(load(arguments[1]), arguments[2:])
        if arguments in (["run", "--help"], ["run", "-h"]):
            return say(run_help())
        if arguments[:1] == ["--version"]:
            return say(f"ferrepro {__version__}")
        if arguments and not arguments[0].startswith("-"):
            values.one_of("command", arguments[0], COMMANDS)
        if arguments[:1] == ["plan"] and "--" in arguments:
            cut = arguments.index("--")
            arguments, FURTHER[:] = arguments[:cut], arguments[cut + 1 :]
        if arguments[:2] == ["run", "--all"] and not {"-h", "--help"} & set(arguments):
            return run_all(arguments[2:])
        commands, prog = COMMANDS, "ferrepro"
        if arguments and arguments[0] in GROUPS:
            commands, prog = GROUPS[arguments[0]], f"ferrepro {arguments.pop(0)}"
        tyro.extras.subcommand_cli_from_dict(commands, prog=prog, description=DESCRIPTION, args=arguments or ["--help"])
    except UserError as error:
        say(f"error: {error}", error=True)
        sys.exit(3 if isinstance(error, NoData) else 1)
    except BrokenPipeError:  # `| head` has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    except OSError as error:
        if error.filename is None:
            raise
        sys.exit(plain(f"error: {error.filename}: {error.strerror}."))
    except KeyboardInterrupt:
        say("\ninterrupted", error=True)
        sys.exit(130)


def list_papers(paper: tyro.conf.Positional[str | None] = None, runs: Path = RUNS) -> None:
    """The papers, what they print, what honest runs have given, and what has been run.

    Args:
        paper: of this one, every system under every protocol.
        runs: where the records are.
    """
    from fer_common import listing

    if paper is None:
        say(listing.all_papers({name: load(name) for name in PAPERS}, runs))
    else:
        say(listing.one_paper(paper, load(paper), runs))


def best(n: int = 12, tables: Path = TABLES) -> None:
    """The best honest results: of whole runs, on PrivateTest, which nothing had seen.

    Args:
        n: how many.
        tables: a folder of tables.
    """
    from fer_common import showing
    from fer_common.results import render

    found = render.read(tables, ("summary", "runs"))
    say(showing.best(found["summary"], n))


def report(
    records: tyro.conf.Positional[Path | None] = None,
    out: Path = Path("build/report"),
    runs: bool = False,
    open: bool = False,
    tables: Path = TABLES,
    passports: Path = PASSPORTS,
) -> None:
    """Everything as one HTML page that needs no network: the answers, an article a headline claim, every record.

    Args:
        records: a folder of your own records; default: the committed tables.
        out: the folder for report.html.
        runs: a page of every run, too: curves, confusion, ROC, setup (minutes for hundreds).
        open: show it in the browser.
        tables: a folder of tables.
        passports: a folder of passports, as of `tables`.
    """
    from fer_common import claims
    from fer_common import report as reporting
    from fer_common.results import answers, render

    if records is None:
        found = render.read(tables, ("comparison", "runs"))
        files = [claims.load(name) for name in PAPERS]
        answered, papers = answers.answers(found["comparison"], files), Papers().loaded
        source = reporting.Source(found, answered, papers, RUNS, tables.parent / "figures")
    else:
        built = Built(records, passports)
        built.draw(out / "figures")
        source = reporting.Source(built.tables, built.found, built.papers.loaded, records, out / "figures")
    path = reporting.write(source, out, run_pages=runs)
    say(f"report: {path}")
    if open:
        import webbrowser

        webbrowser.open(path.resolve().as_uri())


def explain(claim: tyro.conf.Positional[str], tables: Path = TABLES) -> None:
    """Which protocols could give a printed accuracy, and which could not: as run on the paper's own network, and
    composed from the laboratory's prices. It says could, never did.

    Args:
        claim: the id of a headline claim (`PAPER/CLAIM` where several have it), or a paper for all of its headlines.
        tables: a folder of tables.
    """
    from fer_common import claims
    from fer_common.results import answers, render
    from fer_common.results import explain as explaining

    found = render.read(tables, ("comparison", "protocol_prices"))
    every = answers.answers(found["comparison"], [claims.load(name) for name in PAPERS])
    every = [each for each in every if isinstance(each.claim, claims.Claim)]
    paper, _, name = claim.rpartition("/")
    asked = [
        each for each in every if each.file.paper == claim or (each.claim.id == name and paper in ("", each.file.paper))
    ]
    if not asked:
        listed = ", ".join(f"{each.file.paper}/{each.claim.id}" for each in every)
        raise UserError(f"{claim} is no headline claim of an accuracy; there is {listed}.")
    for each in asked:
        ways = explaining.ways(each, found["comparison"], found["protocol_prices"])
        say(explaining.text(each, ways, found["protocol_prices"]))
        say()


def show_one(name: tyro.conf.Positional[str], tables: Path = TABLES) -> None:
    """A run, a claim or a paper, with its evidence.

    Args:
        name: the folder of a record; the id of a claim (`PAPER/CLAIM` where several have it); or a paper.
        tables: a folder of tables.
    """
    from fer_common import showing
    from fer_common.results import render

    say(showing.show(name, render.read(tables, ("comparison",)), Papers().loaded, RUNS))


def run() -> None:
    """`run PAPER [options]` runs one paper, by its name or the path of a script of your own (`run PAPER --help` shows
    its setup); `run --all [options]` every paper and system under the paper's first protocol; `run --plan PLAN --index
    N` line N, from 0, of a plan."""
    raise UserError(f"Say which paper: `ferrepro run PAPER`, one of {', '.join(PAPERS)}; or `ferrepro run --all`.")


def run_help() -> str:
    """What `run --help` prints: the papers, and what each takes."""
    from fer_common.progress import wrapped

    lines = [
        "usage: ferrepro run PAPER [options]        one paper; --help after its name shows its whole setup",
        "       ferrepro run path/to/my_paper.py    a paper of your own (docs/adding_a_paper.md)",
        "       ferrepro run --all [options]        every system of every paper under the paper's first protocol",
        "       ferrepro run --plan PLAN --index N  line N, from 0, of a plan (docs/scale.md)",
        "",
        "Every paper takes --system, --protocol, --seed, --fold, --preset, --data, --runs and more, and the fields of",
        "its setup. The papers, with what `--system` and `--protocol` may be, the default first:",
    ]
    for name in PAPERS:
        paper = load(name)
        lines += ["", f"{name}: {paper.description.strip().splitlines()[0]}"]
        lines.append(wrapped(f"--system {', '.join(paper.systems)}", "  ", "    "))
        lines.append(wrapped(f"--protocol {', '.join(paper.protocols)}", "  ", "    "))
    return "\n".join(lines)


def run_planned(plan: Path, index: int) -> None:
    """Make one run of a plan, in this process: for job arrays, whose number the index is.

    Args:
        plan: a plan, as `ferrepro plan --out` writes it.
        index: which of its lines, from 0.
    """
    from fer_common.sweep import plan as planning

    lines = planning.read(plan)
    if not 0 <= index < len(lines):
        raise UserError(f"--index {index}: {plan} has the lines 0 to {len(lines) - 1}.")
    line, states = lines[index], _states(lines)
    for needed in lines:
        if needed.id in line.after and (found := states.of(needed)).kind != "done":
            raise UserError(f"{line.id} needs {needed.id}, which is not finished ({found}); run that line first.")
    if states.of(line).kind == "done":
        say(f"{line.id} is done.")
        return
    experiment.command(load(line.argv[1]), line.argv[2:])


def plan(
    papers: tuple[str, ...] = PAPERS,
    systems: tuple[str, ...] = (),
    protocols: tuple[str, ...] = (),
    seeds: str = "0",
    folds: str = "all",
    preset: Literal["full", "reduced", "smoke"] = "full",
    data: Data = None,
    attributes: str | None = None,
    allow_subset: AllowSubset = False,
    runs: Path = RUNS,
    cores: int = 2,
    memory_gb: float = 3.0,
    out: Path | None = None,
) -> None:
    """Which runs there are, which are finished, and how long the others take here. Options after `--` go to every run:
    `ferrepro plan --papers resnet50v2_vit -- --init random`.

    Args:
        papers: by name, or by the path of a script of your own.
        systems: default: the paper's own choice.
        protocols: default: the paper's own choice; `all` for those that the paper has a word for.
        seeds: `0-4`, or `0,2,5`.
        folds: the same, or `all`, of protocols with folds.
        preset: `reduced` where a script has a smaller setup; `smoke` for 2,000 images.
        attributes: a copy of UTKFace, for papers that need it.
        runs: where the records are and go.
        cores: that a run gets at least.
        memory_gb: that a run needs.
        out: a file for the plan, a line of JSON a run; default: only the table.
    """
    from fer_common.sweep import plan as planning

    if cores < 1 or memory_gb <= 0:
        raise UserError(f"--cores {cores}, --memory-gb {memory_gb:g}: a run needs one core and some memory at least.")
    loaded = {name: load(name) for name in papers}
    choice = planning.Choice(
        systems=systems,
        protocols=protocols,
        seeds=planning.numbers(seeds),
        folds=None if folds == "all" else planning.numbers(folds),
        preset=preset,
        data=data,
        attributes=attributes,
        allow_subset=allow_subset,
        runs=runs,
        further=tuple(FURTHER),
        cores=cores,
        memory_gb=memory_gb,
    )
    lines = planning.make(loaded, choice, _known(runs))
    if not lines:
        raise UserError("That is no run: none of these papers has such a system under such a protocol.")
    found = _states(lines).all()
    done = {name for name, state in found.items() if state.kind == "done"}
    say(planning.summary(lines, done))
    if out:
        planning.write(lines, out)
        say(f"plan: {out}\nnext: ferrepro sweep {out}")
    else:
        say("--out plan.jsonl writes it, for `ferrepro sweep plan.jsonl`.")


def _known(runs: Path) -> list[records.Record]:
    """The records that tell how long runs take."""
    committed = ROOT / RUNS
    roots = [runs] if runs.resolve() == committed.resolve() else [runs, committed]
    return [records.read_record(path) for root in roots for path in records.find(root)]


FURTHER: list[str] = []
"""What the command line has after `--`."""


def sweep(
    plan: tyro.conf.Positional[Path],
    engine: Literal["local", "ray"] = "local",
    workers: int | None = None,
    address: str | None = None,
    gpus_per_run: float | None = None,
    retry: bool = False,
) -> None:
    """Make the runs of a plan that are missing, each in a process of its own; typed again, it goes on. Exits with
    status 1 where a run failed.

    Args:
        plan: as `ferrepro plan --out` writes it.
        engine: `local`: this machine; `ray`: a cluster, or this machine through Ray.
        workers: how many runs at once on this machine, which share its cores; default: as many as its cores allow.
        address: of a Ray cluster that runs, `auto` where this machine is of it; default: Ray on this machine alone.
        gpus_per_run: a share of a GPU, or several; default: one where there are any.
        retry: take up what failed, and nothing else.
    """
    from fer_common.sweep import driver, engines
    from fer_common.sweep import plan as planning

    if workers is not None and workers < 1:
        raise UserError(f"--workers {workers}: one or more.")
    if gpus_per_run is not None and not (0 <= gpus_per_run < 1 or gpus_per_run == int(gpus_per_run)):
        raise UserError(f"--gpus-per-run {gpus_per_run:g}: a share below 1, or a whole number.")
    if engine == "local" and address:
        raise UserError("--address is of a Ray cluster: say --engine ray.")
    if engine == "ray" and workers:
        raise UserError("--workers is for --engine local: Ray counts cores, which `ferrepro plan --cores` sets.")
    states = _states(planning.read(plan))
    chosen = engines.Local(workers, gpus_per_run) if engine == "local" else engines.Ray(address, gpus_per_run)
    found = driver.Sweep(states, chosen, retry).carry_out()
    failed = [name for name, state in found.items() if state.kind == "failed"]
    left = [name for name, state in found.items() if state.kind not in ("done", "failed")]
    if failed or left:
        blocked = f", and {len(left)} are not done" if left else ""
        raise UserError(
            f"{len(failed)} of {len(found)} runs failed{blocked}; `ferrepro status {plan}` says why, "
            f"`ferrepro sweep {plan} --retry` takes them up again."
        )
    say(f"{len(found)} runs are there; ferrepro tables makes their tables")


def status(plan: tyro.conf.Positional[Path], brief: bool = False) -> None:
    """What has become of the runs of a plan, whoever makes them: done, running with epoch and loss, dead, failed and
    why.

    Args:
        plan: as `ferrepro plan --out` writes it.
        brief: without the ends of the logs.
    """
    from fer_common.sweep import plan as planning
    from fer_common.sweep import state

    say(state.text(_states(planning.read(plan)), verbose=not brief))


def gather(folders: tyro.conf.Positional[tuple[Path, ...]], runs: Path = RUNS) -> None:
    """Copy the records of several folders into one, from machines that share no disk. A record that contradicts one
    that is there (the same run, other predictions) is named and left where it is; the status is then 1.

    Args:
        folders: folders of records.
        runs: where the records go.
    """
    from fer_common.sweep import gather as gathering

    if not folders:
        raise UserError("Say which folders of records to gather.")
    found = gathering.gather(folders, runs)
    say(f"{len(found.new)} records are new in {runs}, {len(found.same)} were there, {len(found.refused)} are refused")
    for path, says in found.refused.items():
        say(f"refused: {path}: {says}", error=True)
    if found.refused:
        sys.exit(1)


def _states(lines: list):
    """What has become of a plan's lines; a record without a name yet is found as its run would find it."""
    from fer_common.sweep import state

    def record_of(line) -> Path:
        paper = load(line.argv[1])
        system, protocol, setup, options, given = experiment.parse(paper, line.argv[2:])
        copies = experiment.load(paper, options)
        record, _ = experiment.described(paper, system, paper.word(protocol), setup, options, given, copies)
        return experiment.record_folder(paper, record, options)

    return state.States(lines, record_of)


def run_all(arguments: list[str]) -> None:
    """Every system of every paper, each paper in a process of its own; exits with status 1 if any of them failed.

    A smoke run of a paper that needs UTKFace, where none is found, is made on drawn faces, and says so.
    """
    from fer_common.data import utkface

    look = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    for option in ("--preset", "--data", "--attributes"):
        look.add_argument(option, nargs="?")
    chosen = look.parse_known_args(arguments)[0]
    drawn_where_missing = chosen.preset == "smoke" and chosen.data is None and chosen.attributes is None
    failed, started = [], time.monotonic()
    for number, name in enumerate(PAPERS):
        spent = (time.monotonic() - started) / 60
        left = f", about {spent / number * (len(PAPERS) - number):.0f} minutes left" if number else ""
        say(f"{number + 1} of {len(PAPERS)}{left}: {name}")
        command = [sys.executable, "-m", f"reproductions.{name}", "--system", "all", *arguments]
        if drawn_where_missing and load(name).attributes:
            try:
                utkface.find()
            except NoData as error:
                say(f"{name}: {error} This smoke run draws them.")
                command += ["--data", "synthetic"]
        status = subprocess.run(command, check=False).returncode
        if status == 2 and not number:  # the command line's own, which says the same of every paper
            sys.exit(2)
        if status:
            failed.append(name)
    say(f"{len(PAPERS)} papers in {(time.monotonic() - started) / 60:.0f} minutes, {len(failed)} with failures")
    if failed:
        raise UserError(f"{len(failed)} papers with failures: {', '.join(failed)}.")


def lab(
    seeds: int = 3,
    preset: Literal["full", "smoke"] = "full",
    data: Data = None,
    runs: Path = RUNS,
) -> None:
    """Run what is missing of the protocol laboratory: one network under every known mistake. A run that was stopped
    goes on; one that is finished is not repeated.

    Args:
        seeds: how many of each.
        preset: `smoke` for 2,000 images.
        runs: where the records are and go.
    """
    from fer_common.sweep import plan as planning

    if seeds < 1:
        raise UserError(f"--seeds {seeds}: one or more.")
    paper, known = load("laboratory"), _known(runs)
    lines = []
    for seed in range(seeds):  # a whole price list first, its interval afterwards
        choice = planning.Choice(seeds=(seed,), preset=preset, data=data, runs=runs)
        lines += planning.make({paper.id: paper}, choice, known)
    done = {name for name, state in _states(lines).all().items() if state.kind == "done"}
    missing = [line for line in lines if line.id not in done]
    for number, line in enumerate(missing):
        say(f"{line.id}: {planning.total(lines, done | {before.id for before in missing[:number]})}")
        experiment.command(paper, line.argv[2:])
    say(f"{len(lines)} runs are there; ferrepro tables makes their tables")


class Built:
    """The tables of a folder of records, with the answers to the claims. Raises UserError where there is no folder."""

    def __init__(self, runs: Path, passports: Path):
        from fer_common import claims, vouch
        from fer_common.data import cache_folder
        from fer_common.results import answers, render, verdicts
        from fer_common.results import tables as collector
        from fer_common.score import card as cards

        if not runs.is_dir():
            raise UserError(f"{runs}: no such folder; run a paper first, or say where its records are with --runs.")
        self.papers = Papers()
        known = vouch.Passports.read(passports) if passports.is_dir() else vouch.Passports({}, {})
        findings = self.papers.check(list(records.find(runs)), known, cache_folder() / "vouched")
        self.wrong = {finding.path: finding.says for finding in findings if finding.verdict == "wrong"}
        # s* is that of the committed records, for somebody else's runs too.
        committed = ROOT / TABLES / "seed_spread.csv"
        elsewhere = runs.resolve() != (ROOT / RUNS).resolve()
        known_here = elsewhere and committed.exists()
        spread = verdicts.Spread.of_rows(render.read_spread(committed)) if known_here else None
        self.unjudged = elsewhere and not known_here
        self.files = [claims.load(name) for name in PAPERS]
        self.tables = collector.build(
            runs,
            self.files,
            known.faces,
            wrong=self.wrong,
            without_randomness=self.papers.without_randomness,
            known_spread=spread,
            released=[(name, cards.load(name).printed) for name in cards.names()],
        )
        self.spread = spread or verdicts.Spread.of_rows(self.tables["seed_spread"].to_dict("records"))
        self.found = answers.answers(self.tables["comparison"], self.files)

    def draw(self, folder: Path) -> None:
        """The committed figures."""
        from fer_common.results import figures

        first = {name: next(iter(paper.protocols)) for name, paper in self.papers.loaded.items()}
        figures.draw(self.tables, self.files, self.found, first, folder)


def tables(
    runs: Path = RUNS,
    tables: Path = TABLES,
    passports: Path = PASSPORTS,
    format: Literal["text", "latex"] = "text",
    claims: Literal["all", "headline"] = "all",
) -> None:
    """Recompute every metric from the predictions and write the tables as csv (the short ones as md and tex too), and
    the figures of each paper. A record that is wrong is named and left out; the status is then 1.

    Args:
        runs: where the records are.
        tables: where the tables go; the figures go to `figures` beside it.
        passports: a folder of passports, one a copy of the data (`data check --json`): they know which label each row
            has, which images of PrivateTest have twins in Training, and what the crowd's votes alone give.
        format: what is printed; `latex` with `--claims headline` is a table to paste into a paper.
        claims: `headline`: the claims that papers are known by, a row each.
    """
    from fer_common.results import answers, render
    from fer_common.results.tables import RELEASED

    built = Built(runs, passports)
    render.write(built.tables | {"answers": answers.table(built.found)}, tables)
    built.draw(tables.parent / "figures")
    found = built.found
    if claims == "headline":
        say(answers.latex(found) if format == "latex" else answers.text(found))
        return
    if format == "latex":
        raise UserError(
            "--format latex prints the headline claims: say --claims headline; results/tables has the rest."
        )
    say(render.overview(built.tables, built.spread))
    say(render.found(built.tables["runs"], tables))
    if built.unjudged:
        say("This is no checkout of the suite: without its committed records a single run of yours is not judged.")
    unfinished = list(Path(runs).glob("*/*/.*.partial/checkpoint.npz"))
    if unfinished:
        names = ", ".join(path.parent.name for path in unfinished)
        say(f"{len(unfinished)} unfinished runs, which the same command goes on with: {names}")
    listed = built.tables["runs"]
    ran = listed["paper"].dropna() if len(listed) else ()  # a damaged record says no paper
    if strangers := set(ran) - {"", RELEASED, *PAPERS}:
        say(f"Not registered, so that no claim stands beside their runs: {', '.join(sorted(strangers))}. {REGISTER}")
    if built.wrong:
        raise UserError(f"{len(built.wrong)} records are wrong and left out; `ferrepro check {runs}` says more.")


class Papers:
    """The suite's papers, and what of them the records are held against."""

    def __init__(self):
        self.loaded = {name: load(name) for name in PAPERS}
        self.protocols = {name: paper.choices() for name, paper in self.loaded.items()}
        self.setups = {name: paper.values() for name, paper in self.loaded.items()}

    def without_randomness(self, record: records.Record) -> bool:
        """Whether every seed gives the predictions of the record."""
        protocol = self.protocols.get(record.paper, {}).get(record.protocol)
        paper = self.loaded.get(record.paper)
        return bool(protocol and paper.without_randomness(record.system, protocol, record.init))

    def check(self, paths: list[Path], passports, cache: Path | None = None) -> list:
        """vouch.check_records with these papers' protocols and setups."""
        from fer_common import vouch

        return vouch.check_records(
            paths,
            passports,
            self.protocols,
            setups=self.setups,
            without_randomness=self.without_randomness,
            cache=cache,
        )


def audit(
    papers: tyro.conf.Positional[tuple[str, ...]] = (),
    system: str | None = None,
    images: Literal["test", "validation", "training", "unstated"] = "unstated",
    write: Path | None = None,
    verbose: bool = False,
    json: bool = False,
    strict: bool = False,
    out: Path | None = None,
) -> None:
    """Can the printed numbers be true? Arithmetic on what is printed; nothing is trained.

    Args:
        papers: papers of the suite (default: all), claims files, or files as programs print them: a
            classification_report, a confusion matrix, a log of Keras.
        system: of files as programs print them: they are of this one system, and are held against each other.
        images: of files as programs print them: what their images are.
        write: write what was read of files as programs print them as a claims file, to go on with.
        verbose: every finding with the numbers behind it.
        json: every finding as JSON.
        strict: exit with status 1 if anything is inconsistent.
        out: a folder for audit.csv and audit.md.
    """
    from fer_common import audit as auditor
    from fer_common import claims
    from fer_common.audit import pasted

    printed = [Path(name) for name in papers if Path(name).is_file() and Path(name).suffix not in (".yaml", ".yml")]
    together = [printed] if system and printed else [[path] for path in printed]
    read = [pasted.claims_file(paths, system=system, images=images) for paths in together]
    names = [name for name in papers if Path(name) not in printed]
    for name in names or ([] if read else sorted(path.stem for path in claims.FOLDER.glob("*.yaml"))):
        path = claims.FOLDER / f"{name}.yaml"
        if not path.exists() and not (path := Path(name)).is_file():
            known = ", ".join(sorted(own.stem for own in claims.FOLDER.glob("*.yaml")))
            raise UserError(f"There is no claims file {name}; give the path of one, or one of {known}.")
        read.append(claims.read(path))
    if write:
        if len(together) != 1 or names:
            raise UserError("--write takes one file as a program prints it, or several of one --system.")
        named = msgspec.structs.replace(read[0], paper=pasted.identifier(write.stem))
        files.write_whole(write, claims.as_yaml(named))

    rows = []
    for file in read:
        found = auditor.audit(file)
        own = auditor.rows(file, found)
        rows += own
        if json:
            continue
        say(auditor.summary(file, found) if not (papers or verbose) else auditor.told(file, found, verbose))
        say()
    if json:
        print(dumps(rows, indent=1, ensure_ascii=False))
    if write and not json:
        say(f"claims file written to {write}: name the paper, the places and the headline, and audit it again")
    if out:
        auditor.write(rows, out)
        if not json:
            say(f"audit written to {out} as csv and md")
    if strict and any(row["verdict"] == "inconsistent" for row in rows):
        sys.exit(1)


def docs() -> None:
    """Renew the generated parts of README.md, docs/ and the scripts' docstrings from the committed tables, setups and
    benchmarks."""
    import runpy

    from fer_common.results import pages

    if not (ROOT / "benchmarks" / "pages.py").is_file():
        raise UserError(f"{ROOT} is no checkout of the suite, and has no pages; run `ferrepro docs` in one.")
    # Benchmarks are no part of an installed suite: they lie beside the pages that tell of them.
    benchmarks = ROOT / "benchmarks"
    of_benchmarks = runpy.run_path(str(benchmarks / "pages.py"))["blocks"](benchmarks)
    blocks = pages.make_blocks(ROOT, Papers().loaded) | of_benchmarks
    for page in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))):
        pages.renew(page, blocks)
        say(f"renewed: {page.relative_to(ROOT)}")
    for name in PAPERS:
        pages.renew_script(ROOT / "reproductions" / f"{name}.py", blocks[f"{name} docstring"])
        say(f"renewed: reproductions/{name}.py")
    if missing := [f"docs/{name}.md" for name in PAPERS if not (ROOT / "docs" / f"{name}.md").is_file()]:
        raise UserError(f"There is no {', no '.join(missing)}; docs/adding_a_paper.md has a page to begin with.")


def fetch() -> None:
    """Download the image-folder form of FER2013 (Kaggle: msambare/fer2013, 60 MB) into the user cache."""
    import kagglehub

    from fer_common.data import WAYS_TO_GET_IT, cache_folder

    target = cache_folder() / "fer2013"
    partial = cache_folder() / "fer2013.partial"
    try:
        kagglehub.dataset_download("msambare/fer2013", output_dir=str(partial), force_download=True)
        shutil.rmtree(target, ignore_errors=True)
        partial.rename(target)
    except Exception as error:  # kagglehub raises what its HTTP library raises, and more
        shutil.rmtree(partial, ignore_errors=True)
        what = "no network, or Kaggle is out of reach" if isinstance(error, OSError) else type(error).__name__
        raise UserError(f"FER2013 could not be fetched ({what}: {str(error)[:150]}); {WAYS_TO_GET_IT}.") from None
    say(f"FER2013 is in {target} and will be found there.")


def cache(empty: bool = False) -> None:
    """What the cache holds: faces that were read, features, scores of records. Faces and features stay below 5 GB
    (the variable FERREPRO_CACHE_GB says otherwise); what was used longest ago goes first.

    Args:
        empty: remove all of it but what was fetched; everything is made again when it is needed.
    """
    from fer_common.data import cache as caching
    from fer_common.progress import table

    root = caching.cache_folder()
    made = {
        "data": "faces that were read or drawn",
        "features": "features of a network",
        "scores": "scores of records",
        "vouched": "records that were checked",
    }
    fetched = {"fer2013": "FER2013, fetched", "utkface": "UTKFace"}
    sizes = {name: caching.size_of(root / name) for name in (made | fetched) if (root / name).exists()}
    rows = [
        {"what": (made | fetched)[name], "MB": f"{size / 1e6:,.1f}", "folder": str(root / name)}
        for name, size in sizes.items()
        if size
    ]
    say(table(rows) if rows else f"The cache, {root}, is empty.")
    if empty and rows:
        with caching.locked():
            for path in (path for name in made for path in (root / name).glob("*") if path.name != "lock"):
                shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
        say("emptied, but for what was fetched" if sizes.keys() & fetched.keys() else "emptied")


def check(
    path: tyro.conf.Positional[str | None] = None,
    data: Data = None,
    allow_subset: AllowSubset = False,
    merged_test: MergedTest = False,
    without_extra: WithoutExtra = False,
    votes: Path | None = None,
    attributes: str | None = None,
    json: Path | None = None,
    figure: Path | None = None,
    brief: bool = False,
) -> None:
    """What a copy of FER2013 really is: counts, looks, twins within and across usages, and remarks.

    Args:
        path: the copy; default: the variable FER2013, then the cache.
        data: the same, as other commands have it.
        votes: FER+'s fer2013new.csv, for what a crowd makes of the labels.
        attributes: a copy of UTKFace (archive or folder), to be looked at instead: counts by part.
        json: a file for the same as JSON.
        figure: an image file for the same drawn.
        brief: the counts alone, at once; it takes none of the three options above.
    """
    import hashlib

    from fer_common import data as data_module
    from fer_common import plotting
    from fer_common.data import fer2013, ferplus, passport, utkface

    if path and data and path != data:
        raise UserError(f"{path} and --data {data} are two copies; name one.")
    path = path or data
    if brief and (given := [name for name, value in (("votes", votes), ("json", json), ("figure", figure)) if value]):
        raise UserError(f"--brief looks at counts alone: leave it out, or --{', --'.join(given)}.")
    if figure:
        plotting.check(figure)
    if attributes:
        if path or votes or figure or brief or merged_test or without_extra:
            raise UserError("--attributes is about UTKFace: of the other options it takes --json and --allow-subset.")
        found = passport.make_attributes(utkface.load(attributes, allow_subset=allow_subset))
        say(passport.text_attributes(found))
        if json:
            json.write_text(dumps(found.as_dict(), indent=1) + "\n")
        return
    copy = data_module.load(path, allow_subset=allow_subset, merged_test=merged_test, without_extra=without_extra)
    if brief:
        counts = ", ".join(f"{usage} {(copy.usage == usage).sum():,}" for usage in data_module.USAGES)
        say(f"{copy.source}: {copy.origin}, fingerprint {copy.fingerprint}, {counts}")
        return
    if Path(copy.origin).is_file():
        with Path(copy.origin).open("rb") as file:
            md5 = hashlib.file_digest(file, "md5").hexdigest()
        say(f"MD5 {md5}: {fer2013.ORIGINAL_MD5.get(md5, 'none of the original files')}")
    made = passport.make(copy, ferplus.read(votes, copy) if votes else None)
    say(passport.text(made))
    if json:
        json.write_text(dumps(made.as_dict(), indent=1) + "\n")
    if figure:
        from fer_common.data import drawing

        drawing.draw_passport(made, figure)


def check_records(runs: tyro.conf.Positional[tuple[Path, ...]] = (RUNS,), passports: Path = PASSPORTS) -> None:
    """Do records say the truth about their rows? Labels are held against the copy's passport, roles drawn again,
    metrics computed again; exits with status 1 if anything is wrong. Needs no data.

    Args:
        runs: records, or folders of them.
        passports: a folder of passports, one a copy of the data (`data check --json`).
    """
    from fer_common import vouch

    findings = Papers().check(vouch.find(runs), vouch.Passports.read(passports))
    say(vouch.text(findings))
    if any(finding.verdict == "wrong" for finding in findings):
        sys.exit(1)


def score(
    model: tyro.conf.Positional[str],
    weights: Path | None = None,
    name: str | None = None,
    size: int = 48,
    channels: Literal[1, 3] = 1,
    scale: Literal["0..1", "-1..1", "0..255", "mean_deviation", "per_image"] = "0..1",
    mean: float | None = None,
    deviation: float | None = None,
    outputs: Literal["probabilities", "logits"] = "probabilities",
    classes: tuple[str, ...] = (),
    tta: Literal["none", "flip"] = "none",
    data: Data = None,
    allow_subset: AllowSubset = False,
    merged_test: MergedTest = False,
    without_extra: WithoutExtra = False,
    runs: Path = RUNS,
    passports: Path = PASSPORTS,
    trust: bool = False,
) -> None:
    """Score somebody else's network or predictions on all of FER2013, beside what its release prints, and say what the
    scores tell of what it was fitted on. It leaves an ordinary record.

    Args:
        model: the name of a card (reproductions/released), or a file: .keras, .h5, .hdf5, .tflite, .onnx; or
            predictions: .csv or .npz with row_id and seven probabilities or a label.
        weights: the file that a card is about.
        name: what to call it in the tables; default: the file's name.
        size: height and width that its images have.
        channels: 1 grey, 3 the same grey three times.
        scale: what becomes of grey values; `mean_deviation` with the next two, `per_image` by each image's own.
        mean: of grey values from 0 to 255.
        deviation: likewise.
        outputs: whether they are probabilities, or logits, which a softmax makes such.
        classes: the emotions in the order of its outputs; default: FER2013's own.
        tta: `flip`: the mean over each image and its mirror image, a row of its own.
        runs: where the record goes.
        passports: a folder of passports: they know which images have twins, and which FER+ names.
        trust: read files that may run code when they are loaded (Lambda layers, pickles).
    """
    from fer_common import data as data_module
    from fer_common.data import passport
    from fer_common.results import groups, measure, render
    from fer_common.score import card as cards
    from fer_common.score import scoring

    if model in cards.names():
        card = cards.load(model)
        if weights is None:
            raise UserError(f"--weights: {model} is known, its file is not here; get {card.file} from {card.source}.")
        path, label = weights, name or model
        if not path.is_file():
            raise UserError(f"{path}: no such file.")
        if (found := cards.sha256_of(path)) != card.sha256:
            raise UserError(
                f"{path}: is not {card.file} of the card {model} (SHA-256 {found[:16]}…, not {card.sha256[:16]}…)."
            )
    else:
        path = Path(model)
        if not path.is_file():
            raise UserError(f"{model}: neither a file nor a card; there is {', '.join(cards.names())}.")
        label = name or re.sub(r"[^a-z0-9_]+", "_", path.stem.lower()).strip("_") or "model"
        card = cards.of_options(
            label, path, size, channels, scale, mean, deviation, outputs, classes or data_module.EMOTIONS
        )
    faces = data_module.load(data, allow_subset=allow_subset, merged_test=merged_test, without_extra=without_extra)
    if path.suffix in (".csv", ".npz"):
        asked = scoring.read_predictions(path, faces, card)
    else:
        asked = scoring.ask(faces, path, card, tta=tta, trust=trust)
    record, predictions = scoring.make_record(label, path, card, faces, asked, tta)
    final = records.folder(runs, record)
    records.write(final, record, [], predictions)
    known = passport.read_all(passports)
    [group] = [g for g in groups.collect(final.parent, known).groups if g.runs[0].paths == (final,)]
    say(render.scored(group, measure.Scores([group]), card.printed if tta == "none" else [], record))
    say(f"record: {final}")


def draw(runs: tyro.conf.Positional[tuple[Path, ...]]) -> None:
    """Draw the pictures of runs beside their records: learning curves, confusion, ROC and reliability curves, and a
    report, a panel a role.

    Args:
        runs: the folders of records.
    """
    from fer_common import pictures

    for path in runs:
        if not (path / "record.json").is_file():
            raise UserError(f"{path}: there is no record; name the folder that holds record.json.")
        record, history, predictions = records.read(path)
        if predictions is None:
            raise UserError(f"{path}: the run failed ({record.error}); there is nothing to draw.")
        pictures.draw_run(path, record, history, predictions)
        say(f"drawn: {path}")


def compare(
    a: tyro.conf.Positional[Path],
    b: tyro.conf.Positional[Path],
    json: Path | None = None,
) -> None:
    """Two runs on the same images: which is right more often, and can these images tell? Of each image set that both
    have in the same role: accuracy, macro-F1, and recall by class, with intervals and tests over images.

    Args:
        a: the folder of a record.
        b: the folder of another, on the same copy of the data.
        json: a file for the same as JSON.
    """
    from fer_common import comparing

    found = comparing.compare(comparing.Run.read(a), comparing.Run.read(b))
    say(comparing.text(found))
    if json:
        json.write_text(dumps(found.as_dict(), indent=1) + "\n")


def show(
    data: Data = None,
    out: Path = Path("fer2013.png"),
    seed: int = 0,
    samples: int = 8,
    allow_subset: AllowSubset = False,
    merged_test: MergedTest = False,
    without_extra: WithoutExtra = False,
) -> None:
    """Draw class counts per usage, and of each class the mean face and samples.

    Args:
        out: the image file.
        seed: draws the samples.
        samples: how many a class.
    """
    from fer_common import data as data_module
    from fer_common import plotting
    from fer_common.data import drawing

    plotting.check(out)
    drawing.draw_data(
        data_module.load(data, allow_subset=allow_subset, merged_test=merged_test, without_extra=without_extra),
        out,
        seed=seed,
        samples=samples,
    )
    say(f"drawn: {out}")


def claims_schema() -> None:
    """The JSON Schema of a claims file."""
    from fer_common import claims

    print(dumps(claims.schema(), indent=1))


def data_group() -> None:
    """`data fetch`, `data check`, `data show`: get a copy of FER2013, say what it is, draw it."""


def claims_group() -> None:
    """`claims schema`: the JSON Schema of a claims file."""


DESCRIPTION = "Papers on facial expression recognition with FER2013: what they claim beside what one gets."
GROUPS = {"data": {"fetch": fetch, "check": check, "show": show}, "claims": {"schema": claims_schema}}
COMMANDS = {
    "list": list_papers,
    "run": run,
    "plan": plan,
    "sweep": sweep,
    "status": status,
    "gather": gather,
    "lab": lab,
    "tables": tables,
    "report": report,
    "best": best,
    "show": show_one,
    "explain": explain,
    "audit": audit,
    "check": check_records,
    "score": score,
    "draw": draw,
    "compare": compare,
    "docs": docs,
    "cache": cache,
    "data": data_group,
    "claims": claims_group,
}

if __name__ == "__main__":
    main()
