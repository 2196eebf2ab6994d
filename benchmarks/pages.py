"""What the benchmarks measured, as tables for README.md and docs/: a block for each committed JSON beside this file."""

import json
from pathlib import Path

from fer_common.results.render import markdown


def blocks(folder: Path) -> dict[str, str]:
    """Every block by name, from the JSON files in `folder`."""
    return {
        "loading": loading(folder),
        "training": training(folder),
        "features": features(folder),
        "audit power": audit_power(folder),
        "training of folds": training_of_folds(folder),
        "cost of networks": cost_of_networks(folder),
        "learning rates": learning_rates(folder),
        "augmentation": augmentation(folder),
        "sweeps": sweeps(folder) if (folder / "sweep.json").exists() else "",
        "ten thousand runs": ten_thousand(folder) if (folder / "sweep.json").exists() else "",
        "building of tables": building_of_tables(folder) if (folder / "tables.json").exists() else "",
    }


def loading(folder: Path) -> str:
    """benchmarks/loading.json as a table."""
    found = json.loads((folder / "loading.json").read_text())
    rows = [
        {
            "reader": name,
            "seconds": f"{row['seconds']:.2f}",
            "against our first read": f"{row['times_our_first_read']:.2f} ×",
            "peak memory, MiB": f"{row['peak_mib']:,}",
        }
        for name, row in found["readers"].items()
    ]
    return f"{found['csv_bytes']:,} bytes of CSV, {found['cores']} cores, imports included.\n\n{markdown(rows)}"


def sweeps(folder: Path) -> str:
    """The engines of benchmarks/sweep.json as a table."""
    found = json.loads((folder / "sweep.json").read_text())
    rows = [
        {
            "runs": row["way"],
            "seconds": f"{row['seconds']:.1f}",
            "start-up of the engine, s": f"{row['start_up_s']:.1f}",
            "without start-up, against typing": f"{row['against_typed']:.2f} ×",
            "runs an hour, without start-up": f"{row['runs_per_hour']:,}",
        }
        for row in found["engines"]["rows"]
    ]
    said = (
        f"{found['engines']['runs']} small runs on drawn faces, {found['cores']} cores (`python benchmarks/sweep.py`)."
    )
    return f"{said}\n\n{markdown(rows)}"


def ten_thousand(folder: Path) -> str:
    """What that many runs come to, of benchmarks/sweep.json."""
    many = json.loads((folder / "sweep.json").read_text())["many"]
    rows = [
        {"command": "`plan`, nothing done", "seconds": f"{many['plan_s']:,.0f}"},
        {"command": "`plan`, all done", "seconds": f"{many['plan_all_done_s']:,.0f}"},
        {"command": "`status`", "seconds": f"{many['status_s']:,.0f}"},
        {"command": "`tables`, first", "seconds": f"{many['tables_cold_s']:,.0f}"},
        {"command": "`tables`, again", "seconds": f"{many['tables_warm_s']:,.0f}"},
    ]
    said = (
        f"{many['runs']:,} drawn records of {many['rows']:,} rows: {many['files']:,} files, {many['megabytes']:,} MB; "
        f"the plan has {many['plan_megabytes']:.1f} MB."
    )
    return f"{said}\n\n{markdown(rows)}"


def training(folder: Path) -> str:
    """benchmarks/training.json as a table."""
    found = json.loads((folder / "training.json").read_text())
    rows = [
        {
            "variant": name,
            "ms per step": row["ms_per_step"],
            "speed against PyTorch in float32": f"{row['speed_against_pytorch_float32']:.2f} ×",
        }
        for name, row in found["variants"].items()
    ]
    ceiling = ", ".join(f"{value:,} GFLOP/s in {name}" for name, value in found["matrix_product_gflops"].items())
    where = f"Batch {found['batch']}, {found['cores']} cores; a matrix product reaches {ceiling} there."
    return f"{where}\n\n{markdown(rows)}"


def augmentation(folder: Path) -> str:
    """benchmarks/augmentation.json as a table."""
    found = json.loads((folder / "augmentation.json").read_text())
    rows = [
        {"network": network} | {f"{way}, ms a step": f"{took:.0f}" for way, took in ways.items()}
        for network, ways in found["ms_per_step"].items()
    ]
    return f"{found['cores']} cores, medians of three rounds.\n\n{markdown(rows)}"


def training_of_folds(folder: Path) -> str:
    """benchmarks/folds.json as a table, and what it says of the pipeline and of `--frozen`."""
    found = json.loads((folder / "folds.json").read_text())
    rows = [
        {
            "training": name,
            "images/s": f"{row['images_per_second']:,}",
            "minutes an epoch of one fold": f"{row['seconds_per_epoch'] / 60:.1f}",
            "peak memory, MiB": f"{row['peak_mib']:,}",
        }
        for name, row in found["training"].items()
    ]
    fed, once = found["pipeline_224_px_images_per_second"], found["seconds_of_one_pass"]
    where = (
        f"{found['fitted']:,} images an epoch, {found['cores']} cores. The pipeline alone gives {fed:,} images/s at "
        f"224 px. One pass of ResNet50V2 over all images at 48 px takes {once} s: `--frozen` makes one for all folds, "
        f"where five separate ones take {5 * once} s."
    )
    return f"{where}\n\n{markdown(rows)}"


