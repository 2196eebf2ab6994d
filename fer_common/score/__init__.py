"""Somebody else's network on FER2013: how its file is read and asked, and what its answers are worth."""
