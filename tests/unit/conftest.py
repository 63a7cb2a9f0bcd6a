"""Configure Hypothesis for a busy machine: no example fails because it is slow."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")
