"""``load``: from a name to an engine."""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoTokenizer

from itwidgets.engine.engine import Engine
from itwidgets.engine.loading import embedded, parallel
from itwidgets.engine.loading.collector import paused_collector
from itwidgets.engine.loading.placement import Placement, best_device, check_placement, dtype_for
from itwidgets.engine.loading.progress import told_steps
from itwidgets.engine.loading.quiet import tell_once_of_rounding
from itwidgets.engine.native.threads import can_run


def load(
    name: str | os.PathLike[str] | None = None,
    *,
    dtype: str | torch.dtype = "auto",
    device: str | torch.device | None = None,
    device_map: str | dict[str, Any] | None = None,
    tp_plan: parallel.Plan | None = None,
    load_in_8bit: bool = False,
    load_in_4bit: bool = False,
    trust_remote_code: bool = False,
    fast: bool = True,
    compile: bool | str = False,  # noqa: A002 - the word of torch
    kv_budget: int | None = None,
    snapshot_interval: int = 64,
) -> Engine:
    """Load a model and its tokenizer.

    Parameters
    ----------
    name
        A model id of a hub, a local folder, or a ``.gguf`` file. By default the embedded
        SmolLM2-135M-Instruct, which needs no network and is found by that name too.
    dtype
        A torch dtype or its name. ``"auto"`` is float32 on a CPU, where bfloat16 costs about 0.05 bit
        of noise, and the checkpoint's own on a GPU. For figures to compare others with there is
        ``"float64"``: all products and distributions in float64; what a model's own code computes in
        float32 whatever its dtype, as most do norms and rotations, stays so.
    device
        By default CUDA where there is one, else the CPU. MPS is used when it is named.
    device_map
        As in transformers; ``"auto"`` spreads the model over all devices, and over memory and disk where
        they are too small. Not together with ``device``.
    tp_plan
        ``"auto"`` gives each process its part of every layer, by the plan that the model's code has; a
        dict gives styles by the names of modules. The script is started with ``torchrun``, once for each
        device, and every process makes the same calls in the same order and waits for each: what one
        asks alone (a distribution, a stop), the others never answer. The number of processes divides
        the model's attention heads and key-value heads.
    load_in_8bit, load_in_4bit
        Quantise with bitsandbytes while loading.
    trust_remote_code
        Run code that comes with the model. Off unless asked for.
    fast, compile, kv_budget, snapshot_interval
        As of :class:`~itwidgets.engine.Engine`.

    Raises
    ------
    ModuleNotFoundError
        When no name is given and the embedded model's package is not installed.
    OSError
        When there is no such model.
    ValueError
        When two arguments exclude each other, or the heads cannot be shared by that many processes.
    RuntimeError
        When ``tp_plan`` is given to a script that ``torchrun`` did not start.

    Examples
    --------
    >>> engine = load()
    >>> engine.name
    'SmolLM2-135M-Instruct'
    """
    check_placement(
        device=device,
        device_map=device_map,
        tp_plan=tp_plan,
        load_in_8bit=load_in_8bit,
        load_in_4bit=load_in_4bit,
    )
    if tp_plan is not None:
        parallel.require_processes()
    target = torch.device(device) if device is not None else best_device()
    bits = 8 if load_in_8bit else 4 if load_in_4bit else None
    placement = Placement(target, dtype_for(dtype, target), device_map, tp_plan, bits)
    settings = {
        "fast": fast,
        "compile": compile,
        "kv_budget": kv_budget,
        "snapshot_interval": snapshot_interval,
    }
    with paused_collector():
        if name is None or (name == embedded.NAME and not Path(name).exists()):
            return _load_embedded(placement, settings, trust_remote_code=trust_remote_code)
        source, file = _locate(name)
        return _read(source, str(name), placement, settings, **file, trust_remote_code=trust_remote_code)


def _load_embedded(placement: Placement, settings: dict[str, Any], **options: Any) -> Engine:
    with told_steps(f"Loading {embedded.NAME}") as tell:
        is_fast = bool(settings["fast"])
        folder = embedded.converted_model(
            _convert, tell, meanwhile=lambda: _prepare(placement, is_fast=is_fast)
        )
        tell("reading the weights")
        return _read(str(folder), embedded.NAME, placement, settings, **options)


def _prepare(placement: Placement, *, is_fast: bool) -> None:
    """Import and compile what the embedded model needs anyway: most of the time of its load."""
    importlib.import_module("transformers.models.llama.modeling_llama")
    dtype = placement.dtype
    is_native = is_fast and placement.device.type == "cpu" and placement.bits is None
    if is_native and isinstance(dtype, torch.dtype) and can_run(dtype):
        importlib.import_module("itwidgets.engine.native.compiling").layers_code(dtype)


def _read(source: str, name: str, placement: Placement, settings: dict[str, Any], **options: Any) -> Engine:
    """Make the engine of a model: ``source`` is what transformers calls it, ``name`` what the user does."""
    with _one_sentence(name):
        tokenizer = AutoTokenizer.from_pretrained(source, **options)
        config = AutoConfig.from_pretrained(source, **options)
    if placement.tp_plan is not None:
        parallel.check_plan(placement.tp_plan, config)
    kind: Any = AutoModelForSeq2SeqLM if config.is_encoder_decoder else AutoModelForCausalLM
    with _one_sentence(name):
        model = kind.from_pretrained(source, config=config, **options, **placement.options)
    tell_once_of_rounding(model)
    engine = Engine(placement.settle(model), tokenizer, name=name, **settings)
    if placement.tp_plan is not None:
        parallel.share_budget(engine)
    return engine


def _convert(gguf: Path, folder: Path) -> None:
    """Write the dequantised weights and the tokenizer of a GGUF file as a transformers folder."""
    source, file = _locate(gguf)
    AutoTokenizer.from_pretrained(source, **file).save_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(
        source,
        **file,
        dtype=torch.float32,
        quantization_config=transformers.GgufConfig(dequantize=True),
    )
    model.save_pretrained(folder)


def _locate(name: str | os.PathLike[str]) -> tuple[str, dict[str, str]]:
    """Split a GGUF file into its folder and its name, as transformers wants it."""
    path = Path(name)
    if path.suffix != ".gguf":
        return os.fspath(name), {}
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {os.fspath(name)!r}: give the path of a .gguf file")
    return str(path.parent), {"gguf_file": path.name}


@contextmanager
def _one_sentence(name: str | os.PathLike[str]) -> Iterator[None]:
    """Turn the many ways in which transformers says that it cannot into one sentence."""
    try:
        yield
    except (OSError, ValueError) as error:
        text = " ".join(str(error).split())
        if "trust_remote_code" in text:
            raise OSError(
                f"{os.fspath(name)!r} comes with code of its own: give trust_remote_code=True if you trust it"
            ) from error
        if Path(name).exists():
            raise OSError(f"no model could be read from {os.fspath(name)!r}: {text}") from error
        raise OSError(
            f"no model {os.fspath(name)!r} was found: give a local folder, a .gguf file, "
            f"or a model id that the hub has and you may read ({text})"
        ) from error
