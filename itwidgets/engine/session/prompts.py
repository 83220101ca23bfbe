"""From what a user gives as a prompt to token ids."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Integral
from typing import TYPE_CHECKING, Any, cast

from itwidgets.engine.session.chat import encode_chat
from itwidgets.tree.vocabulary import whole_characters

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from itwidgets.tree import Vocabulary

Prompt = str | Sequence[Mapping[str, Any]] | Sequence[int]


def encode_prompt(
    prompt: Prompt,
    vocabulary: Vocabulary,
    context_length: int | None,
    template: Mapping[str, Any] | None = None,
) -> list[int]:
    """Return the token ids of a text, of chat messages, or of token ids already given.

    A text is encoded as the tokenizer does by default, so with BOS where it adds one. Messages go
    through the chat template: the model's turn is opened, or continued if the last message is its own.

    Parameters
    ----------
    template
        Variables that the chat template reads, such as ``{"enable_thinking": False}``; by default none.

    Raises
    ------
    ValueError
        When there is nothing to start from, an id is unknown, the context is too short, or the chat
        template refuses the messages.
    """
    token_ids = _token_ids(prompt, vocabulary, template) or [_bos(vocabulary.tokenizer)]
    if context_length is not None and len(token_ids) >= context_length:
        raise ValueError(
            f"the prompt has {len(token_ids)} tokens, but the model's context holds {context_length}, "
            "one of them new: shorten the prompt"
        )
    return token_ids


def encode_source(
    prompt: Prompt,
    vocabulary: Vocabulary,
    source_length: int | None,
    template: Mapping[str, Any] | None = None,
) -> list[int]:
    """Return the token ids of what an encoder is to read; it may be given as :func:`encode_prompt` says.

    Raises
    ------
    ValueError
        When there is nothing to read, an id is unknown, the encoder does not read so much, or the chat
        template refuses the messages.
    """
    token_ids = _token_ids(prompt, vocabulary, template)
    if not token_ids:
        raise ValueError("the source text is empty: give at least one character")
    if source_length is not None and len(token_ids) > source_length:
        raise ValueError(
            f"the source text has {len(token_ids)} tokens, but the model's encoder reads at most "
            f"{source_length}: shorten it"
        )
    return token_ids


def _token_ids(prompt: Prompt, vocabulary: Vocabulary, template: Mapping[str, Any] | None) -> list[int]:
    if template is not None and not isinstance(template, Mapping):
        raise TypeError(
            f"template is {template!r}, but must be the chat template's variables, by their names"
        )
    tokenizer = vocabulary.tokenizer
    if _is_chat(prompt):
        return encode_chat(cast("Sequence[Mapping[str, Any]]", prompt), tokenizer, template or {})
    if template:
        raise ValueError(f"template is {template!r}, but the prompt is no list of messages: leave it out")
    if isinstance(prompt, str):
        text = whole_characters(prompt)
        return list(tokenizer(text, truncation=False, verbose=False)["input_ids"])
    wrong = TypeError(f"prompt is {prompt!r}, but must be a text, chat messages or token ids")
    if not isinstance(prompt, Sequence):
        raise wrong
    if isinstance(prompt, bytes) or not all(isinstance(entry, Integral) for entry in prompt):
        raise wrong
    return [vocabulary.token_id(i) for i in cast("Sequence[int]", prompt)]


def _is_chat(prompt: Any) -> bool:
    if not isinstance(prompt, Sequence) or not prompt:
        return False
    return all(isinstance(entry, Mapping) for entry in prompt)


def _bos(tokenizer: PreTrainedTokenizerBase) -> int:
    if tokenizer.bos_token_id is None:
        raise ValueError(
            "the prompt is empty, and this model has no token that begins a text (BOS): "
            "give at least one character"
        )
    return int(tokenizer.bos_token_id)
