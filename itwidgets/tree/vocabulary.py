"""Identity of tokens: their ids, their exact bytes and the text that they spell together."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol, cast

import numpy as np
import numpy.typing as npt

from itwidgets.information import word_starts
from itwidgets.interventions import is_whole

if TYPE_CHECKING:
    import llguidance
    from transformers import PreTrainedTokenizerBase


class TokenTexts(Protocol):
    """What the token tree needs to know of a vocabulary."""

    @property
    def strips_first_space(self) -> bool:
        """Whether decoding drops the space before the first word."""
        ...

    def token_bytes(self, token_id: int) -> bytes:
        """Return the exact bytes of one token."""
        ...

    def is_delimiter(self, token_id: int) -> bool:
        """Return whether a token is known to be special, as those with which a text begins or ends."""
        ...

    def text(self, token_ids: Sequence[int]) -> str:
        """Return the text that tokens spell together."""
        ...


def spell(pieces: Iterable[bytes], strips_first_space: bool) -> str:
    """Join the bytes of tokens to text; bytes that are no whole character become U+FFFD."""
    text = b"".join(pieces).decode(errors="replace")
    return text[1:] if strips_first_space and text.startswith(" ") else text


def whole_characters(text: str) -> str:
    """Return a text that can be encoded as UTF-8.

    Raises
    ------
    ValueError
        When it holds half of a surrogate pair, as a page can type it: no tokenizer knows what to do with it.
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(
            f"the text holds half a character (U+{ord(text[error.start]):04X} at {error.start}): "
            "give whole characters"
        ) from None
    return text


class StoredVocabulary:
    """The tokens that a saved session mentions: enough to show it, not to go on with it."""

    def __init__(self, tokens: Mapping[int, bytes], strips_first_space: bool = False) -> None:
        self.tokens = dict(tokens)
        self.strips_first_space = strips_first_space

    def token_bytes(self, token_id: int) -> bytes:
        """Return the exact bytes of one token."""
        return self.tokens[token_id]

    def is_delimiter(self, token_id: int) -> bool:
        """Return False: a saved session does not say which tokens are special."""
        return False

    def text(self, token_ids: Sequence[int]) -> str:
        """Return the text that tokens spell together."""
        return spell(map(self.token_bytes, token_ids), self.strips_first_space)


