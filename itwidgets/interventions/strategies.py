"""Ready strategies: programs for what people usually want, under the names that the field has for it.

They compose: ``topic_boost(vocabulary, ["sea"], bits=2) >> nucleus(0.9)``. Where words are given, a
vocabulary says which tokens spell them, such as ``engine.vocabulary``; programs hold ids alone.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from itwidgets.interventions.contrast import Contrast, Guidance, Source
from itwidgets.interventions.grammar import JsonSchema, Regex
from itwidgets.interventions.mirostat import Mirostat
from itwidgets.interventions.operators import Bias
from itwidgets.interventions.parameters import check_number
from itwidgets.interventions.penalties import DRY, NoRepeatNGram
from itwidgets.interventions.program import GREEDY, Program, sampling_program
from itwidgets.interventions.step import Vocabulary
from itwidgets.interventions.supports import Ban
from itwidgets.interventions.targets import TargetEntropy
from itwidgets.interventions.truncation import Typical
from itwidgets.interventions.watermark import Watermark

LN2 = math.log(2)


def greedy() -> Program:
    """Take the most probable token each time.

    Examples
    --------
    >>> greedy().is_deterministic
    True
    """
    return GREEDY


def nucleus(p: float = 0.95, temperature: float = 1.0) -> Program:
    """Draw from the smallest set of best tokens that holds a mass (Holtzman et al. 2020).

    Examples
    --------
    >>> nucleus(0.9, temperature=0.7).operators
    (Temperature(temperature=0.7), TopP(p=0.9))
    """
    return sampling_program(temperature, top_p=p)


def min_p(p: float = 0.05, temperature: float = 1.0) -> Program:
    """Draw from the tokens that are not too improbable beside the best one (Nguyen et al. 2024).

    Examples
    --------
    >>> min_p(0.1, temperature=1.5).operators
    (Temperature(temperature=1.5), MinP(p=0.1))
    """
    return sampling_program(temperature, min_p=p)


def typical(mass: float = 0.95, temperature: float = 1.0) -> Program:
    """Draw from the tokens whose surprisal is nearest to the entropy (Meister et al. 2023).

    Examples
    --------
    >>> typical(0.2).operators
    (Typical(mass=0.2),)
    """
    tempered = sampling_program(temperature)
    return tempered if tempered.is_deterministic else tempered >> Typical(mass)


def target_entropy(bits: float) -> Program:
    """Give each row the same entropy, by the temperature that it takes; the least cost in bits that does it.

    Examples
    --------
    >>> target_entropy(3.0).operators
    (TargetEntropy(bits=3.0),)
    """
    return Program((TargetEntropy(bits),))


def mirostat(bits: float = 5.0, learning_rate: float = 0.1) -> Program:
    """Keep the surprisal of the text near a target by feedback (Basu et al. 2021, version 2).

    Examples
    --------
    >>> mirostat(3.0).operators
    (Mirostat(bits=3.0, learning_rate=0.1),)
    """
    return Program((Mirostat(bits, learning_rate),))


def no_repeat(n: int = 3) -> Program:
    """Let no `n` tokens in a row come twice (Paulus, Xiong and Socher 2018).

    Examples
    --------
    >>> no_repeat(4).operators
    (NoRepeatNGram(n=4),)
    """
    return Program((NoRepeatNGram(n),))


def dry(
    vocabulary: Vocabulary | None = None,
    *,
    nats: float = 0.8,
    base: float = 1.75,
    allowed_length: int = 2,
    breakers: Sequence[str] = ("\n", ":", '"', "*"),
) -> Program:
    """Penalise what prolongs a repetition, the more the longer it is ("don't repeat yourself", p-e-w 2024).

    Parameters
    ----------
    vocabulary
        Says which tokens have a breaker in their text; without it there are no breakers.
    nats, base, allowed_length
        As :class:`DRY` has them.
    breakers
        Texts that repetitions are not followed across.

    Examples
    --------
    >>> dry(allowed_length=3).operators
    (DRY(nats=0.8, base=1.75, allowed_length=3, breakers=()),)
    """
    marks = [mark.encode() for mark in breakers]
    tokens = [] if vocabulary is None else [(i, vocabulary.token_bytes(i)) for i in range(len(vocabulary))]
    ids = [i for i, spelt in tokens if any(mark in spelt for mark in marks)]
    return Program((DRY(nats, base, allowed_length, ids),))


def watermark(green_fraction: float = 0.25, nats: float = 2.0, key: int = 15485863) -> Program:
    """Mark the text, so that who knows the key can tell (Kirchenbauer et al. 2023).

    Examples
    --------
    >>> watermark(0.5).operators[0].green_fraction
    0.5
    """
    return Program((Watermark(green_fraction, nats, key),))


def contrastive(source: Source, weight: float = 1.0, plausibility: float = 0.1) -> Program:
    """Prefer what another, weaker model finds less probable than the model itself (Li et al. 2023).

    Parameters
    ----------
    source
        Scores of the weaker model, as ``Engine.source`` makes them.
    weight, plausibility
        As :class:`Contrast` has them.

    Examples
    --------
    >>> import torch
    >>> def amateur(step):
    ...     return torch.zeros(4)
    >>> contrastive(amateur).operators[0].plausibility
    0.1
    """
    return Program((Contrast(source, weight, plausibility),))


def classifier_free_guidance(source: Source, scale: float = 1.5) -> Program:
    """Move away from what the model says without the prompt, or with another (Sanchez et al. 2023).

    Parameters
    ----------
    source
        Scores with the other prompt, as ``Engine.source`` makes them.
    scale
        Above 1 moves away from them.

    Examples
    --------
    >>> import torch
    >>> def without_prompt(step):
    ...     return torch.zeros(4)
    >>> classifier_free_guidance(without_prompt, 2.0).operators[0].scale
    2.0
    """
    return Program((Guidance(source, scale),))


def json_shape(schema: str | Mapping[str, Any] | None = None, start: int = 0) -> Program:
    """Let the new text be JSON, an object if no schema is given.

    Examples
    --------
    >>> json_shape({"type": "integer"}).operators
    (JsonSchema(schema='{"type":"integer"}', start=0),)
    """
    return Program((JsonSchema({"type": "object"} if schema is None else schema, start),))


def regex_shape(pattern: str, start: int = 0) -> Program:
    """Let the new text match a regular expression from its first character to its last.

    Examples
    --------
    >>> regex_shape("[0-9]{4}").operators
    (Regex(pattern='[0-9]{4}', start=0),)
    """
    return Program((Regex(pattern, start),))


def topic_boost(
    vocabulary: Vocabulary,
    words: Iterable[str],
    *,
    bits: float | None = None,
    factor: float | None = None,
) -> Program:
    """Make words more probable: the odds of each token that spells one are multiplied.

    Parameters
    ----------
    vocabulary
        Says which tokens spell the words: with and without a space before it, in all cases.
    words
        Those that no single token spells are left out, with a warning.
    bits
        Base-2 logarithm of what the odds are multiplied by, above 0. Either this or ``factor``.
    factor
        What the odds are multiplied by, above 1.

    Raises
    ------
    ValueError
        When there is no word that a single token spells, or not exactly one of ``bits`` and ``factor``.

    Examples
    --------
    >>> class Tokens(list):
    ...     def token_bytes(self, token_id):
    ...         return self[token_id]
    >>> topic_boost(Tokens([b"sea", b" Sea", b" seal"]), ["sea"], factor=8).operators
    (Bias(nats={0: 2.0794415416798357, 1: 2.0794415416798357}),)
    """
    nats = _nats(bits, factor)
    return Program((Bias(dict.fromkeys(_spelling(vocabulary, words), nats)),))


def topic_suppression(
    vocabulary: Vocabulary,
    words: Iterable[str],
    *,
    bits: float | None = None,
    factor: float | None = None,
) -> Program:
    """Make words less probable: the odds of each token that spells one are divided, or it is excluded.

    Parameters
    ----------
    vocabulary, words
        As for :func:`topic_boost`.
    bits
        Base-2 logarithm of what the odds are divided by, above 0. Without it and ``factor``, the words are
        excluded.
    factor
        What the odds are divided by, above 1.

    Raises
    ------
    ValueError
        When there is no word that a single token spells, or both ``bits`` and ``factor``.
    """
    if bits is None and factor is None:
        return Program((Ban(_spelling(vocabulary, words)),))
    nats = _nats(bits, factor)
    return Program((Bias(dict.fromkeys(_spelling(vocabulary, words), -nats)),))


def _nats(bits: float | None, factor: float | None) -> float:
    if bits is not None and factor is None:
        check_number("bits", bits, lambda x: 0 < x < math.inf, "above 0 and finite")
        return bits * LN2
    if factor is not None and bits is None:
        check_number("factor", factor, lambda x: 1 < x < math.inf, "above 1 and finite")
        return math.log(factor)
    raise ValueError(f"bits is {bits} and factor is {factor}, but exactly one of them must be given")


def _spelling(vocabulary: Vocabulary, words: Iterable[str]) -> list[int]:
    """Tokens that spell one of some words, with or without a space before it, in all cases."""
    if isinstance(words, str):
        raise TypeError(f"words is {words!r}, but must be a list of words")
    given: list[object] = list(words)
    if not all(isinstance(word, str) for word in given):
        raise TypeError(f"words is {given!r}, but must be a list of words")
    words = [str(word) for word in given]
    wanted = {word.strip().casefold(): word for word in words}
    if not wanted or "" in wanted:
        raise ValueError(f"words is {list(wanted.values())!r}, but must be words of at least one character")
    ids: dict[str, list[int]] = {word: [] for word in wanted}
    for token in range(len(vocabulary)):
        text = vocabulary.token_bytes(token).decode(errors="replace").removeprefix(" ").casefold()
        if text in ids:
            ids[text].append(token)
    without = [wanted[word] for word, found in ids.items() if not found]
    if len(without) == len(wanted):
        raise ValueError(f"words is {without!r}, but no single token spells any of them")
    if without:
        warnings.warn(
            f"no single token spells {', '.join(map(repr, without))}: left out", UserWarning, stacklevel=3
        )
    return [token for found in ids.values() for token in found]
