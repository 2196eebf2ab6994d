"""Somebody else's network or predictions, scored under the official parts: what it gives, and what its pattern tells.

`card`: what a release says of itself. `networks`: how its file is read and asked, in a process of its own. `scoring`:
from a file to a record. `patterns`: what the scores can tell of what was fitted on.
"""
