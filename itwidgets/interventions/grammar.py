"""Grammars, regular expressions and JSON schemas: only tokens with which the text can be of that form."""

from __future__ import annotations

import json
import threading
from abc import abstractmethod
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch

from itwidgets.interventions.operators import Operator, excluding
from itwidgets.interventions.parameters import check_whole
from itwidgets.interventions.step import Step, Vocabulary

if TYPE_CHECKING:
    import llguidance

_MOST_MATCHERS = 32


class Language(Operator):
    """Excludes tokens with which the new text could not become a text of a language any more.

    What is left keeps its proportions, so a step costs ``-log2 p(A)`` bits whatever is drawn, with `A` the
    tokens that are allowed (Csiszár 1975). A token that ends the text is allowed where the text is whole,
    and alone where it cannot go on. Texts so drawn are of the language, but not distributed as the model's
    own texts of that language are (Park et al. 2024).

    The masks are those of llguidance: where only one text can follow, it allows the tokens that the
    tokenizer makes of that text and no other spelling. What it knows of a text so far is computed from the
    text's tokens, and kept for the last few texts.
    """

    start: int
    _matchers: _Matchers

    @property
    @abstractmethod
    def grammar(self) -> str:
        """The language as llguidance reads it."""

    def __call__(self, step: Step, scores: torch.Tensor) -> torch.Tensor:
        """Return the row without what is not allowed."""
        if step.position < self.start:
            return scores
        pieces = _pieces(step.require_vocabulary(self), self)
        allowed = self._matchers.allowed(self, step.new_ids[self.start :], pieces, scores.shape[-1])
        return scores if allowed.all() else excluding(scores, torch.from_numpy(~allowed).to(scores.device))

    def __reduce__(self) -> tuple[type[Language], tuple[Any, ...]]:
        # What is known of texts is no part of it, and cannot be copied.
        return type(self), tuple(self.parameters().values())

    def _compile(self, name: str, what: str) -> None:
        """Refuse what llguidance cannot read, as far as that can be said without a tokenizer."""
        import llguidance

        check_whole("start", self.start, least=0)
        if problem := llguidance.LLMatcher.validate_grammar(self.grammar):
            raise ValueError(f"{name} is {getattr(self, name)!r}, which is no {what}: {_sentence(problem)}")
        object.__setattr__(self, "_matchers", _Matchers(self.grammar))


@dataclass(frozen=True)
class Regex(Language):
    """The new text matches a regular expression from its first character to its last.

    Parameters
    ----------
    pattern
        As Rust's regex crate reads it, so without look-around and back-references.
    start
        Position among the new tokens of the first one that it is about.

    Raises
    ------
    ValueError
        When it is no regular expression; at a step whose text so far does not match.

    Examples
    --------
    >>> from itwidgets.interventions import Program
    >>> Program((Regex("[A-Z][a-z]+ [0-9]{4}"),)).to_json()
    '{"operators":[{"operator":"Regex","pattern":"[A-Z][a-z]+ [0-9]{4}","start":0}],"version":1}'
    """

    pattern: str
    start: int = 0

    def __post_init__(self) -> None:
        if not isinstance(self.pattern, str):
            raise TypeError(f"pattern is {self.pattern!r}, but must be a text")
        self._compile("pattern", "regular expression")

    @property
    def grammar(self) -> str:
        """The language as llguidance reads it."""
        import llguidance

        return str(llguidance.LLMatcher.grammar_from_regex(self.pattern))


@dataclass(frozen=True)
class JsonSchema(Language):
    """The new text is JSON of a schema.

    Parameters
    ----------
    schema
        A JSON schema, as a mapping or as its text; kept as text, since the order of properties in it is
        the order in which they come.
    start
        Position among the new tokens of the first one that it is about.

    Raises
    ------
    ValueError
        When it is no schema, or one that asks for what llguidance does not know; at a step whose text so
        far does not match.

    Examples
    --------
    >>> JsonSchema({"type": "object", "properties": {"age": {"type": "integer"}}}).schema
    '{"type":"object","properties":{"age":{"type":"integer"}}}'
    """

    schema: str | Mapping[str, Any]
    start: int = 0

    def __post_init__(self) -> None:
        content = self.schema
        try:
            content = json.loads(content) if isinstance(content, str) else content
            text = json.dumps(content, separators=(",", ":"), allow_nan=False)
        except (TypeError, ValueError) as error:
            raise ValueError(f"schema is {self.schema!r}, which is no JSON: {error}") from None
        if not isinstance(content, Mapping):
            raise ValueError(f"schema is {self.schema!r}, but must be a JSON object")
        object.__setattr__(self, "schema", text)
        self._compile("schema", "JSON schema")

    @property
    def grammar(self) -> str:
        """The language as llguidance reads it."""
        import llguidance

        return str(llguidance.LLMatcher.grammar_from_json_schema(str(self.schema)))


