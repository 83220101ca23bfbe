"""The engine: loading, the cache, the thread that owns the model, and sessions."""

from itwidgets.engine.distribution import Alternative, Distribution
from itwidgets.engine.engine import Engine
from itwidgets.engine.generation import ContextFullError, Generation
from itwidgets.engine.loading import load
from itwidgets.engine.opening import open_session
from itwidgets.engine.session import BusyError, ReadOnlyError, Session
from itwidgets.engine.worker import Job

__all__ = [
    "Alternative",
    "BusyError",
    "ContextFullError",
    "Distribution",
    "Engine",
    "Generation",
    "Job",
    "ReadOnlyError",
    "Session",
    "load",
    "open_session",
]