def cost_of_networks(folder: Path) -> str:
    """benchmarks/multitask.json as a table; what four networks of one task each cost together is their sum."""
    found = json.loads((folder / "multitask.json").read_text())
    cells = {
        name: [own for system, own in found["networks"].items() if system.startswith(name)]
        for name in ("multitask_light", "singletask_light", "multitask_heavy", "singletask_heavy")
    }
    measures = {
        "parameters": lambda own: own["parameters"],
        "multiply-adds of an image": lambda own: own["multiply_adds"],
        "LiteRT file in float32, bytes": lambda own: own["float32"]["file_bytes"],
        "LiteRT file in int8, bytes": lambda own: own["int8"]["file_bytes"],
        "latency in LiteRT float32, ms": lambda own: own["float32"]["latency_ms"],
        "latency in LiteRT int8, ms": lambda own: own["int8"]["latency_ms"],
        "latency of Keras's `predict`, ms": lambda own: own["keras_predict_ms"],
        "Keras, batches of 64: ms an image": lambda own: 1000 / own["images_per_second"],
    }
    rows = []
    for measure, of in measures.items():
        form = "{:,.2f}" if "ms" in measure else "{:,}"
        cost = {name: sum(map(of, own)) for name, own in cells.items()}
        first = cost["multitask_light"]
        shown = {name if len(cells[name]) == 1 else f"{len(cells[name])} {name}": c for name, c in cost.items()}
        rows.append(
            {"cost": measure}
            | {name: form.format(own) for name, own in shown.items()}
            | {f"{next(iter(shown))} against {name}": f"{first / own:.2f} ×" for name, own in list(shown.items())[1:]}
        )
    where = (
        f"{found['cores']} cores, all used by Keras; LiteRT, one image at a time, has one thread. All in float32 or, "
        "where so named, int8; but for the last row, where heavy networks compute in bfloat16, as they do in training."
    )
    return f"{where}\n\n{markdown(rows)}"


def learning_rates(folder: Path) -> str:
    """benchmarks/learning_rates.json as a table."""
    found = json.loads((folder / "learning_rates.json").read_text())
    rows = [
        {"network": system}
        | {f"rate {rate}": f"{100 * accuracy:.1f}" for rate, accuracy in own["select_accuracy"].items()}
        for system, own in found.items()
    ]
    [(epochs, seed)] = {(own["setup"]["epochs"], own["setup"]["seed"]) for own in found.values()}
    return f"After {epochs} epochs, seed {seed}.\n\n{markdown(rows)}"


def audit_power(folder: Path) -> str:
    """benchmarks/audit.json: alarms on true papers, tampered ones that are found, and seconds."""
    found = json.loads((folder / "audit.json").read_text())
    rows = [
        {
            "changed": row["kind"],
            "by": row["by"] or "",
            "papers": f"{row['n']:,}",
            "found": row["found"],
            "found, or copied": row["found"] + row["copied"],
            "provable by intervals": row["provable"] or "",
            "by mlscorecheck, of 100": row["mlscorecheck"] if row["n_peer"] else "no check",
        }
        for row in found["power"]
    ]
    alarms = ", ".join(f"{name} {n}" for name, n in found["true"]["inconsistent"].items())
    where = f"{found['true']['n']:,} true papers; called inconsistent, by how their numbers are printed: {alarms}."
    speed = [{"audited": name, "seconds": f"{seconds:.3f}"} for name, seconds in found["speed"].items()]
    return f"{where}\n\n{markdown(rows)}\n\n{markdown(speed)}"


def features(folder: Path) -> str:
    """benchmarks/features.json as two tables."""
    found = json.loads((folder / "features.json").read_text())
    extraction = [
        {
            "extraction at 48 px": name,
            "images/s": f"{row['images_per_second']:,}",
            "time against ours": f"{row['times_ours']:.2f} ×",
            "peak memory, MiB": f"{row['peak_mib']:,}",
        }
        for name, row in found["extraction"].items()
    ]
    boosting = [
        {
            "boosting": name,
            "seconds": row["seconds"],
            "time against ours": f"{row['times_ours']:.2f} ×",
            "accuracy on PublicTest": f"{100 * row['accuracy_on_public_test']:.1f}",
            "peak memory, MiB": f"{row['peak_mib']:,}",
        }
        for name, row in found["boosting"].items()
    ]
    where = f"{found['images']:,} images, {found['rounds']} rounds, {found['cores']} cores."
    peak = f"At 224 px our extraction peaks at {found['peak_mib_at_224_px']:,} MiB."
    return f"{where} {peak}\n\n{markdown(extraction)}\n\n{markdown(boosting)}"


def building_of_tables(folder: Path) -> str:
    """benchmarks/tables.json: the committed tables cold and warm, beside scikit-learn and SciPy; and how it grows."""
    found = json.loads((folder / "tables.json").read_text())
    committed = found["committed"]
    rows = [
        {"command": name, "seconds": f"{seconds:.1f}", "peak memory, MiB": f"{committed['peak_mib'][name]:,}"}
        for name, seconds in committed["seconds"].items()
    ]
    growth = [
        {"drawn records": f"{row['records']:,}", "cold, s": f"{row['cold_s']:.1f}", "warm, s": f"{row['warm_s']:.1f}"}
        for row in found["growth"]
    ]
    peer = found["peer"]
    where = f"{found['cores']} cores, {committed['records']} records, {committed['cells']:,} cells."
    against = (
        f"One cell of {peer['images']:,} images, all metrics with their deviation over images: ours takes "
        f"{1000 * peer['ours_s']:.0f} ms, scikit-learn's metrics under `scipy.stats.bootstrap` with "
        f"{peer['resamples']:,} resamples {peer['peer_s']:.0f} s, {peer['ratio']:,.0f} times as long. The largest "
        f"difference between the two deviations is {100 * peer['largest_difference']:.1f} % of the deviation."
    )
    return f"{where}\n\n{markdown(rows)}\n\n{against}\n\n{markdown(growth)}"
