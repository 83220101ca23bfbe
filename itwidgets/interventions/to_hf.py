"""Programs inside ``generate`` of transformers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from itwidgets.information import registered_measures
from itwidgets.interventions.described import parts
from itwidgets.interventions.operators import Operator
from itwidgets.interventions.parameters import check_whole
from itwidgets.interventions.past import Past, token_figures
from itwidgets.interventions.predicates import Compare
from itwidgets.interventions.program import GREEDY, Outcome, Program
from itwidgets.interventions.step import Step, Vocabulary

NORMALISED = 1e-3
"""How near to 0 nats the log-normaliser of a row must be for it to be one of log-probabilities."""


def to_logits_processor(
    program: Program | Operator | None = None,
    *,
    vocabulary: Vocabulary | None = None,
    prompt_length: int | None = None,
    eos_token_id: int | Sequence[int] | None = None,
    pad_token_id: int | None = None,
) -> ProgramProcessor:
    """Make a logits processor of transformers that runs a program inside ``model.generate``.

    Transformers has sampler stages of its own and puts them behind the processors that are given:
    :func:`generation_settings` switches them off. Tokens are then those of ``session.generate`` with
    ``sampling="torch"`` and the same seed, or greedy.

    Parameters
    ----------
    program
        None is greedy.
    vocabulary
        For operators that read text.
    prompt_length
        Of every row without its padding; by default what the first call of a generation has.
    eos_token_id
        Tokens that end a text: rows of a batch that have one among their new tokens are left alone.
    pad_token_id
        Padding before a row, which operators do not see.

    Returns
    -------
    ProgramProcessor
        For one generation at a time: a text that goes on from the one before counts on. Batches are handled
        row by row, and beams like rows. Assisted decoding, which calls it for two models in turn, mixes up
        what operators ask of earlier tokens.

    Raises
    ------
    ValueError
        When called: by the operators, or with beams, whose scores are normalised, where an operator may
        depend on the model's own scale.

    Examples
    --------
    >>> from itwidgets.interventions import Temperature, TopP
    >>> program = Temperature(0.7) >> TopP(0.9)
    >>> processor = to_logits_processor(program)
    >>> processor(torch.tensor([[1, 2]]), torch.tensor([[2.0, 0.0, -9.0]]))
    tensor([[2.8571,   -inf,   -inf]])

    In ``generate``: ``model.generate(ids, logits_processor=[processor], **generation_settings(program))``.
    """
    if prompt_length is not None:
        check_whole("prompt_length", prompt_length, least=0)
    ends = [eos_token_id] if isinstance(eos_token_id, int) else (eos_token_id or ())
    return ProgramProcessor(_program(program), vocabulary, prompt_length, frozenset(ends), pad_token_id)


def generation_settings(program: Program | Operator | None = None) -> dict[str, Any]:
    """Return arguments for ``model.generate`` by which nothing but the program decides on the tokens.

    They switch off what transformers, or the settings that came with a model, would do besides: sampler
    stages, penalties, bans and forced tokens. A program that always leaves one token is run without
    chance.

    Examples
    --------
    >>> generation_settings()["do_sample"]
    False
    """
    if _program(program).is_deterministic:
        return {"do_sample": False, "num_beams": 1, **_NO_PROCESSORS}
    return {"do_sample": True, "num_beams": 1, **_NO_PROCESSORS, **_NO_STAGES}


_NO_PROCESSORS: Mapping[str, Any] = {
    "guidance_scale": None,
    "sequence_bias": None,
    "encoder_repetition_penalty": 1.0,
    "repetition_penalty": 1.0,
    "no_repeat_ngram_size": 0,
    "encoder_no_repeat_ngram_size": 0,
    "bad_words_ids": None,
    "min_length": 0,
    "min_new_tokens": None,
    "forced_bos_token_id": None,
    "forced_eos_token_id": None,
    "remove_invalid_values": False,
    "exponential_decay_length_penalty": None,
    "suppress_tokens": None,
    "begin_suppress_tokens": None,
    "watermarking_config": None,
    "renormalize_logits": False,
}
_NO_STAGES: Mapping[str, Any] = {
    "temperature": 1.0,
    "top_h": None,
    "top_k": 0,
    "top_p": 1.0,
    "min_p": None,
    "typical_p": 1.0,
    "epsilon_cutoff": 0.0,
    "eta_cutoff": 0.0,
}


def _program(value: Program | Operator | None) -> Program:
    return GREEDY if value is None else Program() >> value


@dataclass(frozen=True)
class _Place:
    """Where a row was at some call.

    Parameters
    ----------
    prompt_length
        How many of its tokens are the prompt.
    past
        Figures of the new ones, one after another; None where they were not seen coming.
    scores, outcome
        Those of `p`, and what the program made of them; None of a text that has ended.
    """

    prompt_length: int
    past: tuple[Mapping[str, float], ...] | None
    scores: torch.Tensor | None = None
    outcome: Outcome | None = None


class ProgramProcessor:
    """A program as a logits processor of transformers; see :func:`to_logits_processor`.

    What operators ask of earlier tokens is kept by the text before them, so beams may change places, and
    a call that comes twice replaces the first.
    """

    supports_continuous_batching = False

    def __init__(
        self,
        program: Program,
        vocabulary: Vocabulary | None,
        prompt_length: int | None,
        ends: frozenset[int],
        pad_token_id: int | None,
    ) -> None:
        self._program = program
        self._vocabulary = vocabulary
        self._prompt_length = prompt_length
        self._ends = ends
        self._pad_token_id = pad_token_id
        # Those of now, as of a session that begins: the figures of all tokens have the same names.
        self._measures = tuple(one for one in registered_measures().values() if _may_ask(program, one.name))
        self._bound_to_scale = [one for one in parts(program) if not getattr(one, "is_shift_invariant", True)]
        # Of the call before and of this one.
        self._places: dict[tuple[int, ...], _Place] = {}

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Return what the program makes of each row.

        Parameters
        ----------
        input_ids
            All tokens so far, ``[n, length]``.
        scores
            Raw scores, ``[n, V]``; with beams, log-probabilities.
        """
        # Others may write into it, and what is recorded as p must not change.
        scores = scores.clone()
        self._require_scale(scores)
        texts = [self._without_padding(ids) for ids in input_ids.tolist()]
        lengths = {len(text) for text in texts} | {len(text) - 1 for text in texts}
        places = [self._place(text) for text in texts]
        rows = []
        for text, place, row in zip(texts, places, scores, strict=True):
            settled = self._settled(text, place, row)
            self._places[text] = settled
            rows.append(row if settled.outcome is None else settled.outcome.s)
        self._places = {text: place for text, place in self._places.items() if len(text) in lengths}
        return torch.stack(rows)

    def _place(self, text: tuple[int, ...]) -> _Place:
        """Return the place at the end of a text, before its row is known."""
        if text in self._places:
            return self._places[text]
        before = self._places.get(text[:-1])
        if before is None:
            prompt_length = len(text) if self._prompt_length is None else self._prompt_length
            return _Place(prompt_length, () if prompt_length >= len(text) else None)
        if before.past is None or before.scores is None or before.outcome is None:
            return _Place(before.prompt_length, None)
        figures = token_figures(before.scores, before.outcome, text[-1], self._program, self._measures)
        return _Place(before.prompt_length, (*before.past, figures))

    def _settled(self, text: tuple[int, ...], place: _Place, row: torch.Tensor) -> _Place:
        """Return a place with what the program makes of its row."""
        if self._ends.intersection(text[place.prompt_length :]):
            return _Place(place.prompt_length, None)
        step = Step(
            position=len(text) - place.prompt_length,
            token_ids=text,
            prompt_length=place.prompt_length,
            # Copies, as in decoding: no operator can rewrite what is recorded as p.
            scores=row.clone(),
            vocabulary=self._vocabulary,
            past={} if place.past is None else Past(place.past),
        )
        return _Place(place.prompt_length, place.past, row, self._program(step, row.clone()))

    def _without_padding(self, token_ids: list[int]) -> tuple[int, ...]:
        start = 0
        while start < len(token_ids) and token_ids[start] == self._pad_token_id:
            start += 1
        return tuple(token_ids[start:])

    def _require_scale(self, scores: torch.Tensor) -> None:
        if self._bound_to_scale and bool((scores.logsumexp(-1).abs() < NORMALISED).all()):
            raise ValueError(
                f"{self._bound_to_scale[0]} may depend on the scale of the model's own scores, but these are "
                "log-probabilities, as beam search gives them: use num_beams=1"
            )


def _may_ask(program: Program, measure: str) -> bool:
    """Whether a program asks for a measure of earlier tokens; code of someone's own may ask for any."""
    return any(
        one.measure == measure if isinstance(one, Compare) else not one.is_known for one in parts(program)
    )
