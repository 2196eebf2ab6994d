"""A copy of the data as pictures: what its passport found, and its class counts, mean faces and samples."""

from pathlib import Path

import numpy as np

from fer_common.data.faces import EMOTIONS, USAGES, FaceData
from fer_common.data.passport import Passport
from fer_common.plotting import pyplot, save, save_both


def draw_passport(passport: Passport, path: Path) -> None:
    """Which images are there twice, agreement with the crowd by class, and whether the parts look alike, into an image
    file."""
    plt = pyplot()
    panels = 3 if passport.crowd else 2
    figure, axes = plt.subplots(
        panels, 1, figsize=(7, 2.6 * panels), layout="constrained", height_ratios=[4, 3, 2][:panels]
    )
    names = [own.of if own.of == own.among else f"{own.of}, also in {own.among}" for own in passport.exact]
    for offset, (kind, twins) in enumerate((("byte for byte", passport.exact), ("nearly alike", passport.near))):
        shares = [100 * (own.same_label + own.other_label) / passport.looks[own.of].images for own in twins]
        drawn = axes[0].barh(np.arange(len(names)) + 0.4 * offset, shares, 0.4, label=kind)
        axes[0].bar_label(drawn, fmt="%.1f", fontsize=8, padding=2)
    axes[0].set_yticks(np.arange(len(names)) + 0.2, names, fontsize=8)
    axes[0].invert_yaxis()
    axes[0].margins(x=0.1)
    axes[0].set_title("Images that are there a second time, per cent", fontsize=10, loc="left")
    axes[0].legend(fontsize=8)
    if passport.crowd:
        crowd = passport.crowd
        bars = axes[1].barh(list(crowd.by_class), [100 * share for share in crowd.by_class.values()], color="tab:green")
        axes[1].bar_label(bars, fmt="%.0f", fontsize=8, padding=2)
        axes[1].axvline(100 * crowd.agree, color="black", lw=1, ls="--", label=f"all images: {100 * crowd.agree:.0f}")
        axes[1].set(xlim=(0, 100))
        axes[1].invert_yaxis()
        axes[1].legend(fontsize=8)
        axes[1].set_title(
            "Images to which most of ten people (FER+) give their label, per cent", fontsize=10, loc="left"
        )
    highest = {name: max(getattr(own, name) for own in passport.looks.values()) for name in LOOKS}
    for usage, own in passport.looks.items():
        axes[-1].plot([getattr(own, name) / highest[name] for name in LOOKS], list(LOOKS), "o", label=usage)
    axes[-1].set(xlim=(0.5, 1.03), ylim=(len(LOOKS) - 0.5, -0.5))
    axes[-1].legend(fontsize=8, loc="center left")
    axes[-1].set_title("Do the parts look alike? Medians, the highest is 1", fontsize=10, loc="left")
    for each in axes:
        each.tick_params(labelsize=8)
    (save_both if path.suffix == ".png" else save)(figure, path, dpi=100)


LOOKS = ("sharpness", "contrast", "unevenness")


def draw_data(data: FaceData, path: Path, *, seed: int = 0, samples: int = 8) -> None:
    """Class counts per usage beside each class's mean face and samples of it, into the image file `path`."""
    plt = pyplot()
    figure = plt.figure(figsize=(11, 5), layout="constrained")
    left, right = figure.subfigures(1, 2, width_ratios=(1, 0.1 + samples / 8) if samples else (1, 0.25))
    axes = left.subplots()
    usages = [usage for usage in USAGES if (data.usage == usage).any()]
    for number, usage in enumerate(usages):
        counts = np.bincount(data.labels[data.usage == usage], minlength=len(EMOTIONS))
        place = np.arange(len(EMOTIONS)) + (number - (len(usages) - 1) / 2) * 0.8 / len(usages)
        bars = axes.barh(place, counts, 0.8 / len(usages), label=f"{usage} ({counts.sum():,})")
        axes.bar_label(bars, labels=[f"{count:,}" for count in counts], fontsize=7, padding=2)
    axes.set(
        yticks=range(len(EMOTIONS)), yticklabels=EMOTIONS, xlabel="images", title=f"{data.source}, {len(data):,} images"
    )
    axes.invert_yaxis()
    axes.margins(x=0.12)
    axes.legend(fontsize=8)
    rng = np.random.default_rng(seed)
    grid = np.full((len(EMOTIONS) * 49 - 1, (samples + 1) * 49 - 1), 255, np.uint8)
    for number in range(len(EMOTIONS)):
        rows = np.flatnonzero(data.labels == number)
        faces = [data.images[rows].mean(0) if len(rows) else np.full((48, 48), 255)]
        faces += [data.images[row] for row in rng.permutation(rows)[:samples]]
        for place, face in enumerate(faces):
            grid[number * 49 : number * 49 + 48, place * 49 : place * 49 + 48] = face
    axes = right.subplots()
    axes.imshow(grid, cmap="gray", vmin=0, vmax=255)
    title = f"mean, and samples (seed {seed})" if samples else "mean faces"
    axes.set(xticks=[], yticks=np.arange(len(EMOTIONS)) * 49 + 24, yticklabels=EMOTIONS, title=title)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    save(figure, path, dpi=110)
