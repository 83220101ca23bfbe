"""The engine: a model, the one thread that owns it, and the sessions on it."""

from __future__ import annotations

import hashlib
import json
import weakref
from collections.abc import Hashable, Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

import torch

from itwidgets.engine.prompts import Prompt
from itwidgets.engine.runner import Capabilities, Runner
from itwidgets.engine.session import Session
from itwidgets.engine.worker import Job, Worker
from itwidgets.tree import TokenTree, Vocabulary
from itwidgets.tree.files import ModelIdentity

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

AnyJob = TypeVar("AnyJob", bound=Job[Any])


class Engine:
    """A causal language model that sessions share.

    Parameters
    ----------
    model
        A decoder-only model of transformers. It is put in evaluation mode and otherwise left as it is.
    tokenizer
        Its fast tokenizer.
    name
        What to call it; by default the name that its configuration carries.

    Raises
    ------
    TypeError
        When the model has an encoder, or the tokenizer does not say which bytes its tokens stand for.

    Examples
    --------
    >>> session = engine.session("The capital of France is")
    >>> session.distribution(0).top(1)[0].text
    ' Paris'
    """

    def __init__(
        self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, *, name: str | None = None
    ) -> None:
        if model.config.is_encoder_decoder:
            raise TypeError(
                f"{type(model).__name__} has an encoder and a decoder: decoder-only models are accepted"
            )
        self.model = model.eval()
        self.tokenizer = tokenizer
        self.name = name or str(model.config.name_or_path) or type(model).__name__
        self.runner = Runner(model)
        self.vocabulary = Vocabulary(tokenizer, self.runner.vocabulary_size)
        self._worker = Worker(f"itwidgets engine {self.name}")
        self._close = weakref.finalize(self, self._worker.close)

    def __repr__(self) -> str:
        dtype = str(self.model.dtype).removeprefix("torch.")
        where = f"{dtype} on {self.model.device}"
        return f"<Engine {self.name}: {len(self.vocabulary)} tokens, {where}>"

    @property
    def capabilities(self) -> Capabilities:
        """What forcing costs with this model, and what is kept of each token."""
        return self.runner.capabilities

    @property
    def context_length(self) -> int | None:
        """How many tokens the model was built for, if it says so."""
        return getattr(self.runner.config, "max_position_embeddings", None)

    @cached_property
    def stop_ids(self) -> frozenset[int]:
        """Tokens with which the model ends its text."""
        config = self.model.generation_config
        ids = config.eos_token_id if config is not None else None
        ids = self.tokenizer.eos_token_id if ids is None else ids
        return frozenset([] if ids is None else [ids] if isinstance(ids, int) else ids)

    def session(self, prompt: Prompt) -> Session:
        """Start a token tree.

        Parameters
        ----------
        prompt
            A text, chat messages ``[{"role": ..., "content": ...}]``, or token ids.

        Raises
        ------
        ValueError
            When the prompt is empty and the model has no BOS, or is longer than the context.
        """
        session = self.empty_session()
        session.read_prompt(session.encode(prompt)).wait()
        return session

    def empty_session(self) -> Session:
        """Return a session that has not read its prompt yet."""
        return Session(self, TokenTree(self.vocabulary), self.identity)

    def submit(self, lane: Hashable, job: AnyJob) -> AnyJob:
        """Put a job on the engine's thread; jobs of one lane run in order, lanes take turns."""
        self._worker.submit(lane, job)
        return job

    def close(self) -> None:
        """Stop all jobs and end the thread; sessions can still be read."""
        self._close()

    @cached_property
    def identity(self) -> ModelIdentity:
        """Which model this is, so that a saved session finds it again."""
        return ModelIdentity(
            name=self.name,
            model_fingerprint=_fingerprint(self.model),
            tokenizer_fingerprint=self.vocabulary.fingerprint,
            dtype=str(self.model.dtype).removeprefix("torch."),
            vocabulary_size=len(self.vocabulary),
        )


def _fingerprint(model: PreTrainedModel) -> str:
    """SHA-256 over names, shapes and a sample of all parameters: cheap, and other weights give another."""
    digest = hashlib.sha256()
    for name, sample in _samples(model):
        digest.update(name.encode())
        digest.update(json.dumps(sample).encode())
    return digest.hexdigest()


def _samples(model: PreTrainedModel, count: int = 16) -> Iterator[tuple[str, list[Any]]]:
    for name, parameter in sorted(model.named_parameters()):
        if parameter.is_meta:
            # Moved off the device by accelerate: its values cannot be read here.
            yield name, list(parameter.shape)
            continue
        flat = parameter.detach().reshape(-1)
        chosen = torch.arange(0, len(flat), max(1, len(flat) // count), device=flat.device)
        # Rounded to bfloat16, so that the same checkpoint in another dtype is still the same model.
        yield name, [list(parameter.shape), flat[chosen].bfloat16().float().tolist()]