@dataclass(frozen=True)
class Grammar(Language):
    """The new text is of a context-free grammar.

    Parameters
    ----------
    lark
        The grammar in the notation of Lark, as llguidance reads it; its first rule is ``start``.
    start
        Position among the new tokens of the first one that it is about.

    Raises
    ------
    ValueError
        When it is no grammar; at a step whose text so far does not match.

    Examples
    --------
    >>> Grammar('start: " yes" | " no"').start
    0
    """

    lark: str
    start: int = 0

    def __post_init__(self) -> None:
        if not isinstance(self.lark, str):
            raise TypeError(f"lark is {self.lark!r}, but must be a text")
        self._compile("lark", "grammar")

    @property
    def grammar(self) -> str:
        """The language as llguidance reads it."""
        import llguidance

        return str(llguidance.LLMatcher.grammar_from_lark(self.lark))


class _Matchers:
    """Matchers of one grammar, each after some tokens of one vocabulary; those used longest ago go."""

    def __init__(self, grammar: str) -> None:
        self._grammar = grammar
        self._pieces: llguidance.LLTokenizer | None = None
        self._held: OrderedDict[tuple[int, ...], llguidance.LLMatcher] = OrderedDict()
        # Sessions of several engines may share an operator.
        self._lock = threading.Lock()

    def allowed(
        self, asking: object, token_ids: Sequence[int], pieces: llguidance.LLTokenizer, size: int
    ) -> npt.NDArray[np.bool_]:
        """Return which of ``size`` tokens may follow others."""
        with self._lock:
            if pieces is not self._pieces:
                self._pieces = pieces
                self._held.clear()
            ids = tuple(map(int, token_ids))
            matcher = self._after(asking, ids, pieces)
            mask = matcher.compute_bitmask()
            if matcher.is_error():
                del self._held[ids]
                reason = _sentence(matcher.get_error())
                raise ValueError(f"{asking} allows no token after {len(ids)} others ({reason})")
        bits = np.unpackbits(np.frombuffer(mask, np.uint8), bitorder="little")[:size]
        allowed = np.zeros(size, np.bool_)
        allowed[: len(bits)] = bits
        return allowed

    def _after(
        self, asking: object, token_ids: tuple[int, ...], pieces: llguidance.LLTokenizer
    ) -> llguidance.LLMatcher:
        known = (ids for ids in self._held if token_ids[: len(ids)] == ids)
        prefix = max(known, key=len, default=None)
        matcher = self._begun(asking, pieces) if prefix is None else self._held[prefix].deep_copy()
        count = len(prefix or ())
        count += matcher.try_consume_tokens(list(token_ids[count:]))
        if count < len(token_ids):
            raise ValueError(
                f"{asking} does not allow what stands there already: token {token_ids[count]} after {count} "
                "others; give the place where it begins as start"
            )
        self._held[token_ids] = matcher
        self._held.move_to_end(token_ids)
        while len(self._held) > _MOST_MATCHERS:
            self._held.popitem(last=False)
        return matcher

    def _begun(self, asking: object, pieces: llguidance.LLTokenizer) -> llguidance.LLMatcher:
        import llguidance

        matcher = llguidance.LLMatcher(pieces, self._grammar, log_level=0)
        if matcher.is_error():
            raise ValueError(f"{asking} cannot be used with this tokenizer: {_sentence(matcher.get_error())}")
        return matcher


def _pieces(vocabulary: Vocabulary, asking: object) -> llguidance.LLTokenizer:
    pieces: llguidance.LLTokenizer | None = getattr(vocabulary, "pieces", None)
    if pieces is None:
        raise ValueError(
            f"{asking} needs the tokens as llguidance has them: give an itwidgets.tree.Vocabulary"
        )
    return pieces


def _sentence(message: str) -> str:
    # Behind the first part of a message stands the whole state of a parser.
    return " ".join(message.partition("<state>")[0].split())[:200]
