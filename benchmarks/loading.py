"""How fast FER2013's 301 MB CSV becomes arrays: this suite against the two idioms that notebooks use.

    python benchmarks/loading.py [FER2013]

Each reader runs in a process of its own, three times in turn; the median counts, and the peak memory of the process.
Writes benchmarks/loading.json.
"""

import json
import os
import statistics
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from fer_common.data import find

READERS = {
    # the cold read and the read from the cache, both whole: parsed, validated, fingerprinted
    "ferrepro, first read": "from fer_common.data import fer2013; fer2013.read(Path(csv))",
    "ferrepro, from the cache": "from fer_common.data import fer2013; fer2013.read(Path(csv))",
    "pandas and np.fromstring per row": (
        "import numpy as np, pandas as pd\n"
        "frame = pd.read_csv(csv)\n"
        "np.stack([np.fromstring(p, np.uint8, sep=' ') for p in frame['pixels']]).reshape(-1, 48, 48)"
    ),
    "pandas and splitting into Python strings": (
        "import numpy as np, pandas as pd\n"
        "frame = pd.read_csv(csv)\n"
        "np.array([[int(v) for v in p.split(' ')] for p in frame['pixels']], np.uint8).reshape(-1, 48, 48)"
    ),
}
TIMED = """
import json, resource, sys, time
from pathlib import Path
csv = sys.argv[1]
start = time.perf_counter()
{code}
seconds = time.perf_counter() - start
print(json.dumps([seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024]))
"""


def measure(code: str, csv: Path, cache: str) -> tuple[float, float]:
    """(seconds, peak MiB) of one reading in a new process, its imports included."""
    environment = os.environ | {"FERREPRO_CACHE": cache}
    done = subprocess.run(
        [sys.executable, "-c", TIMED.format(code=code), str(csv)],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return tuple(json.loads(done.stdout))


def main() -> None:
    source = Path(find(sys.argv[1] if len(sys.argv) > 1 else None))
    with tempfile.TemporaryDirectory() as folder:
        csv = source
        if source.name.endswith(".tar.gz"):
            with tarfile.open(source) as archive:
                archive.extractall(folder, filter="data")
            csv = next(Path(folder).rglob("fer2013.csv"))
        found = {name: [] for name in READERS}
        for round_number in range(3):
            cache = f"{folder}/cache{round_number}"
            for name, code in READERS.items():
                found[name].append(measure(code, csv, cache))
        size = csv.stat().st_size
    rows = {
        name: {"seconds": round(statistics.median(s for s, _ in runs), 3), "peak_mib": round(max(m for _, m in runs))}
        for name, runs in found.items()
    }
    ours = rows["ferrepro, first read"]["seconds"]
    for row in rows.values():
        row["times_our_first_read"] = round(row["seconds"] / ours, 2)
    result = {"csv_bytes": size, "cores": len(os.sched_getaffinity(0)), "readers": rows}
    Path(__file__).with_suffix(".json").write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
