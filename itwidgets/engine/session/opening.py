"""``open``: a saved session, to go on with or to read."""

from __future__ import annotations

import os
import warnings
from typing import TYPE_CHECKING

from itwidgets.engine.session.session import Session
from itwidgets.interventions import NO_CODE, Allowed
from itwidgets.tree.files import ModelIdentity, read_session

if TYPE_CHECKING:
    from itwidgets.engine.engine import Engine


def open_session(
    path: str | os.PathLike[str], engine: Engine | None = None, *, allow: Allowed = NO_CODE
) -> Session:
    """Open a session that :meth:`Session.save <itwidgets.engine.Session.save>` wrote.

    Parameters
    ----------
    path
        The JSON file.
    engine
        To go on with the session, the model that made it, with the adapter loaded that it had. Without
        one, and with another model or adapter (which is warned of), the session can be read only.
    allow
        Code that programs in the file may name, by the name it has there: functions and sources of
        scores. What was drawn with other code can be shown, and not drawn again.

    Raises
    ------
    SessionFileError
        When the file is cut off, was changed by hand, or is something else.
    """
    if engine is None:
        saved = read_session(path, allow=allow)
        return Session(
            None,
            saved.tree,
            saved.identity,
            head=saved.head,
            read_only="it was opened without a model",
        )
    saved = read_session(path, engine.vocabulary, allow)
    difference = _difference(saved.identity, engine)
    if difference is None:
        _warn_of_noise(path, saved.identity, engine.identity)
        return Session(engine, saved.tree, engine.identity_with(saved.identity.adapter), head=saved.head)
    warnings.warn(f"{os.fspath(path)} is opened for reading only: {difference}", stacklevel=2)
    # The file's own tokens: ids mean something else to another tokenizer.
    saved = read_session(path, allow=allow)
    return Session(None, saved.tree, saved.identity, head=saved.head, read_only=difference)


def _warn_of_noise(path: str | os.PathLike[str], saved: ModelIdentity, here: ModelIdentity) -> None:
    if saved.dtype != here.dtype:
        warnings.warn(
            f"{os.fspath(path)} was made in {saved.dtype} and goes on in {here.dtype}: new figures differ "
            "from the saved ones by the noise of the dtype",
            stacklevel=3,
        )


def _difference(saved: ModelIdentity, engine: Engine) -> str | None:
    """Say what keeps an engine from going on with a session."""
    here = engine.identity
    if saved.tokenizer_fingerprint != here.tokenizer_fingerprint:
        return f"it was made with {saved.name}, whose tokenizer is not that of {here.name}"
    if saved.model_fingerprint != here.model_fingerprint:
        return f"it was made with {saved.name}, whose weights are not those of {here.name}"
    adapter = saved.adapter
    if adapter is not None and adapter not in engine.adapters:
        return f"it was made with the adapter {adapter!r}, which is not loaded: see engine.load_adapter"
    if saved.adapter_fingerprint != engine.identity_with(adapter).adapter_fingerprint:
        return f"it was made with an adapter {adapter!r} of other weights than the one that is loaded"
    return None
