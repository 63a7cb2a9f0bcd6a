"""Hypothesis for a machine that does other things too: no example fails for being slow."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")
