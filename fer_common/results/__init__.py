"""From records to tables, figures and pages; a room a step.

`groups`: records → runs that differ in their seed. `image_sets`: which images, in which role. `measure`: scores and
their one interval. `verdicts`: what a claim's gap to a run allows one to say. `tables`: the rows. `render`: names,
decimals, files. `figures`, `pages`: what a reader sees, from tables alone. Arrows run from the last to the first.
"""
