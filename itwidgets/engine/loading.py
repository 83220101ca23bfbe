"""``load``: from a name to an engine."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig

from itwidgets.engine import embedded
from itwidgets.engine.engine import Engine
from itwidgets.engine.progress import told_steps


def load(
    name: str | os.PathLike[str] | None = None,
    *,
    dtype: str | torch.dtype = "auto",
    device: str | torch.device | None = None,
    device_map: str | dict[str, Any] | None = None,
    load_in_8bit: bool = False,
    load_in_4bit: bool = False,
    trust_remote_code: bool = False,
) -> Engine:
    """Load a model and its tokenizer.

    Parameters
    ----------
    name
        A model id of a hub, a local folder, or a ``.gguf`` file. By default the embedded
        SmolLM2-135M-Instruct, which needs no network.
    dtype
        A torch dtype or its name. ``"auto"`` is float32 on a CPU, where bfloat16 costs about 0.05 bit
        of noise, and the checkpoint's own on a GPU.
    device
        By default CUDA where there is one, else the CPU. MPS is used when it is named.
    device_map
        As in transformers; ``"auto"`` spreads the model over all devices. Not together with ``device``.
    load_in_8bit, load_in_4bit
        Quantise with bitsandbytes while loading.
    trust_remote_code
        Run code that comes with the model. Off unless asked for.

    Raises
    ------
    ModuleNotFoundError
        When no name is given and the embedded model's package is not installed.
    OSError
        When there is no such model.

    Examples
    --------
    >>> engine = load()
    >>> engine.name
    'SmolLM2-135M-Instruct'
    """
    _check_placement(device, device_map, load_in_8bit, load_in_4bit)
    target = torch.device(device) if device is not None else _best_device()
    options: dict[str, Any] = {"trust_remote_code": trust_remote_code}
    placement: dict[str, Any] = {"dtype": _dtype(dtype, target), "device_map": device_map}
    if load_in_8bit or load_in_4bit:
        placement["quantization_config"] = BitsAndBytesConfig(
            load_in_8bit=load_in_8bit, load_in_4bit=load_in_4bit
        )
        placement["device_map"] = device_map or {"": str(target)}
    if name is None:
        return _load_embedded(target, options, placement)
    source, file = _locate(name)
    with _one_sentence(name):
        tokenizer = AutoTokenizer.from_pretrained(source, **file, **options)
        model = _read_model(source, target, placement, **file, **options)
    return Engine(model, tokenizer, name=str(name))


def _load_embedded(target: torch.device, options: dict[str, Any], placement: dict[str, Any]) -> Engine:
    with told_steps(f"Loading {embedded.NAME}") as tell:
        folder = embedded.converted_model(_convert, tell)
        tell("reading the weights")
        tokenizer = AutoTokenizer.from_pretrained(folder, **options)
        model = _read_model(folder, target, placement, **options)
        return Engine(model, tokenizer, name=embedded.NAME)


def _read_model(
    source: str | os.PathLike[str], target: torch.device, placement: dict[str, Any], **options: Any
) -> Any:
    model: Any = AutoModelForCausalLM.from_pretrained(source, **options, **placement)
    # A device map has put every part where it belongs.
    return model if placement["device_map"] else model.to(target)


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


def _dtype(dtype: str | torch.dtype, device: torch.device) -> str | torch.dtype:
    if dtype == "auto":
        return torch.float32 if device.type == "cpu" else "auto"
    named = getattr(torch, dtype, None) if isinstance(dtype, str) else dtype
    if not isinstance(named, torch.dtype) or not named.is_floating_point:
        raise ValueError(f"dtype is {dtype!r}, but must be 'auto' or a float dtype such as 'bfloat16'")
    return named


def _best_device() -> torch.device:
    # MPS is never the default: it has no float64, and nothing here has been run on it yet.
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def _check_placement(device: Any, device_map: Any, load_in_8bit: bool, load_in_4bit: bool) -> None:
    if device is not None and device_map is not None:
        raise ValueError(f"device={device!r} and device_map={device_map!r} were both given: give one of them")
    if load_in_8bit and load_in_4bit:
        raise ValueError("load_in_8bit and load_in_4bit were both given: give one of them")


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
