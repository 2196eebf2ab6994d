"""Where each value of a paper's setup comes from: `stated` by the paper, `inferred` from a hint in it, or `assumed`.

A script's setup is a frozen dataclass whose fields are made with these three functions; `--help`, the record and the
generated docs read the same marks, so that none of them can drift from the code.
"""

import dataclasses
from typing import Annotated, Any

from fer_common import UserError


def stated(value: Any, where: str) -> Any:
    """A dataclass field whose default the paper prints, at `where`."""
    return _field(value, "stated", where)


def inferred(value: Any, hint: str) -> Any:
    """A dataclass field whose default follows from something the paper says: `hint`."""
    return _field(value, "inferred", hint)


def assumed(value: Any, reason: str) -> Any:
    """A dataclass field that the paper is silent about; the default has a `reason`."""
    return _field(value, "assumed", reason)


def _field(value: Any, mark: str, note: str) -> Any:
    return dataclasses.field(default=value, metadata={"mark": mark, "note": note})


def provenance(setup_class: type) -> list[tuple[str, Any, str, str]]:
    """(field, default, mark, note) for every field of a setup."""
    return [(field.name, field.default, *_marked(setup_class, field)) for field in dataclasses.fields(setup_class)]


def _marked(setup_class: type, field: dataclasses.Field) -> tuple[str, str]:
    """(mark, note) of a field. Raises UserError where it was not made with one of the three functions."""
    if "mark" not in field.metadata:
        raise UserError(
            f"{setup_class.__module__}.{setup_class.__name__}.{field.name} does not say where its value comes from; "
            "make it with stated(value, place), inferred(value, hint) or assumed(value, reason)."
        )
    return field.metadata["mark"], field.metadata["note"]


def with_help(setup_class: type) -> type:
    """The same class, its marks and notes turned into the help texts of its command line (tyro)."""
    import tyro

    setup_class.__annotations__ = dict(setup_class.__annotations__)
    for field in dataclasses.fields(setup_class):
        text = ": ".join(_marked(setup_class, field))
        setup_class.__annotations__[field.name] = Annotated[field.type, tyro.conf.arg(help=text)]
    return setup_class


def changes(setup: Any, reference: Any) -> dict[str, Any]:
    """The fields of `setup` that differ from `reference`, with their values."""
    return {
        field.name: getattr(setup, field.name)
        for field in dataclasses.fields(reference)
        if getattr(setup, field.name) != getattr(reference, field.name)
    }
