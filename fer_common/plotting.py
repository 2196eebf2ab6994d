"""Matplotlib without a window, imported where it is used."""


def pyplot():
    """`matplotlib.pyplot` on a backend that writes files alone."""
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    return plt
