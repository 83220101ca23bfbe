"""Everything that a page is told of a session but its rows."""

from __future__ import annotations

from itwidgets.engine import Generation, Session
from itwidgets.widgets.protocol import VERSION, Job, Notice, Settings, State


def state_of(
    session: Session,
    prompt: str,
    settings: Settings,
    *,
    selected: int | None = None,
    notice: Notice | None = None,
) -> State:
    """Return the state of a session as the wire has it; its page stamps it with what has travelled."""
    job, live = session.running, session.read_only is None
    return {
        "version": VERSION,
        "seq": 0,
        "session": session.id,
        "rows": 0,
        "head": session.head.row if session.head else -1,
        "selected": selected,
        "prompt": prompt,
        "settings": settings,
        "job": None if job is None else _job_state(job),
        "notice": notice,
        "can_undo": session.can_undo,
        "can_redo": session.can_redo,
        "read_only": None if live else f"This session can only be read: {session.read_only}.",
        "labels": [
            {"start": start, "name": label.name, "colour": label.colour, "hidden": label.hidden}
            for start, label in session.tree.labels.all().items()
        ],
        "model": {
            "name": session.identity.name,
            "vocabulary_size": session.identity.vocabulary_size,
            "context_length": session.engine.context_length if live else None,
        },
    }


def _job_state(job: Generation) -> Job:
    return {
        "id": job.id,
        "kind": job.kind,  # type: ignore[typeddict-item]
        "made": len(job.nodes),
        "total": job.total,
        "stopping": job.cancelled,
    }
