"""What figures depend on to the bit, beside the model and its dtype."""

from __future__ import annotations

from importlib import metadata

import torch


def environment(device: torch.device) -> dict[str, str]:
    """Versions, device and threads, as they stand in the record of a session.

    Examples
    --------
    >>> sorted(environment(torch.device("cpu")))
    ['device', 'threads', 'torch', 'transformers']
    """
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    return {
        "torch": metadata.version("torch"),
        "transformers": metadata.version("transformers"),
        "device": name,
        "threads": str(torch.get_num_threads()),
    }
