"""What figures depend on to the bit, beside the model and its dtype."""

from __future__ import annotations

from importlib import metadata

import torch


def environment(device: torch.device, product: str) -> dict[str, str]:
    """Versions, device, threads and kernels, as they stand in the record of a session.

    Parameters
    ----------
    device
        Where the model is.
    product
        How its linear layers multiply; see :mod:`~itwidgets.engine.model.products`.

    Examples
    --------
    >>> sorted(environment(torch.device("cpu"), "Plain"))
    ['device', 'product', 'threads', 'torch', 'transformers']
    """
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    return {
        "torch": metadata.version("torch"),
        "transformers": metadata.version("transformers"),
        "device": name,
        "threads": str(torch.get_num_threads()),
        "product": product,
    }