class Vocabulary:
    """All tokens of a tokenizer.

    Parameters
    ----------
    tokenizer
        A fast tokenizer of transformers; only those say which bytes a token stands for.
    size
        Rows of the model's output head; it may be wider than the tokenizer.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, size: int) -> None:
        if not getattr(tokenizer, "is_fast", False):
            raise TypeError(
                f"{type(tokenizer).__name__} is not a fast tokenizer, so the bytes of its tokens are not "
                "known: load it with use_fast=True or convert it with convert_slow_tokenizer"
            )
        self.tokenizer = tokenizer
        self.size = size

    def __len__(self) -> int:
        return self.size

    @cached_property
    def pieces(self) -> llguidance.LLTokenizer:
        """The tokens as llguidance has them: for their exact bytes, and for grammars."""
        import llguidance.hf

        return llguidance.hf.from_tokenizer(cast("Any", self.tokenizer), slices=[])

    @cached_property
    def strips_first_space(self) -> bool:
        """Whether decoding drops the space that stands before the first word, as SentencePiece does."""
        spaced = next((i for i in range(self.size) if self.token_bytes(i).startswith(b" ")), None)
        return spaced is not None and not self.decode([spaced]).startswith(" ")

    @cached_property
    def undecodable(self) -> npt.NDArray[np.bool_]:
        """Which ids stand for no token, shape ``[V]``.

        Output heads are padded to a round width, and ids between special tokens are left free: the model
        gives such ids some probability, and the tokenizer knows no text for them.
        """
        mask = np.ones(self.size, dtype=np.bool_)
        mask[[i for i in self.tokenizer.get_vocab().values() if i < self.size]] = False
        return mask

    @cached_property
    def delimiters(self) -> npt.NDArray[np.bool_]:
        """Which ids are special tokens, such as BOS and EOS, shape ``[V]``: where one stands, a text ends.

        The token that stands for unknown text is none of them.
        """
        tokenizer = self.tokenizer
        # Where nothing is unknown, as in byte-level BPE, that name is often given to the end of a text.
        unknown = getattr(tokenizer.backend_tokenizer.model, "unk_token", tokenizer.unk_token)
        mask = np.zeros(self.size, dtype=np.bool_)
        for i, token in tokenizer.added_tokens_decoder.items():
            if i < self.size:
                mask[i] = token.special and token.content != unknown
        return mask

    @cached_property
    def word_starts(self) -> npt.NDArray[np.bool_]:
        """Which ids begin a word, by the whitespace that they begin with, shape ``[V]``."""
        texts = [self.token_bytes(i) for i in range(self.size)]
        return word_starts(texts, specials=np.flatnonzero(self.delimiters).tolist())

    @cached_property
    def frame(self) -> tuple[list[int], list[int]]:
        """What the tokenizer puts before and behind each text by itself: often nothing, BOS or EOS."""
        text = "a"
        whole, inner = list(self.tokenizer(text)["input_ids"]), self._ids(text)
        starts = (i for i in range(len(whole)) if whole[i : i + len(inner)] == inner)
        start = next(starts, None)
        return ([], []) if start is None else (whole[:start], whole[start + len(inner) :])

    def decode(self, token_ids: Sequence[int]) -> str:
        """Decode as the tokenizer itself does, special tokens included."""
        text = self.tokenizer.decode(
            list(token_ids), skip_special_tokens=False, clean_up_tokenization_spaces=False
        )
        return str(text)

    def token_bytes(self, token_id: int) -> bytes:
        """Return the exact bytes of one token; ids that no token has read ``<[id]>``."""
        # The byte FF, which no UTF-8 text has, marks special tokens in llguidance and is dropped there.
        return bytes(self.pieces.decode_bytes([token_id])) or b"\xff"

    def is_delimiter(self, token_id: int) -> bool:
        """Return whether this is a special token, with which a text begins or ends."""
        return bool(self.delimiters[token_id])

    def text(self, token_ids: Sequence[int]) -> str:
        """Return the text that tokens spell together."""
        return spell(map(self.token_bytes, token_ids), self.strips_first_space)

    def encode(self, text: str) -> list[int]:
        """Tokens of a text that goes on from another, without BOS; special tokens are recognised."""
        if not self.strips_first_space:
            return self._ids(text)
        # SentencePiece would put a space before the text; behind a newline it does not.
        anchor = self._ids("\n")
        return self._ids("\n" + text)[len(anchor) :]

    def _ids(self, text: str) -> list[int]:
        # Called without a length limit: the session checks the length and says what would fit.
        text = whole_characters(text)
        encoding = self.tokenizer(text, add_special_tokens=False, truncation=False, verbose=False)
        return list(encoding["input_ids"])

    def token_id(self, token: int | str) -> int:
        """Return the id of one token, given by id or by its text.

        Raises
        ------
        ValueError
            When the id is outside the vocabulary or the text is not exactly one token.
        """
        if isinstance(token, str):
            ids = self.encode(token)
            if len(ids) != 1:
                parts = ", ".join(repr(self.token_bytes(i).decode(errors="replace")) for i in ids)
                raise ValueError(
                    f"{token!r} is no single token but {len(ids)} ({parts}): "
                    "give a token id or a text that is one token"
                )
            return ids[0]
        if not is_whole(token):
            raise TypeError(f"token is {token!r}, but must be a token id or the text of one token")
        if not 0 <= token < self.size:
            raise ValueError(f"token id {token} is not in the vocabulary: 0 to {self.size - 1} are accepted")
        return int(token)

    def token_ids(self, tokens: int | str | Iterable[int]) -> list[int]:
        """Return ids of what is to be forced: a token id, several, or any text of one or more tokens."""
        if isinstance(tokens, str):
            ids = self.encode(tokens)
        elif isinstance(tokens, Iterable):
            ids = [self.token_id(i) for i in tokens]
        else:
            ids = [self.token_id(tokens)]
        if not ids:
            raise ValueError(f"{tokens!r} has no tokens: give at least one token or character to force")
        return ids

    @cached_property
    def _search_texts(self) -> list[str]:
        return [self.token_bytes(i).decode(errors="replace").casefold() for i in range(self.size)]

    def search(self, query: str) -> list[int]:
        """Ids of all tokens whose text contains ``query``, upper and lower case alike."""
        folded = query.casefold()
        return [i for i, text in enumerate(self._search_texts) if folded in text]

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of all tokens and their ids: with the same one, an id means the same token."""
        tokens = json.dumps(sorted(self.tokenizer.get_vocab().items()), ensure_ascii=False)
        return hashlib.sha256(tokens.encode(errors="surrogatepass")).hexdigest()
