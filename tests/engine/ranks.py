"""What every process of a tensor parallel run does; ``test_parallel.py`` starts it with torchrun."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import torch

import itwidgets
from itwidgets import Engine
from tests.models import PROMPT


def story(engine: Engine) -> dict[str, Any]:
    """Grow a session in every way that there is, and tell what came of it."""
    session = engine.session(PROMPT)
    session.generate(max_new_tokens=6).wait()
    first = session.branches[0]
    session.force(2, " London")
    session.generate(max_new_tokens=3).wait()
    session.switch(first)
    session.generate(max_new_tokens=2).wait()
    rollout = session.rollout(1, k=3, max_new_tokens=3)
    return {
        "token_ids": [session.tree[row].token_id for row in range(len(session.tree))],
        "surprisal": session.tree.column("surprisal")[1:].tolist(),
        "log_probs": [session.distribution(place).log_probs.tolist() for place in (0, 4)],
        "alternatives": [continuation.token_ids for continuation in rollout],
        "keys and values": session.memory().current_branch,
        "identity": engine.identity.model_fingerprint,
    }


def refusals(folder: Path) -> dict[str, str]:
    """Tell what is said of models that the processes cannot share."""
    said = {}
    for name in ("odd", "planless"):
        try:
            itwidgets.load(folder / name, tp_plan="auto")
        except ValueError as error:
            said[name] = str(error)
    return said


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    torch.set_num_threads(1)
    engine = itwidgets.load(folder / "even", tp_plan="auto")
    told = {**story(engine), "refusals": refusals(folder), "budget": engine.pool.budget.device_bytes}
    (folder / f"rank{os.environ['RANK']}.json").write_text(json.dumps(told))
    engine.close()
    torch.distributed.destroy_process_group()
