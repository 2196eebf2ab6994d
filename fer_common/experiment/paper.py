"""What a script hands over, and what is chosen for a run beside the paper's setup. Nothing here runs anything."""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from fer_common.protocols import PROTOCOLS, Protocol
from fer_common.records import Record

RUNS = Path("results/runs")


@dataclass(frozen=True)
class Options:
    """What is chosen for a run and is not the paper's setup."""

    seed: int = 0
    """Draws the weights, the order of the images and the dropout."""
    fold: int | None = None
    """Run this fold alone, where the protocol has folds; default: one after the other."""
    preset: Literal["full", "reduced", "smoke"] = "full"
    """`full`: the paper's own schedule on everything; `reduced`: everything, with the smaller setup of the script
    where it has one; `smoke`: 2,000 images, and a shortened schedule where the paper's is long."""
    data: str | None = None
    """A copy of FER2013 (archive, CSV, image folder), or `synthetic`. Default: the variable FER2013, then the cache."""
    attributes: str | None = None
    """A copy of UTKFace (archive or folder), for a paper that needs it. Default: the variable UTKFACE, then the cache;
    with drawn faces, drawn ones."""
    allow_subset: bool = False
    """Accept a copy whose counts are not FER2013's (UTKFace's); its rows say `fer2013-subset`."""
    merged_test: bool = False
    """Read test images that do not say whether they are PublicTest or PrivateTest as one test; its rows say
    `fer2013-merged-test`."""
    without_extra: bool = False
    """Leave out files of an image folder that were made from others, or are there twice; its rows say how many."""
    runs: Path = RUNS
    """Where the record goes."""
    resume: bool = True
    """Go on from the last finished epoch of a run that was stopped; --no-resume starts it over."""
    again: bool = False
    """Repeat a run that is already finished, and replace its record."""
    deterministic: bool = False
    """Same seed, same machine, identical predictions: on an accelerator too. On a CPU it costs nothing and is on."""
    save_model: bool = False
    """Keep the trained network as model.keras beside the record."""


@dataclass(frozen=True)
class Needed:
    """A run that must be finished before another one of the paper with the same seed, data and preset can begin."""

    system: str
    protocol: str | None = None
    """Default: the same."""
    seed: int | None = None
    """Default: the same; a number where that seed's serves all that have none of their own."""
    options: tuple[str, ...] = ()
    """As they are typed; `--save-model` where its network is what is needed."""


@dataclass(frozen=True)
class Paper:
    """What a script hands over.

    systems: name → setup (a frozen dataclass made with `provenance`); the first is the paper's headline system.
    protocols: the paper's own word → the protocol that it means; the first is the default. Records and their folders
    have the paper's word.
    smoke: the fields of the setup that the smoke preset replaces, where the setup has them.
    train: builds, fits and scores through the `Run` it is given.
    fits_before_split: which of `transforms` and `extractor` the script can fit on images before they are split; it
    asks `run.protocol.before_split` when to.
    plan: system → the protocols that `ferrepro plan` and `ferrepro lab` run it under, where none are named; default:
    all but the later stages under the first protocol.
    later_stages: systems that only train another one on, under a protocol of their own; `--system all` leaves them out.
    reduced: system → the fields that the preset `reduced` sets otherwise, for machines that the paper's setup is too
    much for; such rows never say `full`.
    attributes: it needs UTKFace too.
    extractor: function(record, options, protocol) that returns the folder of the record whose network the run of
    `record` takes its features from, or begins as; None where it does not, or where that network was not kept.
    needs: function(system, setup, protocol) that says which other runs of the paper must be finished before.
    check: function(setup) that says what of its values cannot go together, [] where all can.
    selects: function(setup) that says whether it stops, or chooses an epoch, by images that select, so that a protocol
    without any is refused; default: where it has a patience.
    without_randomness: function(system, protocol, init) that says whether every seed gives identical predictions.
    blocks: function(tables) that makes the blocks of the paper's page that no other paper has, by name, from the
    tables (data frames by name).
    script: the path of the script of a paper that is not the suite's own; set where it is loaded.
    """

    id: str
    description: str
    systems: dict[str, Any]
    protocols: dict[str, Protocol]
    smoke: dict[str, Any]
    train: Callable[[Any], None]
    fits_before_split: tuple[Literal["transforms", "extractor"], ...] = ()
    plan: dict[str, tuple[str, ...]] = field(default_factory=dict)
    later_stages: tuple[str, ...] = ()
    reduced: dict[str, dict[str, Any]] = field(default_factory=dict)
    attributes: bool = False
    extractor: Callable[[Record, Options, Protocol], Path | None] = lambda record, options, protocol: None
    needs: Callable[[str, Any, Protocol], tuple[Needed, ...]] = lambda system, setup, protocol: ()
    check: Callable[[Any], list[str]] = lambda setup: []
    selects: Callable[[Any], bool] = lambda setup: bool(getattr(setup, "patience", 0))
    without_randomness: Callable[[str, Protocol, str], bool] = lambda system, protocol, init: False
    blocks: Callable[[Mapping[str, Any]], dict[str, str]] = lambda tables: {}
    script: str | None = None

    def choices(self) -> dict[str, Protocol]:
        """The protocols that can be run, by name: the paper's own words first, which win, then the canonical names."""
        possible = {"nothing", "repetition", "mirror_images", *self.fits_before_split}
        canonical = {name: protocol for name, protocol in PROTOCOLS.items() if protocol.before_split in possible}
        return self.protocols | {name: own for name, own in canonical.items() if name not in self.protocols}

    def values(self) -> dict[str, dict[str, Any]]:
        """By system the values of its setup, by field, as JSON has them."""
        return {system: json.loads(json.dumps(asdict(setup))) for system, setup in self.systems.items()}

    def word(self, name: str) -> str:
        """What records call the protocol of that name: the paper's own word where it has one, so that one protocol is
        never run under two names."""
        protocol = self.choices()[name]
        own = (word for word, meant in self.protocols.items() if meant is protocol)
        return name if name in self.protocols else next(own, name)
