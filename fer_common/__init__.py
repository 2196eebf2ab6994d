"""What the reproductions share: data, splits, pipeline, experiment, evaluation, records, claims, tables.

Nothing heavy is imported here, so that `ferrepro --help` stays quick.
"""

__version__ = "0.1.0"


class UserError(Exception):
    """Something the user can mend, told in one sentence: what was found, where, and what to do.

    Commands print the sentence and exit with status 1; they never show a traceback for it.
    """


class NoData(UserError):
    """No FER2013 was named and none is in the cache; `ferrepro data check` then exits with status 3,
    so that make can go on with drawn faces."""
