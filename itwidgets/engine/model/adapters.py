"""Adapters of PEFT: small weights beside a model's own, of which one may be on while the model runs."""

from __future__ import annotations

import operator
import re
import threading
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from accelerate.utils import align_module_device
from torch import nn

from itwidgets.engine.model import adapter_files
from itwidgets.engine.model.fingerprint import Trace, fingerprint


class Adapters:
    """The adapters of a model, and the one that is on, if any.

    Parameters
    ----------
    model
        A model of transformers or of PEFT, with adapters or none.

    Attributes
    ----------
    model
        The model of transformers, in whose layers the adapters are.

    Raises
    ------
    ValueError
        When the model has an adapter that cannot be switched off.
    """

    def __init__(self, model: Any) -> None:
        for name, config in _configs(model).items():
            adapter_files.require_switchable(name, config)
        unwrap = getattr(model, "get_base_model", None)
        self.model = model if unwrap is None else unwrap()
        # Layers are changed on the engine's thread, and fingerprints are asked for on any.
        self._changing = threading.Lock()
        self._base: tuple[int, Trace, str] | None = None
        self._before: list[tuple[Any, list[str], bool]] | None = None
        self._look()

    @property
    def names(self) -> list[str]:
        """Names of all adapters, in the order in which they were loaded."""
        return list(_configs(self.model))

    def require(self, name: str) -> None:
        """Refuse the name of an adapter that the model has not."""
        if name not in self.names:
            loaded = ", ".join(map(repr, self.names)) or "none"
            raise ValueError(f"there is no adapter {name!r}: loaded are {loaded}")

    def put_on(self, name: str | None) -> None:
        """Let the model run with one adapter, or with none. Cheap where that is so already.

        What is on is read from the layers each time, since users may switch them by themselves.
        """
        if name is not None:
            self.require(name)
        if not _are_same(self._known, _configs(self.model)):
            self._look()
        if self._before is None:
            self._before = [(one, list(one.active_adapters), one.disable_adapters) for one, _ in self._layers]
        for layer, adapters in self._layers:
            if name is not None and name in adapters:
                _set(layer, [name], off=False)
            elif not layer.disable_adapters:
                layer.enable_adapters(False)

    def put_back(self) -> None:
        """Let the model run with what was on before :meth:`put_on` was called since the last time."""
        for layer, active, off in self._before or ():
            _set(layer, active, off=off)
        self._before = None

    def load(self, source: str, name: str) -> None:
        """Read an adapter and put it into the model's layers.

        Raises
        ------
        ValueError
            When the name is taken, or the adapter does not fit the model, which then stays as it was.
        OSError
            When there is no adapter to read.
        ModuleNotFoundError
            When peft is not installed.
        """
        if not re.fullmatch(r"[\w-]+", name):
            raise ValueError(f"an adapter cannot be named {name!r}: letters, digits, _ and - are accepted")
        if name in self.names:
            raise ValueError(f"there is an adapter {name!r} already: give the new one another name")
        config, weights = adapter_files.read(source)
        adapter_files.require_switchable(name, config)
        # Weights that are made in inference mode could never be trained.
        with torch.inference_mode(False):
            base = dict(_base_parameters(self.model, ""))
            weights = adapter_files.fitting(self.model, base, config, weights, name)
            with self._changing:
                self._insert(config, weights, name)

    def fingerprint(self, name: str) -> str:
        """SHA-256 over what the weights of an adapter are, and how much they count."""
        with self._changing:
            return fingerprint(_tensors(self.model, name))

    def base_fingerprint(self, looks: int = 0) -> str:
        """SHA-256 over what the model's own weights are: the same with adapters and without.

        Parameters
        ----------
        looks
            Another number than before has it computed again even where no change left a trace.
        """
        with self._changing:
            if self._base is None or self._base[0] != looks or not self._base[1].is_current(self.model):
                trace = Trace(self.model)
                self._base = looks, trace, fingerprint(_base_parameters(self.model, ""))
            return self._base[2]

    def _insert(self, config: Any, weights: adapter_files.Weights, name: str) -> None:
        try:
            adapter_files.insert(self.model, config, weights, name)
        except BaseException:
            # Half an adapter is none: its layers stay, and nobody can put it on.
            _configs(self.model).pop(name, None)
            raise
        finally:
            self.model.eval()
            self._look()

    def _look(self) -> None:
        self._known = dict(_configs(self.model))
        layers = [module for module in self.model.modules() if _holds_adapters(module)]
        self._layers = [(layer, {name for _, part in _parts(layer) for name in part}) for layer in layers]


def _configs(model: Any) -> dict[str, Any]:
    configs: dict[str, Any] = getattr(model, "peft_config", {})
    return configs


def _base_parameters(module: nn.Module, prefix: str) -> Iterator[tuple[str, torch.Tensor]]:
    """Give a model's own parameters by the names that they have without adapters, tied ones by each."""
    while _holds_adapters(module):
        inner: Any = module
        module = inner.get_base_layer() if hasattr(type(inner), "get_base_layer") else inner.original_module
    # Brings here for a moment what accelerate keeps elsewhere until the module runs.
    with align_module_device(module):
        yield from module.named_parameters(prefix, recurse=False)
    for name, child in module.named_children():
        yield from _base_parameters(child, f"{prefix}.{name}" if prefix else name)


def _are_same(known: Mapping[str, Any], configs: Mapping[str, Any]) -> bool:
    return len(known) == len(configs) and all(known.get(name) is config for name, config in configs.items())


def _holds_adapters(module: nn.Module) -> bool:
    # By the attribute that all layers of PEFT have, so that it is not imported for models without adapters.
    return hasattr(type(module), "adapter_layer_names")


def _parts(layer: Any) -> Iterator[tuple[str, Any]]:
    """Dicts by adapter that a layer holds, and their names."""
    for name in layer.adapter_layer_names:
        part = operator.attrgetter(name)(layer)
        if isinstance(part, (nn.ModuleDict, nn.ParameterDict)):
            yield name, part


def _set(layer: Any, active: list[str], *, off: bool) -> None:
    turned_on = layer.disable_adapters and not off
    if turned_on:
        layer.enable_adapters(True)
    if turned_on or list(layer.active_adapters) != active:
        layer.set_adapter(active, inference_mode=True)
    if off and not layer.disable_adapters:
        layer.enable_adapters(False)


def _tensors(model: nn.Module, name: str) -> Iterator[tuple[str, torch.Tensor]]:
    """Give the weights of an adapter, and the factors by which they count, whatever its name is."""
    for path, layer in model.named_modules():
        if not _holds_adapters(layer):
            continue
        # Adapters of another kind, loaded before, stand around this one or inside.
        place = path.replace(".base_layer", "")
        for part_name, part in _parts(layer):
            if name in part:
                own = part[name]
                named = [("", own)] if isinstance(own, torch.Tensor) else own.named_parameters()
                yield from ((f"{place}.{part_name}.{inner}", tensor) for inner, tensor in named)
        scaling = layer.__dict__.get("scaling", {}).get(name)
        if scaling is not None:
            yield f"{place}.scaling", torch.as_tensor(scaling)
