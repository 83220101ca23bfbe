"""``score``: every token of given texts, in one table."""

from __future__ import annotations

import uuid
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np
from tqdm.auto import tqdm

from itwidgets.engine.scoring.figures import Figures
from itwidgets.engine.scoring.passes import passes
from itwidgets.engine.scoring.texts import Texts, beginning, encode_texts
from itwidgets.engine.scoring.windows import strided, windows_of
from itwidgets.engine.scoring.words import WordFigures, word_masks
from itwidgets.engine.worker import Job, Steps
from itwidgets.interventions import check_whole

if TYPE_CHECKING:
    import pandas as pd

    from itwidgets.engine.engine import Engine

_SHOWN_AFTER_S = 2.0
_LOOK_S = 0.1


class ScoreOptions(TypedDict, total=False):
    """What :func:`score` takes beside a model, an adapter and texts."""

    words: bool
    bos: str
    stride: int | None
    min_context: int | None
    top_k: int
    batch_tokens: int
    batch_size: int
    progress: bool | None


@dataclass(frozen=True)
class Scope:
    """How texts are scored; each as in :func:`score`."""

    words: bool = False
    bos: str = "auto"
    stride: int | None = None
    min_context: int | None = None
    top_k: int = 0
    batch_tokens: int = 256
    batch_size: int = 64


class Scoring(Job["pd.DataFrame"]):
    """A scoring that runs on the engine's thread; :meth:`wait` gives its table.

    Attributes
    ----------
    total
        Tokens that pass through the model.
    passed
        How many of them have passed.
    """

    total = 0
    passed = 0


def score(
    engine: Engine,
    texts: Texts,
    *,
    words: bool = False,
    bos: str = "auto",
    stride: int | None = None,
    min_context: int | None = None,
    top_k: int = 0,
    batch_tokens: int = 256,
    batch_size: int = 64,
    progress: bool | None = None,
    adapter: str | None = None,
) -> pd.DataFrame:
    r"""Score every token of given texts under `p`: :math:`-\log_2 p(x_t \mid x_{<t})` and what it stands in.

    Texts pass through the model in batches of about the same length; logits exist for a few rows at a time.
    Other jobs of the engine have their turns in between.

    Parameters
    ----------
    engine
        A model with a decoder alone.
    texts
        A text, or a list of texts; each a string or a list of token ids.
    words
        Whether to score words in place of tokens. Only the token after a word says whether the word has
        ended, so a word's surprisal is not the sum of those of its tokens: it is corrected, so that after
        every context the probabilities of all words and of the end of the text sum to 1, at the beginning of
        a text those of all words with a space before them, or of all without (Pimentel and Meister 2024;
        :mod:`itwidgets.information.words` has the formula). At the end of a text its last word is taken to
        end. A word begins with a token that begins with whitespace, and behind a special token, which is a
        row of its own; punctuation belongs to the word that it is written to. Where a token ends with
        whitespace, as some do with line breaks, the words on both its sides count as one, and so do words
        with a wide or an unbreakable space between them, where the vocabulary has those in parts alone.
    bos
        What is put in front of each text: ``"auto"``, what the tokenizer itself puts there, which is nothing
        for some; ``"add"``, its BOS; ``"none"``, nothing. A text that begins so itself gets no second one.
        What is added is context and has no row.
    stride
        A text that is longer than the model's context is scored in overlapping windows: the first scores
        what fits, each later one the next ``stride`` tokens, with as many before them as fit. By default
        half the context. Each window begins with what ``bos`` says.
    min_context
        How many tokens are to stand before each token of a later window, at least. It limits ``stride``,
        which leaves ``context + 1 - stride``.
    top_k
        How many of the most probable tokens to list of each row; none by default.
    batch_tokens
        Tokens in one forward call, at most; a longer text passes in parts of so many.
    batch_size
        Texts in one forward call, at most.
    progress
        Whether to show a bar; by default when it takes more than two seconds.
    adapter
        Name of a loaded adapter to score with; by default the model alone.

    Returns
    -------
    pandas.DataFrame
        One row a token, in the order of the texts:

        ``text_index``, ``token_index``, ``token_id``, ``token``
            Which text, which of its tokens, and which token that is.
        ``surprisal_bits``, ``entropy_bits``, ``varentropy_bits2``, ``rank``
            Of the token, and of the distribution over the whole vocabulary that it stands in (Shannon 1948);
            rank 1 is the most probable. Missing for a token with nothing before it.
        ``context_length``
            Tokens before it in its window, with what ``bos`` added.
        ``byte_start``, ``byte_end``
            Where it stands in the UTF-8 text that the tokens spell.
        ``undecodable_mass``
            Probability of ids that stand for no token; only where the model has such ids.
        ``top_ids``, ``top_log_probs_nats``
            Lists of the `top_k` most probable tokens, best first; only if asked for.

        Or, with ``words=True``, one row a word:

        ``text_index``, ``word_index``, ``word``
            Which text, which of its words, and the word without the whitespace around it. What is whitespace
            alone, such as a second space, is a row of its own whose word is empty.
        ``surprisal_bits``
            Of the word, corrected; missing where its first token has nothing before it.
        ``first_token_index``, ``token_count``
            Which tokens it is made of.
        ``context_length``
            Of its first token.
        ``byte_start``, ``byte_end``
            Where the word without whitespace stands in the UTF-8 text.

        ``frame.attrs`` says by which model and how: plain JSON values.

    Raises
    ------
    TypeError
        When ``texts`` is no text and no list of texts, or the model has an encoder.
    ValueError
        When there is no text, a text is empty, or a parameter is out of its range; for words, when no token
        of the vocabulary begins with whitespace.
    RuntimeError
        When the engine is closed.
    MemoryError
        When there is no memory for a text even alone; a :class:`~itwidgets.engine.BudgetError` when its keys
        and values need more than ``kv_budget``.

    Examples
    --------
    >>> import itwidgets as itw
    >>> frame = itw.score(engine, ["The capital of France is Paris", "It is Rome"])
    >>> frame[["text_index", "token", "surprisal_bits", "rank", "context_length"]].round(2).tail(4)
       text_index   token  surprisal_bits  rank  context_length
    5           0   Paris            0.37     1               5
    6           1      It             NaN  <NA>               0
    7           1      is            5.27     7               1
    8           1    Rome           17.61  2946               2

    >>> frame = itw.score(engine, "It is unbelievable", words=True)
    >>> frame[["word", "surprisal_bits", "first_token_index", "token_count"]].round(2)
               word  surprisal_bits  first_token_index  token_count
    0            It             NaN                  0            1
    1            is            3.75                  1            1
    2  unbelievable           17.76                  2            2
    """
    scope = Scope(words, bos, stride, min_context, top_k, batch_tokens, batch_size)
    return _shown(start_scoring(engine, texts, scope, adapter), progress)


