"""One forward call of the model, and the output head on what it leaves."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import torch
from transformers.cache_utils import Cache, DynamicCache

from itwidgets.engine.kv.layers import can_be_cut, growing_cache
from itwidgets.engine.model.compiled import CompiledStep
from itwidgets.engine.model.environment import kernels
from itwidgets.engine.model.fused import FusedStep
from itwidgets.engine.model.masks import Mask, tree_mask
from itwidgets.engine.model.products import Plain
from itwidgets.engine.model.routes import COMPILED, FUSED, PACKED, PLAIN, Routes
from itwidgets.engine.model.scores import agree, numbers, postprocessing, upcast

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_PROBE = tuple(range(13))


class Runner:
    """Runs a decoder-only model of transformers on tokens, without touching the model itself.

    Parameters
    ----------
    model
        A causal language model in evaluation mode.
    fast
        Whether to take faster routes than the model's own code where there are some; see
        :class:`~.routes.Routes`. Hooks on the model's modules act on every route, and changed weights
        are noticed, except for those written through ``.data``: see :meth:`refresh`.
    compiled
        Passes single tokens in place of all else.

    Attributes
    ----------
    route
        By which route the last tokens passed: ``"plain"``, ``"packed"``, ``"fused"`` or ``"compiled"``. The
        same tokens at the same place by the same route give the same bits.
    looks
        How often it has looked at the model; see :meth:`refresh`.
    """

    has_encoder = False

    def __init__(
        self, model: PreTrainedModel, *, fast: bool = True, compiled: CompiledStep | None = None
    ) -> None:
        self._compiled = compiled
        self.model = model
        self.route = PLAIN
        self.looks = 0
        self.config = self._configuration()
        # Models of states alone, as Mamba, have another name for it.
        parameters = inspect.signature(model.forward).parameters
        self._cache_name = "cache_params" if "cache_params" in parameters else "past_key_values"
        self._postprocess = postprocessing(model, self.config)
        self._is_fast = fast
        self._look()

    @property
    def context_length(self) -> int | None:
        """How many tokens the model was built for, if it says so."""
        length: int | None = getattr(self.config, "max_position_embeddings", None)
        return length

    @property
    def source_length(self) -> int | None:
        """How many tokens the encoder was built for, if there is one and it says so."""
        return None

    @property
    def input_device(self) -> torch.device:
        """Where token ids are expected."""
        embedding: Any = self.model.get_input_embeddings()
        device: torch.device = next(embedding.parameters()).device
        # Where accelerate keeps the weights elsewhere until they are needed, its hook says where that is.
        return torch.device(embedding._hf_hook.execution_device) if device.type == "meta" else device

    @property
    def kernels(self) -> dict[str, str]:
        """What its linear layers and its steps are multiplied with; see :func:`~.environment.kernels`."""
        return kernels(Plain) if self._routes is None else self._routes.kernels

    @property
    def keeps_hidden(self) -> bool:
        """Whether the last hidden state of a token gives its scores again, by the head alone."""
        return self._keeps_hidden

    @cached_property
    def takes_tree_masks(self) -> bool:
        """Whether alternatives may pass side by side under a tree mask; tried when first asked."""
        if not can_be_cut(self.config):
            return False
        try:
            with torch.inference_mode():
                return self._tree_agrees()
        # Whatever the model's own code raises on a mask that it does not know.
        except Exception:  # noqa: BLE001
            return False

    @cached_property
    def continues_in_chunks(self) -> bool:
        """Whether several tokens may pass at once after others did; tried when first asked.

        Some recurrent models start from nothing whenever more than one token comes.
        """
        if can_be_cut(self.config):
            return True
        ids = self._known(range(1, 17))
        half = len(ids) // 2
        with torch.inference_mode():
            together, singly = self.trial_cache(), self.trial_cache()
            self._pass(ids[:half], together)
            found = self.all_logits(self._pass(ids[half:], together))
            alone = torch.cat([self._pass([token_id], singly) for token_id in ids])
            return agree(found, self.all_logits(alone[half:]), self.model.dtype)

    def begin(self, prompt_ids: Sequence[int]) -> tuple[Sequence[int] | None, Sequence[int]]:
        """Return what the encoder reads of a prompt, if there is one, and what the text begins with."""
        return None, prompt_ids

    def share_source(self, cache: Cache, other: Cache) -> None:
        """Make a cache one for the source text of another, if there is one."""

    def new_cache(self) -> Cache:
        """Return an empty cache for a session."""
        return growing_cache(self.config) if self._compiled is None else self._compiled.new_cache(self.config)

    def trial_cache(self) -> Cache:
        """Return an empty cache to try something with."""
        return growing_cache(self.config)

    def prepare(self) -> None:
        """Copy the weights that a faster route needs, so that the first forward call need not wait for it."""
        self.route = PLAIN if self._routes is None else self._routes.prepare()
        if self._compiled is not None:
            self.route = COMPILED

    def refresh(self) -> None:
        """Look at the model anew, while nothing else uses it.

        For weights that were written through ``.data``, as ``layer.weight.data += delta``, and for
        parts that were added: all other changes are noticed without it.

        Raises
        ------
        RuntimeError
            When the output head no longer gives the model's scores from the last hidden state.
        """
        # What sessions hold of their tokens has to stay of one kind.
        kept_hidden = self.keeps_hidden
        self._look(may_keep_hidden=kept_hidden)
        if kept_hidden and not self.keeps_hidden:
            self._keeps_hidden = True
            raise RuntimeError("the head no longer scores the hidden states: make a new engine of it")

    @torch.inference_mode()
    def _look(self, *, may_keep_hidden: bool = True) -> None:
        self.looks += 1
        self._routes: Routes | None = None
        head_agrees, expected = self._probe()
        self._keeps_hidden = head_agrees and may_keep_hidden
        self.vocabulary_size = expected.shape[-1]
        if self._is_fast:
            agrees = partial(self._fused_agrees, expected=expected)
            self._routes = Routes(self.model, agrees if self._keeps_hidden else lambda _: False)

    def forward(
        self,
        token_ids: Sequence[int] | torch.Tensor,
        cache: Cache,
        *,
        position_ids: torch.Tensor | None = None,
        mask: Mask | None = None,
    ) -> torch.Tensor:
        """Pass tokens through the model after what the cache holds.

        Parameters
        ----------
        token_ids
            The tokens: integers, or an int64 tensor ``[n]`` on the device of the embedding.
        cache
            Holds what came before, and gets the keys and values of the tokens.
        position_ids
            Their positions, int64, ``[1, n]``; by default they follow what the cache holds.
        mask
            What each token sees, as :func:`~.masks.tree_mask` makes it: boolean, or added to the scores,
            ``[1, 1, n, kv]``, or a dict of those by layer type. By default everything before it.

        Returns
        -------
        torch.Tensor
            What to keep of each token to give its scores at any time, ``[n, D]``.
        """
        ids = self._ids(token_ids)
        if self._compiled is not None and mask is None and self._compiled.can_take(ids, cache):
            self.route = COMPILED
            return self._compiled(ids, cache)
        fused = None if self._routes is None else self._routes.fused()
        if fused is not None:
            self.route = FUSED
            return fused(ids, cache, position_ids, mask)
        with self._linears():
            return self._pass(token_ids, cache, position_ids, mask)

    @contextmanager
    def _linears(self) -> Iterator[None]:
        with nullcontext(False) if self._routes is None else self._routes.linears() as packed:
            self.route = PACKED if packed else PLAIN
            yield

    def _pass(
        self,
        token_ids: Sequence[int] | torch.Tensor,
        cache: Cache,
        position_ids: torch.Tensor | None = None,
        mask: Mask | None = None,
    ) -> torch.Tensor:
        given = {"position_ids": position_ids, "attention_mask": mask, self._cache_name: cache}
        options = {name: value for name, value in given.items() if value is not None}
        return self._call(input_ids=self._ids(token_ids), use_cache=True, **options)[0]

    def _call(self, **options: Any) -> torch.Tensor:
        if self._keeps_hidden:
            kept: torch.Tensor = self.model.base_model(**options).last_hidden_state
        else:
            kept = self.model(**options).logits
        return kept

    def forward_batch(self, token_ids: Sequence[int], cache: Cache) -> torch.Tensor:
        """Pass one token of each of several texts, which a cache holds side by side; return ``[n, D]``."""
        return self.forward_texts(torch.tensor(token_ids)[:, None], cache)[:, 0]

    def forward_texts(self, token_ids: torch.Tensor, cache: Cache | None = None) -> torch.Tensor:
        """Pass the next tokens of several texts, ``[n, tokens]``, or their first without a cache.

        Returns ``[n, tokens, D]``.
        """
        options: dict[str, Any] = {"input_ids": token_ids.to(self.input_device), "use_cache": False}
        if cache is not None:
            options |= {self._cache_name: cache, "use_cache": True}
        with self._linears():
            return self._call(**options)

    def logits(self, kept: torch.Tensor) -> torch.Tensor:
        """Return the raw scores of one row that :meth:`forward` kept; shape ``[V]``, at least float32.

        One row at a time, whatever path the row came by, so that asking again gives the same bits.
        """
        return numbers(self._head(kept[None, None])[0, 0] if self._keeps_hidden else upcast(kept))

    def all_logits(self, kept: torch.Tensor) -> torch.Tensor:
        """Return the raw scores of many rows at once, ``[n, V]``: faster, and equal to the dtype's noise."""
        return numbers(self._head(kept[None])[0] if self._keeps_hidden else upcast(kept))

    def _head(self, hidden: torch.Tensor) -> torch.Tensor:
        head: Any = self.model.get_output_embeddings()
        if head.weight.is_floating_point():
            # Mamba adds its layers up in float32, and its head may be narrower.
            hidden = hidden.to(head.weight.dtype)
        with nullcontext() if self._routes is None else self._routes.head():
            scores = head(hidden)
        return upcast(self._postprocess(scores))

    def _ids(self, token_ids: Sequence[int] | torch.Tensor) -> torch.Tensor:
        if isinstance(token_ids, torch.Tensor):
            return token_ids[None].to(self.input_device, non_blocking=True)
        return torch.tensor([list(token_ids)], dtype=torch.int64, device=self.input_device)

    def _configuration(self) -> Any:
        return self.model.config.get_text_config(decoder=True)

    def _probe(self) -> tuple[bool, torch.Tensor]:
        """Whether the head on the last hidden state gives the model's own logits, and those."""
        states: list[Any] = []
        hook = self.model.base_model.register_forward_hook(
            lambda module, args, output: states.append(getattr(output, "last_hidden_state", None))
        )
        try:
            ids = self._ids(self._known(_PROBE))
            cache = {self._cache_name: DynamicCache(config=self.config)}
            logits: torch.Tensor = self.model(input_ids=ids, **cache).logits[0]
        finally:
            hook.remove()
        if self.model.get_output_embeddings() is None or not states or states[-1] is None:
            return False, logits
        mine = self._head(states[-1])[0]
        return mine.shape == logits.shape and torch.allclose(mine, upcast(logits), 1e-3, 1e-4), logits

    def _fused_agrees(self, fused: FusedStep, expected: torch.Tensor) -> bool:
        """Whether a fused step gives what the model's own code gives: many tokens, one, and many again."""
        ids, right = self._known(_PROBE), []
        # Half precision is judged by most rows, so those that pass singly are judged by themselves.
        for parts, first in (([ids[:4], ids[4:5], ids[5:]], 0), ([ids[:7], *([i] for i in ids[7:])], 7)):
            cache = self.trial_cache()
            found = torch.cat([fused(self._ids(part), cache, None, None) for part in parts])[first:]
            right.append(agree(self.all_logits(found), upcast(expected)[first:], self.model.dtype))
        return all(right)

    def _tree_agrees(self) -> bool:
        """Whether two alternatives of two tokens come out of one flattened tree as they do alone."""
        prefix, tree = _PROBE[:2], ((3, 5), (4, 6))
        cache = self.trial_cache()
        device = self._ids(self._known(prefix)).device
        self._pass(self._known(prefix), cache)
        kept = []
        for step, tokens in enumerate(zip(*tree, strict=True)):
            positions = torch.tensor([len(prefix) + i for i in range(step + 1) for _ in tree], device=device)
            owners = torch.arange(len(tree), device=device).repeat(step + 1)
            mask = tree_mask(self.config, len(prefix), owners, positions, len(tree), self.model.dtype)
            at = positions[None, -len(tree) :]
            kept.append(self._pass(self._known(tokens), cache, at, mask))
        together = self.all_logits(torch.stack(kept, 1).flatten(0, 1))
        texts = [self._known([*prefix, *tokens]) for tokens in tree]
        alone = [self._pass(text, self.trial_cache())[len(prefix) :] for text in texts]
        return agree(together, torch.cat([self.all_logits(kept) for kept in alone]), self.model.dtype)

    def _known(self, token_ids: Sequence[int]) -> list[int]:
        """Token ids for a trial, from all over the vocabulary."""
        # Those at its beginning are special in many: hidden states of texts made of them are mostly noise.
        return [(7919 * i + 101) % self.config.vocab_size for i in token_ids]
