"""The prompt field: what it shows, and whether someone has edited it."""

from __future__ import annotations

from itwidgets.engine import Session
from itwidgets.engine.session.prompts import Prompt


class PromptField:
    """The prompt of a session as a line of text.

    What the field shows by itself is never encoded again: another encoding of the same text, or a second
    BOS, would be another prompt.

    Attributes
    ----------
    first
        Token ids to start from; None without a prompt.
    """

    def __init__(self, session: Session, prompt: Prompt = "") -> None:
        self._session = session
        self.first = session.encode(prompt) if prompt else None
        self._known = {prompt: self.first} if isinstance(prompt, str) and self.first else {}

    @property
    def text(self) -> str:
        """Text of the prompt, or of the source: as the user gave it, else what would be encoded to it."""
        ids = self._session.source_ids or self._session.prompt_ids
        known = (text for text, token_ids in self._known.items() if token_ids == ids or not ids)
        return next(known, self._spelled(ids))

    def edited(self, prompt: str | None) -> list[int] | None:
        """Token ids to make current first: those of a field that says something new."""
        session = self._session
        # It may end between two looks at it.
        reading = session.reading
        # There was no prompt yet, or it was stopped before it was read.
        unread = session.head is None and (reading is None or reading.cancelled)
        if prompt is None:
            return self.first if unread else None
        if prompt == self.text and not unread:
            return None
        token_ids = self._known.get(prompt) or session.encode(prompt)
        self._known = {**self._known, prompt: token_ids}
        return token_ids

    def _spelled(self, ids: list[int]) -> str:
        session = self._session
        before, behind = session.engine.vocabulary.frame if session.read_only is None else ([], [])
        own = ids[len(before) : len(ids) - len(behind)]
        return session.tree.vocabulary.text(own if [*before, *own, *behind] == ids else ids)
