"""From what a user gives as a prompt to token ids."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Integral
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from itwidgets.tree import Vocabulary

Prompt = str | Sequence[Mapping[str, Any]] | Sequence[int]


def encode_prompt(prompt: Prompt, vocabulary: Vocabulary, context_length: int | None) -> list[int]:
    """Return the token ids of a text, of chat messages, or of token ids already given.

    A text is encoded as the tokenizer does by default, so with BOS where it adds one. Messages go
    through the chat template: the model's turn is opened, or continued if the last message is its own.

    Raises
    ------
    ValueError
        When there is nothing to start from, an id is unknown, or the context is too short.
    """
    token_ids = _token_ids(prompt, vocabulary) or [_bos(vocabulary.tokenizer)]
    if context_length is not None and len(token_ids) >= context_length:
        raise ValueError(
            f"the prompt has {len(token_ids)} tokens, but the model's context holds {context_length}, "
            "one of them new: shorten the prompt"
        )
    return token_ids


def _token_ids(prompt: Prompt, vocabulary: Vocabulary) -> list[int]:
    tokenizer = vocabulary.tokenizer
    if isinstance(prompt, str):
        return list(tokenizer(prompt, truncation=False, verbose=False)["input_ids"])
    wrong = TypeError(f"prompt is {prompt!r}, but must be a text, chat messages or token ids")
    if not isinstance(prompt, Sequence):
        raise wrong
    if prompt and all(isinstance(entry, Mapping) for entry in prompt):
        return _chat(prompt, tokenizer)
    if isinstance(prompt, bytes) or not all(isinstance(entry, Integral) for entry in prompt):
        raise wrong
    return [vocabulary.token_id(i) for i in cast("Sequence[int]", prompt)]


def _chat(messages: Sequence[Any], tokenizer: PreTrainedTokenizerBase) -> list[int]:
    if not tokenizer.chat_template:
        raise ValueError("the prompt is a list of messages, but this model has no chat template: give a text")
    continues = messages[-1].get("role") == "assistant"
    text = tokenizer.apply_chat_template(
        list(messages),
        tokenize=False,
        add_generation_prompt=not continues,
        continue_final_message=continues,
    )
    # The template writes BOS itself where the model wants one.
    return list(tokenizer(text, add_special_tokens=False, truncation=False, verbose=False)["input_ids"])


def _bos(tokenizer: PreTrainedTokenizerBase) -> int:
    if tokenizer.bos_token_id is None:
        raise ValueError(
            "the prompt is empty, and this model has no token that begins a text (BOS): "
            "give at least one character"
        )
    return int(tokenizer.bos_token_id)
