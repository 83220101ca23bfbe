"""Notices when somebody has put something of their own into a model."""

from __future__ import annotations

import operator
from collections.abc import Collection
from itertools import chain, repeat

from torch import nn
from torch.nn.modules import module as torch_module

from itwidgets.engine.model.packed import is_ours


class Watch:
    """Knows whether a module still computes what its classes say, with the parts that it had.

    It does not when a hook is registered, a ``forward`` is replaced, a part is another object, or it is
    in training mode. What its parameters are does not matter here.

    Parameters
    ----------
    root
        The module.
    free
        Parts of it that are called as they are, so that nothing about them matters.
    """

    def __init__(self, root: nn.Module, free: Collection[nn.Module]) -> None:
        modules = [module for module in root.modules() if module not in free]
        self._attributes = [module.__dict__ for module in modules]
        self._hooks = [torch_module._global_forward_hooks, torch_module._global_forward_pre_hooks]
        for module in modules:
            self._hooks += [module._forward_hooks, module._forward_pre_hooks]
        self._classes = list({type(module) for module in modules})
        self._part_dicts = [module._modules for module in modules if module._modules]
        self._before = self._now()

    def is_untouched(self) -> bool:
        """Whether nothing has changed since the watch began, and nothing stood in the way then."""
        # Asked before each step, so it is all done by functions in C.
        if any(self._hooks) or any(map(operator.itemgetter("training"), self._attributes)):
            return False
        if any(map(dict.__contains__, self._attributes, repeat("forward"))):
            own = [attributes["forward"] for attributes in self._attributes if "forward" in attributes]
            if not all(map(is_ours, own)):
                return False
        now = self._now()
        return len(now) == len(self._before) and all(map(operator.is_, now, self._before))

    def _now(self) -> list[object]:
        parts = chain.from_iterable(map(dict.values, self._part_dicts))
        return [*parts, *(cls.forward for cls in self._classes)]
