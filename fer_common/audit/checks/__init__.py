"""The checks: each takes a claims file and the roundings to try, finds what it concerns, and says what the arithmetic
of `counts` and `metrics` makes of it. No check knows a paper.
"""

from collections.abc import Callable, Iterator, Sequence

from fer_common.audit.checks import curves, matrices, numbers, reports, statements
from fer_common.audit.finding import Finding
from fer_common.audit.printed import Rounding
from fer_common.claims import ClaimsFile

CHECKS: tuple[Callable[[ClaimsFile, Sequence[Rounding]], Iterator[Finding]], ...] = (
    numbers.granularity,
    numbers.sizes,
    reports.classification_report,
    reports.supports,
    matrices.confusion_matrix,
    matrices.two_matrices,
    matrices.matrix_and_report,
    numbers.agreement,
    matrices.area_under_curve,
    curves.loss_and_accuracy,
    numbers.identities,
    statements.said_extremes,
    statements.ranges,
    statements.margins,
    statements.rankings,
    statements.order_of_systems,
    statements.splits,
    statements.image_sizes,
    numbers.repeated,
    statements.contradictions,
    curves.straight_lines,
    curves.constant_offsets,
    curves.minimum_before_the_end,
    numbers.band,
)