def start_scoring(engine: Engine, texts: Texts, scope: Scope, adapter: str | None = None) -> Scoring:
    """Start :func:`score` and return its job at once; a stopped one has no result."""
    if engine.runner.has_encoder:
        raise TypeError(f"{engine.name} has an encoder, but score takes models with a decoder alone")
    if not isinstance(scope.words, bool):
        raise TypeError(f"words is {scope.words!r}, but must be True or False")
    check_whole("top_k", scope.top_k, least=0)
    check_whole("batch_tokens", scope.batch_tokens, least=1)
    check_whole("batch_size", scope.batch_size, least=1)
    if scope.words and scope.top_k:
        raise ValueError(
            f"top_k is {scope.top_k}, but it lists alternatives to tokens, not to words: leave it out"
        )
    prefix = beginning(engine.vocabulary, scope.bos)
    stride = strided(engine.context_length, len(prefix), scope.stride, scope.min_context)
    given = encode_texts(texts, engine.vocabulary, prefix)
    # Of words the row after the last token is needed too.
    rows = np.cumsum([0, *(len(text.given) + scope.words for text in given)])
    windows = [
        window
        for row, text in zip(rows.tolist(), given, strict=False)
        for window in windows_of(text, row, engine.context_length, stride, after=scope.words)
    ]
    figures = _figures(engine, [text.given for text in given], scope)
    about = _about(engine, scope, prefix, stride, adapter)

    def body(job: Scoring) -> Steps[pd.DataFrame]:
        for passed in passes(engine.runner, engine.pool, windows, scope.batch_tokens, scope.batch_size):
            yield
            yield from figures.fill(engine.runner, engine.pool, passed)
            job.passed += passed.count
        frame = figures.to_frame()
        frame.attrs.update(about, route=engine.runner.route)
        return frame

    job = Scoring("score", body)
    job.total = sum(len(window.token_ids) for window in windows)
    return engine.submit(("score", uuid.uuid4().hex), job, adapter)


def _figures(engine: Engine, texts: list[list[int]], scope: Scope) -> Figures:
    if scope.words:
        return WordFigures(texts, engine.vocabulary, *word_masks(engine.vocabulary, engine.stop_ids))
    return Figures(texts, engine.vocabulary, scope.top_k)


def _about(
    engine: Engine, scope: Scope, prefix: list[int], stride: int, adapter: str | None
) -> dict[str, Any]:
    """Return what the figures depend on, as plain JSON values."""
    limit = engine.context_length
    identity = engine.identity_with(adapter)
    return {
        "model": identity.name,
        "adapter": adapter,
        "dtype": identity.dtype,
        "attention": identity.attention,
        "words": scope.words,
        "bos": scope.bos,
        "bos_token_ids": prefix,
        "context_length": limit,
        "stride": None if limit is None else stride,
        "min_context": None if limit is None else limit + 1 - stride,
        "top_k": int(scope.top_k),
        "batch_tokens": int(scope.batch_tokens),
        "batch_size": int(scope.batch_size),
    }


def _shown(job: Scoring, progress: bool | None) -> pd.DataFrame:
    """Wait for a scoring, and show how far it is."""
    # On this thread: what the engine's own thread prints appears in no cell.
    bar = tqdm(
        total=job.total,
        desc="scoring",
        unit="token",
        leave=False,
        delay=0 if progress else _SHOWN_AFTER_S,
        disable=progress is False,
    )
    with bar:
        while not job.done:
            with suppress(TimeoutError):
                job.wait(_LOOK_S)
            if job.passed > bar.n:
                bar.update(job.passed - bar.n)
    return job.wait()
