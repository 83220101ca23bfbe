"""Processors of transformers as operators of a program."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import torch

from itwidgets.interventions.described import NO_CODE, Allowed, plain
from itwidgets.interventions.functions import allowed_code, checked_row, code_name
from itwidgets.interventions.operators import Operator
from itwidgets.interventions.step import Step

STATEFUL = frozenset(
    {"SynthIDTextWatermarkLogitsProcessor", "UnbatchedClassifierFreeGuidanceLogitsProcessor"}
)
"""Processors of transformers that remember earlier calls."""

STATEFUL_LIBRARIES = frozenset({"outlines", "xgrammar"})
"""Libraries whose processors walk along a grammar, call by call."""

INSTANCES = 16
"""How many instances of a stateful processor wait for the next token of their text."""


class Instances:
    """The instances of one processor: one for each device, or one for each branch if it is stateful.

    Parameters
    ----------
    make
        Makes an instance for a device.
    """

    def __init__(self, make: Callable[[torch.device], Any], *, stateful: bool) -> None:
        self._make, self._stateful = make, stateful
        self._shared: dict[torch.device, Any] = {}
        # By the text that each has seen, and how much of that is the prompt.
        self._waiting: dict[tuple[int, tuple[int, ...]], Any] = {}

    def process(self, step: Step, scores: torch.Tensor) -> Any:
        """Return what the right instance makes of a row, ``[1, V]``."""
        ids = torch.tensor([list(step.token_ids)], device=scores.device)
        if not self._stateful:
            if scores.device not in self._shared:
                self._shared[scores.device] = self._make(scores.device)
            return self._shared[scores.device](ids, scores)
        text = tuple(step.token_ids)
        # Taken out while it works: what fails half-way is not used again.
        processor = self._waiting.pop((step.prompt_length, text[:-1]), None)
        if processor is None:
            processor = self._make(scores.device)
            for count in range(step.prompt_length, len(text)):
                processor(ids[:, :count], torch.zeros_like(scores))
        result = processor(ids, scores)
        self._waiting[step.prompt_length, text] = processor
        if len(self._waiting) > INSTANCES:
            del self._waiting[next(iter(self._waiting))]
        return result


@dataclass(frozen=True)
class FromHF(Operator):
    """A logits processor of transformers, or of a library that writes them for it.

    It is called as ``generate`` calls it: with all token ids, ``[1, n]``, and with the scores in float32,
    ``[1, V]``. Both are copies: a processor that writes in place changes nothing but its result. Scores
    that it leaves as they are keep the digits of their own dtype.

    Parameters
    ----------
    processor
        One of:

        - a processor that gives the same for the same arguments, whatever it was called with before;
        - with ``stateful``, a function that makes one;
        - the name of a class in ``transformers.generation.logits_process``, made by ``arguments``: that
          can be written as JSON.
    arguments
        Of the class, as JSON has them: token ids as lists. ``device`` is that of the scores unless given.
    stateful
        Whether the processor keeps anything between calls. Each branch then has an instance of its own
        that sees every position once, as in ``generate``; a new one is shown the new tokens before it
        with rows of zeros for scores, so what it keeps may depend on tokens alone.
    name
        What JSON calls a processor that is given itself; by default its class's name.

    Raises
    ------
    TypeError
        When it is no processor, or its arguments are none that the class takes or JSON holds.
    ValueError
        When its class is unknown, or it is stateful but no function that makes it was given, or it asks
        for more than ids and scores.

    Examples
    --------
    >>> best = FromHF("TopKLogitsWarper", {"top_k": 1})
    >>> best(Step(0, [1], 1), torch.tensor([1.0, 3.0, 2.0]))
    tensor([-inf, 3., -inf])

    One that is given itself has only a name in JSON, and who reads that must have it.

    >>> from itwidgets.interventions import Program
    >>> def halved(input_ids, scores):
    ...     return scores.div_(2)
    >>> text = Program((FromHF(halved),)).to_json()
    >>> text
    '{"operators":[{"name":"halved","operator":"FromHF","stateful":false}],"version":1}'
    >>> Program.from_json(text, allow={"halved": halved}).operators
    (FromHF(arguments=None, stateful=False, name='halved'),)
    """

    processor: Any = field(repr=False)
    arguments: Mapping[str, Any] | None = None
    stateful: bool = False
    name: str | None = None
    _instances: Instances = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if isinstance(self.processor, str):
            settled = {
                "name": self.processor,
                "arguments": plain(dict(self.arguments or {})),
                "stateful": self.processor in STATEFUL,
            }
        elif self.arguments is not None:
            raise ValueError(f"arguments are {self.arguments!r}, but only a class that is named takes any")
        else:
            settled = {"name": code_name("processor", self.processor, self.name)}
        for attribute, value in settled.items():
            object.__setattr__(self, attribute, value)
        make = _maker(self.processor, self.arguments or {}, stateful=self.stateful)
        _require_processor(make(torch.device("cpu")), stateful=self.stateful)
        object.__setattr__(self, "_instances", Instances(make, stateful=self.stateful))

    def __hash__(self) -> int:
        """Hash by what it is called and made of, since a mapping has no hash of its own."""
        return hash((self.name, self.stateful, json.dumps(self.arguments)))

    @property
    def is_shift_invariant(self) -> bool:
        """Nobody knows."""
        return False

    def parameters(self) -> dict[str, Any]:
        """Return the class and its arguments, or the name."""
        if isinstance(self.processor, str):
            return {"processor": self.processor, "arguments": self.arguments}
        return {"name": self.name, "stateful": self.stateful}

    def code(self) -> Allowed:
        """Return what was given by its name, if it was given itself."""
        return NO_CODE if isinstance(self.processor, str) else {str(self.name): self.processor}

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, Any], allow: Allowed) -> Self:
        """Make one of a class of transformers, or of a name if ``allow`` has it."""
        if isinstance(parameters.get("processor"), str):
            return cls(**parameters)
        return cls(allowed_code("processor", parameters.get("name"), allow), **parameters)

    def __call__(self, step: Step, scores: torch.Tensor) -> torch.Tensor:
        """Return what the processor makes of the row."""
        given = scores.to(torch.float32, copy=True)[None]
        result = self._instances.process(step, given)
        single = isinstance(result, torch.Tensor) and result.shape[:1] == (1,)
        row = checked_row(self, result[0] if single else result, scores)
        # A new row in any case: the processor may go on writing into the one that it returned.
        return torch.where(row == scores.float().to(scores.dtype), scores, row)


def _maker(processor: Any, arguments: Mapping[str, Any], *, stateful: bool) -> Callable[[torch.device], Any]:
    """Return what makes an instance for a device."""
    if isinstance(processor, str):
        named = _class(processor)
        return lambda device: named(**_on_device(named, arguments, device))
    return lambda device: processor() if stateful else processor


def _class(name: str) -> type[Any]:
    """Return a class of transformers, by no other way than its name."""
    from transformers.generation import logits_process

    known = {
        title: found
        for title, found in vars(logits_process).items()
        if isinstance(found, type)
        and issubclass(found, logits_process.LogitsProcessor)
        and found is not logits_process.LogitsProcessor
    }
    if name not in known:
        raise ValueError(
            f"processor is {name!r}, but must be one of {', '.join(sorted(known))}, or a processor itself"
        )
    return known[name]


def _on_device(named: type[Any], arguments: Mapping[str, Any], device: torch.device) -> dict[str, Any]:
    """Return the arguments with ids of an encoder as the tensor that they are for the class."""
    result = dict(arguments)
    if "device" in inspect.signature(named).parameters:
        result.setdefault("device", device)
    if "encoder_input_ids" in result:
        result["encoder_input_ids"] = torch.tensor(result["encoder_input_ids"], device=device)
    return result


def _require_processor(processor: Any, *, stateful: bool) -> None:
    """Refuse what cannot be called with ids and scores alone, or not by one instance for all branches."""
    name, library = type(processor).__name__, type(processor).__module__.partition(".")[0]
    if not callable(processor):
        raise TypeError(f"the processor is {processor!r}, but must be callable with input_ids and scores")
    if not stateful and (name in STATEFUL or library in STATEFUL_LIBRARIES):
        raise ValueError(
            f"{name} keeps what it has seen, so one instance cannot serve several branches: give a "
            "function that makes one, and stateful=True"
        )
    parameters = list(inspect.signature(processor).parameters.values())
    extra = [one.name for one in parameters[2:] if one.default is one.empty and one.kind not in _STARRED]
    if extra:
        raise ValueError(
            f"{name} asks for {', '.join(extra)} besides input_ids and scores, which only the loop of "
            "generate can give"
        )


_STARRED = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
