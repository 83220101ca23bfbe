"""The engine: loading, the cache, the thread that owns the model, and sessions."""

from itwidgets.engine.decoding.generation import ContextFullError, Generation
from itwidgets.engine.decoding.memory import Memory
from itwidgets.engine.decoding.rollout import Continuation, Rollout
from itwidgets.engine.engine import Engine
from itwidgets.engine.kv.pool import BudgetError
from itwidgets.engine.loading.load import load
from itwidgets.engine.scoring.score import Scoring, score
from itwidgets.engine.session.distribution import Alternative, Distribution
from itwidgets.engine.session.growing import BusyError, ReadOnlyError
from itwidgets.engine.session.opening import open_session
from itwidgets.engine.session.replay import Difference, Replay
from itwidgets.engine.session.session import Session
from itwidgets.engine.session.stages import Moved, Stage, Stages
from itwidgets.engine.worker import Job

__all__ = [
    "Alternative",
    "BudgetError",
    "BusyError",
    "ContextFullError",
    "Continuation",
    "Difference",
    "Distribution",
    "Engine",
    "Generation",
    "Job",
    "Memory",
    "Moved",
    "ReadOnlyError",
    "Replay",
    "Rollout",
    "Scoring",
    "Session",
    "Stage",
    "Stages",
    "load",
    "open_session",
    "score",
]
