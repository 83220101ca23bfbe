"""From chat messages to token ids, by the model's own template."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Message = Mapping[str, Any]

_REASONING = ("reasoning_content", "thinking", "reasoning")
_TURNS = frozenset({"add_generation_prompt", "continue_final_message"})
# Arguments of `apply_chat_template` that are variables of templates; the others are about tokens.
_KNOWN = _TURNS | {"tools", "documents"}
_PROBE = "itwidgets probe"


def encode_chat(
    messages: Sequence[Message], tokenizer: PreTrainedTokenizerBase, variables: Mapping[str, Any]
) -> list[int]:
    """Return the token ids of chat messages.

    The model's turn is opened; if the last message is its own, that is continued: the content, or where
    there is none the thinking that came before it.

    Parameters
    ----------
    messages
        Each has a role, and a content: a text or a list of text parts. Where the template knows no parts
        they are joined.
    variables
        What the template may read beside the messages.
    """
    if not tokenizer.chat_template:
        raise ValueError("the prompt is a list of messages, but this model has no chat template: give a text")
    template = str(tokenizer.get_chat_template())
    _check_variables(variables, template, tokenizer)
    checked = [_checked(index, message) for index, message in enumerate(messages)]
    if any(isinstance(message.get("content"), list) for message in checked) and not _reads_parts(tokenizer):
        checked = [_joined(message) for message in checked]
    options = {"continue_final_message": _continued(checked[-1]), **variables}
    options.setdefault("add_generation_prompt", not options["continue_final_message"])
    # The template writes BOS itself where the model wants one.
    with _one_sentence():
        ids: Any = tokenizer.apply_chat_template(
            checked, return_dict=False, tokenizer_kwargs={"verbose": False}, **options
        )
    return list(ids)


def _check_variables(variables: Mapping[str, Any], template: str, tokenizer: PreTrainedTokenizerBase) -> None:
    taken = set(inspect.signature(tokenizer.apply_chat_template).parameters) - _KNOWN
    for name in variables:
        if name in taken:
            raise ValueError(f"template sets {name!r}, which no chat template reads: give its variables")
        if name not in template and name not in _TURNS:
            raise ValueError(f"template sets {name!r}, but this model's chat template reads no such variable")


def _checked(index: int, message: Message) -> dict[str, Any]:
    """Return a message that templates can read; else say which is wrong."""
    if not isinstance(message.get("role"), str):
        raise ValueError(
            f"message {index} is {dict(message)!r}, but must have a role such as 'user' and a content"
        )
    content = message.get("content")
    if isinstance(content, Sequence) and not isinstance(content, str | bytes):
        parts = [_text_part(index, part) for part in content]
        return {**message, "content": parts}
    if content is None and any(message.get(key) for key in (*_REASONING, "tool_calls")):
        return dict(message)
    if not isinstance(content, str):
        raise ValueError(
            f"message {index} has the content {content!r}, but must have a text or a list of text parts"
        )
    return dict(message)


def _text_part(index: int, part: Any) -> dict[str, Any]:
    kind = part.get("type", "text") if isinstance(part, Mapping) else None
    if kind != "text" or not isinstance(part.get("text"), str):
        raise ValueError(
            f"message {index} has the part {part!r}, but only text is read: {{'type': 'text', 'text': ...}}"
        )
    return {"type": "text", **part}


def _joined(message: dict[str, Any]) -> dict[str, Any]:
    content = message.get("content")
    if not isinstance(content, list):
        return message
    return {**message, "content": "".join(part["text"] for part in content)}


def _reads_parts(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Whether the template goes through the parts of a content, and does not print them as a list."""
    probe: Any = [{"role": "user", "content": [{"type": "text", "text": _PROBE}]}]
    try:
        with _one_sentence():
            text = str(tokenizer.apply_chat_template(probe, tokenize=False))
    except ValueError:
        return False
    return _PROBE in text and f"'{_PROBE}'" not in text and f'"{_PROBE}"' not in text


def _continued(last: dict[str, Any]) -> bool | str:
    if last["role"] != "assistant":
        return False
    if last.get("content") is not None:
        return True
    return next((key for key in _REASONING if last.get(key) is not None), False)


@contextmanager
def _one_sentence() -> Iterator[None]:
    """Say that it is the template that fails; it is a program of the model's, and may raise anything."""
    try:
        yield
    except Exception as error:
        text = " ".join(str(error).split()) or type(error).__name__
        if "does not appear in the chat" in text:
            raise ValueError(
                "the model's chat template leaves the last message out, so it cannot be continued"
            ) from error
        raise ValueError(f"the model's chat template refuses the messages: {text}") from error
