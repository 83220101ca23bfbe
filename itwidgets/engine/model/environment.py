"""What figures depend on to the bit, beside the model and its dtype."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import metadata

import torch

from itwidgets.engine.model.products import NATIVE, MakeProduct


def kernels(product: MakeProduct, *, has_native_step: bool = False) -> dict[str, str]:
    """Name what a model is multiplied with.

    Parameters
    ----------
    product
        Of its linear layers.
    has_native_step
        Whether single tokens pass in machine code.

    Returns
    -------
    dict
        ``product``: the name of its class. ``numba``: its version, where it compiled any of both.

    Examples
    --------
    >>> from itwidgets.engine.model.products import Plain
    >>> kernels(Plain)
    {'product': 'Plain'}
    """
    is_native = has_native_step or issubclass(product, NATIVE)
    return {
        "product": product.__name__,
        **({"numba": metadata.version("numba")} if is_native else {}),
    }


def environment(device: torch.device, names: Mapping[str, str]) -> dict[str, str]:
    """Versions, device, threads and kernels, as they stand in the record of a session.

    Parameters
    ----------
    device
        Where the model is.
    names
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
        **names,
    }
