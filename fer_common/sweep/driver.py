"""Hands the runs of a plan to an engine until none is left, and says how it goes."""

import concurrent.futures
import contextlib
import datetime
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from fer_common.experiment import BUSY
from fer_common.progress import plain
from fer_common.sweep import state
from fer_common.sweep.attempt import Ended
from fer_common.sweep.engines import Engine
from fer_common.sweep.plan import Line
from fer_common.sweep.state import Failure, State, States

TRIES = 3  # attempts at a run that is killed from outside: memory, a lost machine
KILLED = {-signal.SIGKILL, -signal.SIGTERM, 128 + signal.SIGKILL, 128 + signal.SIGTERM}
LOOKED = 2.0  # seconds between looks at runs that others make, and between pictures of the progress


@dataclass
class Sweep:
    """One pass over a plan. retry: take up what failed, and what waits for it, and nothing else."""

    states: States
    engine: Engine
    retry: bool = False
    now: dict[str, State] = field(default_factory=dict)
    pending: dict[str, Line] = field(default_factory=dict)
    running: dict[concurrent.futures.Future, Line] = field(default_factory=dict)
    elsewhere: set[str] = field(default_factory=set)  # being made by processes that are not ours
    tries: dict[str, int] = field(default_factory=dict)
    at_once: int = 1  # the most runs that were side by side
    pace: list[tuple[float, float]] = field(default_factory=list)  # (expected, spent) minutes of runs that ended

    def carry_out(self) -> dict[str, State]:
        """Until nothing is left that can be run; returns what has become of every line. Ctrl-C interrupts the runs,
        which keep their last epoch, and is raised again."""
        self.now = self.states.all()
        self.pending = self._to_run()
        say(f"{state.counts(self.now.values())}; {len(self.pending)} to run{' (failures alone)' if self.retry else ''}")
        with _terminated_as_interrupted():
            try:
                with _shown(self) as show:
                    self._loop(show)
            except BaseException:
                self.engine.stop()
                raise
        self.engine.stop()
        return self.states.all()

    def _to_run(self) -> dict[str, Line]:
        """What is to be run, in the plan's order."""
        if not self.retry:
            return {line.id: line for line in self.states.lines if self.now[line.id].kind not in ("done", "failed")}
        taken: dict[str, Line] = {}
        for line in self.states.lines:
            if self.now[line.id].kind == "failed" or (taken.keys() & set(line.after)):
                taken[line.id] = line
        return taken

    def _loop(self, show) -> None:
        looked = 0.0
        while self.pending or self.running or self.elsewhere:
            for line in list(self.pending.values()):
                verdict = self._may_start(line)
                if verdict == "full":
                    break
                if verdict == "start":
                    del self.pending[line.id]
                    self._start(line)
                elif verdict == "never":
                    del self.pending[line.id]
            if not self.running and not self.elsewhere:
                break  # what is left waits for what failed
            done, _ = concurrent.futures.wait(
                self.running, timeout=LOOKED, return_when=concurrent.futures.FIRST_COMPLETED
            )
            if not self.running:
                time.sleep(LOOKED)
            for future in done:
                self._ended(self.running.pop(future), future)
            if time.monotonic() - looked > LOOKED:
                looked = time.monotonic()
                self._look_elsewhere()
                for line in self.running.values():
                    self.now[line.id] = self.states.of(line)
                show()

    def _may_start(self, line: Line) -> str:
        """`start`, `wait` for what it needs, `never` since that failed, `full` where the engine has no room."""
        for name in line.after:
            if self.now[name].kind == "done":
                continue
            under_way = (
                name in self.pending or name in self.elsewhere or any(own.id == name for own in self.running.values())
            )
            if not under_way:
                why = "failed" if self.now[name].kind == "failed" else "is not finished"
                self.now[line.id] = State("waiting", reason=f"needs {name}, which {why}")
            return "wait" if under_way else "never"
        return "start" if self.engine.has_room(line) else "full"

    def _start(self, line: Line) -> None:
        """Submit it, unless somebody else has finished it or is at it meanwhile."""
        found = self.states.of(line)
        self.now[line.id] = found
        if found.kind == "done":
            say(f"done by another process: {line.id}")
        elif found.kind == "running":
            self.elsewhere.add(line.id)
            say(f"made by another process: {line.id}")
        else:
            folder = self.states.folder(line)
            assert folder is not None  # all that it needs is done
            self.running[self.engine.submit(line, folder)] = line
            self.at_once = max(self.at_once, sum(not future.done() for future in self.running))
            self.now[line.id] = State("running")

    def _ended(self, line: Line, future: concurrent.futures.Future) -> None:
        folder = self.states.folder(line)
        assert folder is not None
        try:
            ended = future.result()
        except Exception as error:
            if why := self.engine.lost(error):
                ended = Ended(-signal.SIGKILL, False, f"its worker was lost ({why})", (), "unknown", 0.0)
            elif isinstance(error, OSError):  # a full disk, where its log is
                ended = Ended(1, False, f"it could not be started or watched ({error})", (), "unknown", 0.0)
            else:
                raise
        if ended.done:
            state.write_failure(folder, None)
            self.now[line.id] = State("done")
            if line.minutes:
                self.pace.append((line.minutes, ended.seconds / 60))
            say(f"done in {ended.seconds / 60:.1f} min: {line.id}{self._left()}")
            return
        if ended.code == BUSY:
            self.elsewhere.add(line.id)
            say(f"made by another process: {line.id}")
            return
        tries = self.tries[line.id] = self.tries.get(line.id, 0) + 1
        if ended.code in KILLED and tries < TRIES:
            say(f"{ended.reason}; once more, from its last epoch: {line.id}")
            self.pending[line.id] = line
            self.now[line.id] = State("stopped")
            return
        reason = ended.reason + (f", {tries} times: too little memory?" if ended.code in KILLED else "")
        when = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        state.write_failure(folder, Failure(reason, ended.code, tries, ended.host, when))
        self.now[line.id] = State("failed", reason=reason)
        say("\n    ".join([f"failed: {line.id}: {reason}", *ended.tail, f"(log: {state.log_of(folder)})"]))

    def _look_elsewhere(self) -> None:
        """What others made is done, or theirs to begin again: ours."""
        for line in self.states.lines if self.elsewhere else ():
            if line.id in self.elsewhere:
                self.now[line.id] = found = self.states.of(line)
                if found.kind != "running":
                    self.elsewhere.discard(line.id)
                if found.kind == "done":
                    say(f"done by another process: {line.id}")
                elif found.kind in ("stopped", "missing"):
                    self.pending[line.id] = line

    def _left(self) -> str:
        """`; 12 left, about 40 minutes`"""
        left = [*self.pending.values(), *self.running.values()]
        if not left:
            return ""
        expected = [line.minutes for line in left if line.minutes is not None]
        said = f"; {len(left)} left"
        if len(expected) == len(left):
            slower = sum(spent for _, spent in self.pace) / sum(due for due, _ in self.pace) if self.pace else 1.0
            minutes = sum(expected) * slower / min(self.at_once, len(left))
            said += f", about {minutes:.0f} minutes" if minutes < 120 else f", about {minutes / 60:.1f} hours"
        return said

    def picture(self) -> str:
        """Counts, and what runs with its epoch, as a terminal shows it."""
        rows = [state.counts(self.now.values()) + self._left()]
        rows += [f"  {line.id}: {self.now[line.id]}" for line in self.running.values()]
        rows += [f"  {name}: {self.now[name]} (another process)" for name in sorted(self.elsewhere)]
        return "\n".join(rows[:30])


def say(text: str) -> None:
    """A line with its time, which a log keeps."""
    print(f"{datetime.datetime.now():%H:%M:%S} {plain(text)}", flush=True)


@contextlib.contextmanager
def _shown(sweep: Sweep) -> Iterator:
    """A function that shows the picture: redrawn in place on a terminal, nothing in a log, which has the lines."""
    if not sys.stdout.isatty():
        yield lambda: None
        return
    from rich.live import Live
    from rich.text import Text

    with Live(auto_refresh=False, redirect_stdout=True) as live:
        yield lambda: live.update(Text(sweep.picture()), refresh=True)


@contextlib.contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    """SIGTERM ends a sweep as Ctrl-C does; and SIGINT does so too where a shell had it ignored, as of what it starts in
    the background, which the runs would inherit."""

    def interrupt(number, frame):
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
