"""A session as one HTML file: the viewer itself, over what the tree holds."""

from __future__ import annotations

import base64
import gzip
import hashlib
import html
import json
import re
from importlib import metadata
from pathlib import Path
from string import Template

from itwidgets.engine import Session
from itwidgets.tree import Recipe
from itwidgets.widgets.bundle import bundle_text
from itwidgets.widgets.page import Page
from itwidgets.widgets.prompt_field import PromptField
from itwidgets.widgets.protocol import State
from itwidgets.widgets.settings import DEFAULTS
from itwidgets.widgets.state import state_of

MOST_RECIPES = 3
"""So many ways in which tokens were chosen are named in the footer."""

_NAMED = ("device", "torch", "transformers")
_READ_ONLY = "This page shows a saved session: it can be read, and what needs the model needs a notebook."


def session_page(session: Session) -> str:
    """Return a session as the text of an HTML file that needs neither kernel nor network."""
    return page_of(session, state_of(session, PromptField(session).text, DEFAULTS))


def page_of(session: Session, state: State) -> str:
    """Return a session as the text of an HTML file, in a state of a viewer."""
    still: State = {**state, "job": None, "notice": None, "read_only": _READ_ONLY}
    message, buffers = Page().delta(session, still)
    head = {"state": message["state"], "header": message["header"], "sizes": [len(b) for b in buffers]}
    # No token stands in the page's scripts as text: whatever it says, it cannot end one.
    data = json.dumps(head).encode() + b"\n" + b"".join(buffers)
    page = Path(__file__).with_name("page.html").read_text(encoding="utf-8")
    return Template(page).substitute(
        policy=_policy(page),
        title=html.escape(_title(session)),
        model=html.escape(session.identity.name),
        footer=html.escape(_footer(session)),
        text=html.escape(session.text),
        style=bundle_text("widget.css").replace("</", "<\\/"),
        bundle=_packed(bundle_text("widget.js").encode()),
        pictures=_packed(bundle_text("picture.js").encode()),
        data=_packed(data),
    )


def _policy(page: str) -> str:
    """Allow the page's own script and the bundle that it unpacks, and no network."""
    (script,) = re.findall('<script type="module">(.*?)</script>', page, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return (
        f"default-src 'none'; script-src 'sha256-{digest}' blob:; style-src 'unsafe-inline'; "
        "img-src blob:; base-uri 'none'; form-action 'none'"
    )


def _packed(data: bytes) -> str:
    # No time in it: the same session is the same file. Level 9 takes six times as long, for 3 % less.
    return base64.b64encode(gzip.compress(data, compresslevel=6, mtime=0)).decode()


def _title(session: Session) -> str:
    words = " ".join(session.text.split())
    return f"{words[:60]}{'…' if len(words) > 60 else ''} – {session.identity.name}"


def _footer(session: Session) -> str:
    """Say which model made the text, how, and by what."""
    identity = session.identity
    parts = [f"Made with {identity.name}", identity.dtype]
    if identity.adapter is not None:
        parts.append(f"adapter {identity.adapter}")
    environment = identity.environment
    parts += [f"{name} {environment[name]}" for name in _NAMED if name in environment]
    return f"{', '.join(parts)}. {_drawn(session)}Shown by itwidgets {metadata.version('itwidgets')}."


def _drawn(session: Session) -> str:
    """Say how the sampled tokens were chosen."""
    tree = session.tree
    used = sorted({int(number) for number in tree.column("recipe")} - {-1})
    recipes = [tree.record.recipes[number] for number in used[:MOST_RECIPES]]
    ways = [f"{_program(recipe)} with seed {recipe.seed}" for recipe in recipes]
    if len(used) > MOST_RECIPES:
        ways.append(f"{len(used) - MOST_RECIPES} more")
    return f"Drawn by {'; '.join(ways)}. " if ways else ""


def _program(recipe: Recipe) -> str:
    program = recipe.program
    return program if isinstance(program, str) else " >> ".join(map(repr, program.operators))
