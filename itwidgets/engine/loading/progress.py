"""Saying how far a load is, in a notebook or in a terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import transformers.utils.logging as transformers_logging
from IPython.core.getipython import get_ipython
from IPython.display import display
from tqdm import tqdm

Tell = Callable[[str], None]
"""Takes the current step in a few words."""


@contextmanager
def told_steps(title: str) -> Iterator[Tell]:
    """Show one line with the current step, in place of the bars of each library.

    In a notebook the line says at the end that all is done; in a terminal it goes away.
    """
    shown = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()
    try:
        with _notebook(title) if _in_notebook() else _terminal(title) as tell:
            yield tell
    finally:
        if shown:
            transformers_logging.enable_progress_bar()


def _in_notebook() -> bool:
    return hasattr(get_ipython(), "kernel")


@contextmanager
def _notebook(title: str) -> Iterator[Tell]:
    handle = display(_Line(f"{title} …"), display_id=True)  # type: ignore[no-untyped-call]
    yield lambda step: handle.update(_Line(f"{title}: {step} …"))
    # Not in a `finally`: after an error the line keeps saying what was being done.
    handle.update(_Line(f"{title}: done."))


@contextmanager
def _terminal(title: str) -> Iterator[Tell]:
    with tqdm(bar_format="{desc}", leave=False, file=sys.stderr) as line:
        yield lambda step: line.set_description_str(f"{title}: {step} …")


class _Line:
    """A text that a notebook shows without quotes."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return self._text
