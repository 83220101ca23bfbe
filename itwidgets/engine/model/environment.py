"""What figures depend on to the bit, beside the model and its dtype."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import metadata

import torch

from itwidgets.engine.model.best_product import best_product
from itwidgets.engine.model.products import Plain
from itwidgets.engine.native.threads import can_run


def kernels(dtype: torch.dtype, *, is_fast: bool) -> dict[str, str]:
    """Name what a model of a dtype is multiplied with.

    Parameters
    ----------
    dtype
        Of its weights.
    is_fast
        Whether it is on a CPU and may take faster routes than its own code.

    Returns
    -------
    dict
        ``product``: a class of :mod:`~itwidgets.engine.model.products`. ``numba``: its version, where it
        compiles steps.

    Examples
    --------
    >>> kernels(torch.float64, is_fast=True)
    {'product': 'Plain'}
    """
    product = (best_product(dtype) if is_fast else Plain).__name__
    native = {"numba": metadata.version("numba")} if is_fast and can_run(dtype) else {}
    return {"product": product, **native}


def environment(device: torch.device, kernels: Mapping[str, str]) -> dict[str, str]:
    """Versions, device, threads and kernels, as they stand in the record of a session.

    Parameters
    ----------
    device
        Where the model is.
    kernels
        What it is multiplied with; see :func:`kernels`.

    Examples
    --------
    >>> sorted(environment(torch.device("cpu"), {"product": "Plain"}))
    ['device', 'product', 'threads', 'torch', 'transformers']
    """
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    return {
        "torch": metadata.version("torch"),
        "transformers": metadata.version("transformers"),
        "device": name,
        "threads": str(torch.get_num_threads()),
        **kernels,
    }
