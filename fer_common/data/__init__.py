"""Where pixels and labels come from, and where data is looked for. What every reader returns is in `faces`.

The readers themselves are in `fer2013` (every published form), `utkface` and `synthetic` (drawn faces); what tasks
there are besides expressions is in `attributes`.
"""

import os
from pathlib import Path

from fer_common import NoData, UserError
from fer_common.data.cache import cache_folder
from fer_common.data.faces import EMOTIONS, IMAGE_SIZE, USAGES, WITHHELD, FaceData, as_arrays, fingerprint

__all__ = ["EMOTIONS", "IMAGE_SIZE", "USAGES", "WITHHELD", "FaceData", "as_arrays", "cache_folder", "fingerprint"]

WAYS_TO_GET_IT = (
    "pass --data PATH or set the variable FER2013 to a copy (archive, CSV or image folder), "
    "run `ferrepro data fetch`, download https://www.kaggle.com/datasets/msambare/fer2013 by hand, "
    "or use drawn faces with `--data synthetic`"
)


def find(data: str | None = None) -> str:
    """Where the data is: `data`, else the variable FER2013, else the user cache.

    Returns a path, or the word `synthetic`. Raises UserError where the named place is empty, and NoData, with the ways
    to get it, where no place is named and the cache holds none.
    """
    for value, said in ((data, "You say"), (os.environ.get("FER2013"), "The variable FER2013 says")):
        if value:
            if value != "synthetic" and not Path(value).expanduser().exists():
                raise UserError(f"{said} {value!r}, and nothing is there; {WAYS_TO_GET_IT}.")
            return value
    fetched = cache_folder() / "fer2013"
    if fetched.is_dir() and any(fetched.iterdir()):
        return str(fetched)
    raise NoData(f"No FER2013 found; {WAYS_TO_GET_IT}.")


def load(
    data: str | None = None, *, allow_subset: bool = False, merged_test: bool = False, without_extra: bool = False
) -> FaceData:
    """The faces at `data` (see `find`), validated; read from the cache where they were read before.

    allow_subset: accept counts that differ from FER2013's own; the source is then `fer2013-subset`.
    merged_test: read a test of which nothing says PublicTest or PrivateTest as one; `fer2013-merged-test`.
    without_extra: leave out files that were made from others, or are there twice.
    Raises UserError where the copy is missing, malformed or not what it should be.
    """
    from fer_common.data import fer2013, synthetic

    found = find(data)
    if found == "synthetic":
        return synthetic.draw_or_load()
    return fer2013.read(
        Path(found).expanduser(), allow_subset=allow_subset, merged_test=merged_test, without_extra=without_extra
    )
