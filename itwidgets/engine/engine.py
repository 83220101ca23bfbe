"""The engine: a model, the one thread that owns it, and the sessions on it."""

from __future__ import annotations

import os
import weakref
from collections.abc import Hashable, Mapping
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from itwidgets.engine.decoding.measured import measure_columns
from itwidgets.engine.decoding.second import ModelSource
from itwidgets.engine.decoding.writer import TreeWriter
from itwidgets.engine.kv.pool import Budget, Pool
from itwidgets.engine.model.adapters import Adapters
from itwidgets.engine.model.capabilities import Capabilities, capabilities
from itwidgets.engine.model.encoder_decoder import make_runner
from itwidgets.engine.model.environment import environment
from itwidgets.engine.model.routes import room_for_copies
from itwidgets.engine.openmp import release_threads
from itwidgets.engine.session.prompts import Prompt
from itwidgets.engine.session.session import Session
from itwidgets.engine.worker import Job, Steps, StoppedError, Worker
from itwidgets.interventions import check_whole
from itwidgets.tree import TokenTree, Vocabulary
from itwidgets.tree.files import ModelIdentity

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

AnyJob = TypeVar("AnyJob", bound=Job[Any])


class Engine:
    """A language model that sessions share.

    Parameters
    ----------
    model
        A language model of transformers, of a decoder alone or with an encoder, or one of PEFT around it,
        whose adapters are then those of the engine. It is put in evaluation mode and otherwise left as it is.
    tokenizer
        Its fast tokenizer.
    name
        What to call it; by default the name that its configuration carries.
    fast
        Whether to take faster routes than the model's own code on a CPU, where there are some. They agree
        to the noise of the dtype, hooks on the model's modules act on each, and changed weights are noticed.
        ``False`` is for reference, best with a model in float32 or float64.
    compile
        Run single tokens by a graph that ``torch.compile`` makes of the model, over buffers of fixed shape:
        worth its wait on a GPU. The name of a backend of torch is accepted too.
    kv_budget
        Bytes that keys, values and states of all sessions may take on the model's devices; by default
        half of what is free there beside copies of weights. What was used longest ago is moved to the
        host's memory or dropped, and computed again when it is needed. Tokens and figures never are.
    snapshot_interval
        Every how many tokens the state of a recurrent layer is kept: forcing recomputes fewer than that.

    Raises
    ------
    TypeError
        When the model does not make texts of texts, or the tokenizer does not say which bytes its tokens
        stand for.
    ValueError
        When the model has an adapter that cannot be switched off, as one for prompts.

    Examples
    --------
    >>> session = engine.session("The capital of France is")
    >>> session.distribution(0).top(1)[0].text
    ' Paris'
    """

    def __init__(
        self,
        model: PreTrainedModel | PeftModel,
        tokenizer: PreTrainedTokenizerBase,
        *,
        name: str | None = None,
        fast: bool = True,
        compile: bool | str = False,  # noqa: A002 - the word of torch
        kv_budget: int | None = None,
        snapshot_interval: int = 64,
    ) -> None:
        if kv_budget is not None:
            check_whole("kv_budget", kv_budget, least=1)
        check_whole("snapshot_interval", snapshot_interval, least=1)
        self._adapters = Adapters(model)
        plain: PreTrainedModel = self._adapters.model
        self.model = plain.eval()
        self.tokenizer = tokenizer
        self.name = name or str(plain.config.name_or_path) or type(plain).__name__
        self.runner = make_runner(plain, fast=fast, compile=compile)
        # Copies of weights are made later, of what is free now.
        budget = Budget.default(plain.device, room_for_copies(plain) if fast else 0)
        self.pool = Pool(budget if kv_budget is None else replace(budget, device_bytes=int(kv_budget)))
        self._snapshot_interval = snapshot_interval
        self.vocabulary = Vocabulary(tokenizer, self.runner.vocabulary_size)
        self._worker = Worker(f"itwidgets engine {self.name}", self._adapters.put_back)
        self._close = weakref.finalize(self, self._worker.close)

    def __repr__(self) -> str:
        dtype = str(self.model.dtype).removeprefix("torch.")
        where = f"{dtype} on {self.model.device}"
        return f"<Engine {self.name}: {len(self.vocabulary)} tokens, {where}>"

    @property
    def capabilities(self) -> Capabilities:
        """What forcing costs with this model, and what is kept of each token."""

        def body(_: Job[Capabilities]) -> Steps[Capabilities]:
            yield
            return capabilities(self.runner, self._snapshot_interval)

        return self.submit("capabilities", Job("capabilities", body), None).wait()

    @property
    def context_length(self) -> int | None:
        """How many tokens the model was built for, if it says so; with an encoder, those of the decoder."""
        return self.runner.context_length

    @property
    def source_length(self) -> int | None:
        """How many tokens of a source text an encoder was built for, if there is one and it says so."""
        return self.runner.source_length

    @cached_property
    def stop_ids(self) -> frozenset[int]:
        """Tokens with which the model ends its text."""
        config = self.model.generation_config
        ids = config.eos_token_id if config is not None else None
        ids = self.tokenizer.eos_token_id if ids is None else ids
        return frozenset([] if ids is None else [ids] if isinstance(ids, int) else ids)

    @property
    def adapters(self) -> list[str]:
        """Names of the adapters that sessions may have.

        Examples
        --------
        >>> engine.adapters
        []
        """
        return self._adapters.names

    def load_adapter(self, source: str | os.PathLike[str], name: str) -> None:
        """Put an adapter of PEFT, such as LoRA, beside the model's weights, for sessions that ask for it.

        It becomes part of ``engine.model``, but counts only while such a session has its turn: sessions
        without an adapter go on with the model as it was, and so does who calls the model after a job.
        Needs the package ``peft`` (``pip install 'itwidgets[peft]'``).

        Parameters
        ----------
        source
            A folder that peft wrote, or the id of an adapter on a hub.
        name
            What sessions call it: letters, digits, ``_`` and ``-``.

        Raises
        ------
        ValueError
            When the name is taken, the adapter does not fit the model, or it changes the model's own
            weights; the engine stays as it was.
        OSError
            When there is no adapter to read.
        ModuleNotFoundError
            When peft is not installed.
        RuntimeError
            When the engine is closed.
        """

        def body(_: Job[None]) -> Steps[None]:
            self._adapters.load(os.fspath(source), name)
            # Some faster routes have ended: copies of weights for them are given up.
            self._adapters.put_on(None)
            self.runner.refresh()
            yield

        self.submit(("adapter", name), Job("load adapter", body), None).wait()

    def session(
        self, prompt: Prompt, *, template: Mapping[str, Any] | None = None, adapter: str | None = None
    ) -> Session:
        """Start a token tree.

        With an encoder, the prompt is the source text. It is read once, and the tree has what the decoder
        makes of it: first what starts the decoder, by ``engine.model.generation_config``
        (``decoder_start_token_id``, then ``forced_bos_token_id`` if there is one, which for models of many
        languages names the one to translate into).

        Parameters
        ----------
        prompt
            A text, token ids, or chat messages ``[{"role": ..., "content": ...}]``. Of messages the model's
            turn is opened; a last message of the assistant is continued, its thinking if it has no content.
        template
            Variables for the chat template, such as ``{"enable_thinking": False}`` or ``{"tools": [...]}``.
        adapter
            Name of a loaded adapter, with which all of the session is computed; by default the model alone.

        Raises
        ------
        ValueError
            When the prompt is empty and the model has no BOS, is longer than the context, or is refused by
            the chat template; when there is no such adapter.

        Examples
        --------
        >>> question = {"role": "user", "content": "What is the capital of France?"}
        >>> chat = engine.session([question, {"role": "assistant", "content": "It is"}])
        >>> chat.nodes[-1].text
        ' is'
        """
        session = self.empty_session(adapter)
        session.read_prompt(session.encode(prompt, template)).wait()
        if session.head is None:
            raise StoppedError("the engine was closed while the prompt was read")
        return session

    def source(
        self,
        prompt: Prompt | None = None,
        *,
        template: Mapping[str, Any] | None = None,
        adapter: str | None = None,
        name: str | None = None,
    ) -> ModelSource:
        """Return this model's scores of another text, for operators that mix distributions.

        Such are :class:`~itwidgets.interventions.Contrast`, :class:`~itwidgets.interventions.Guidance` and
        :class:`~itwidgets.interventions.Experts`, in sessions of this engine or of another one whose
        tokenizer is the same.

        Parameters
        ----------
        prompt, template
            What stands before the new tokens of the session, as of :meth:`session`; by default the
            session's own prompt, for another model or adapter.
        adapter
            Name of a loaded adapter, with which it is computed; by default the model alone.
        name
            What the JSON of a program calls it; by default the model and the prompt.

        Raises
        ------
        ValueError
            When there is no such adapter, the prompt is refused as :meth:`session` says, or is left out for
            a model with an encoder.

        Examples
        --------
        >>> from itwidgets.interventions import Guidance
        >>> guided = Guidance(engine.source("The capital of England is"), scale=1.5)
        >>> [one.text for one in session.distribution(0, guided).q.top(1)]
        [' Paris']
        """
        session = self.empty_session(adapter)
        ids = None if prompt is None else session.encode(prompt, template)
        if ids is None and self.runner.has_encoder:
            raise ValueError("prompt is left out, but the encoder needs a text to read: give one")
        what = "the same text" if ids is None else repr(self.vocabulary.text(ids))
        return ModelSource(
            name or f"{self.name} after {what}",
            ids,
            self.vocabulary,
            self.runner,
            self.pool,
            self._snapshot_interval,
            self._worker,
            lambda: self._adapters.put_on(adapter),
        )

    def empty_session(self, adapter: str | None = None) -> Session:
        """Return a session that has not read its prompt yet."""
        tree = TokenTree(self.vocabulary, measure_columns())
        return Session(self, tree, self.identity_with(adapter))

    def writer(self, tree: TokenTree, identity: ModelIdentity) -> TreeWriter:
        """Return what appends tokens to a tree by this model. For sessions."""
        return TreeWriter(self.runner, tree, self.pool, self._snapshot_interval, identity)

    def submit(self, lane: Hashable, job: AnyJob, adapter: str | None) -> AnyJob:
        """Put a job on the engine's thread; jobs of one lane run in order, lanes take turns.

        At each of its turns the model has this adapter on, or none; when it has ended, what was on before.
        """
        release_threads()
        job.before_turn = lambda: self._adapters.put_on(adapter)
        self._worker.submit(lane, job)
        return job

    def close(self) -> None:
        """Stop all jobs and end the thread; sessions can still be read."""
        self._close()

    @property
    def identity(self) -> ModelIdentity:
        """Which model this is now, so that a saved session finds it again.

        Sessions that exist do not follow a change of weights: each keeps the identity that it began with.
        Weights that were written through ``.data`` count after ``engine.runner.refresh()``.
        """
        return ModelIdentity(
            name=self.name,
            model_fingerprint=self._adapters.base_fingerprint(self.runner.looks),
            tokenizer_fingerprint=self.vocabulary.fingerprint,
            dtype=str(self.model.dtype).removeprefix("torch."),
            vocabulary_size=len(self.vocabulary),
            attention=self.runner.config._attn_implementation,
            environment=environment(self.model.device, self.runner.kernels),
        )

    def identity_with(self, adapter: str | None) -> ModelIdentity:
        """Which model this is with an adapter on, or with none.

        Raises
        ------
        ValueError
            When there is no such adapter.
        """
        if adapter is None:
            return self.identity
        self._adapters.require(adapter)
        return replace(
            self.identity, adapter=adapter, adapter_fingerprint=self._adapters.fingerprint(adapter)
        )
