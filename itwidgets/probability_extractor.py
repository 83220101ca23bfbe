"""The toolkit's extractor: the probabilities of a model's tokens, by the engine."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import torch

from itwidgets.engine import Distribution, Engine, load
from itwidgets.engine.session.prompts import Prompt
from itwidgets.interventions import Fn, check_whole
from itwidgets.toolkit.results import generated, grow
from itwidgets.toolkit.sampling import check_run, sampler
from itwidgets.toolkit.tokens import Token, known_id, known_ids


class ProbabilityExtractor:
    """The probabilities that a language model gives to tokens.

    Prompts are texts, chat messages or token ids, as of :meth:`itwidgets.Engine.session`. Tokens are texts
    of exactly one token, the space before a word included, or token ids.

    Parameters
    ----------
    model_name
        A model id of a hub, a local folder or a ``.gguf`` file; by default the embedded model, which needs
        no network. An :class:`~itwidgets.Engine` is taken as it is.
    device
        ``"cpu"``, ``"cuda"`` or another of torch; by default CUDA where there is one, else the CPU.
    load_in_8bit, load_in_4bit
        Quantise with bitsandbytes while loading.
    **options
        Others of :func:`itwidgets.load`, such as ``dtype`` and ``device_map``.

    Attributes
    ----------
    engine : Engine
        What the model runs on.

    Raises
    ------
    ValueError
        When two arguments exclude each other, as an engine and how to load it.
    OSError
        When there is no such model.

    Examples
    --------
    >>> extractor = ProbabilityExtractor(engine)
    >>> extractor
    <ProbabilityExtractor of SmolLM2-135M-Instruct>
    """

    def __init__(
        self,
        model_name: str | os.PathLike[str] | Engine | None = None,
        device: str | torch.device | None = None,
        load_in_8bit: bool = False,
        load_in_4bit: bool = False,
        **options: Any,
    ) -> None:
        quantised = {"load_in_8bit": load_in_8bit, "load_in_4bit": load_in_4bit}
        asked = {"device": device, **quantised, **options}
        if isinstance(model_name, Engine):
            if given := [name for name, value in asked.items() if value not in (None, False)]:
                raise ValueError(
                    f"model_name is {model_name!r}, which is loaded already: leave out {given[0]}"
                )
            self.engine = model_name
        else:
            self.engine = load(model_name, **asked)

    def __repr__(self) -> str:
        return f"<ProbabilityExtractor of {self.engine.name}>"

    def get_next_token_probabilities(self, prompt: Prompt, return_top_k: int = 10) -> dict[str, Any]:
        """Return the distribution `p` of the token that follows a prompt, over the whole vocabulary.

        Parameters
        ----------
        prompt
            What the token follows.
        return_top_k
            How many of the most probable tokens are listed by their texts.

        Returns
        -------
        dict
            ``"probabilities"``
                Of all tokens by their ids, a float64 tensor on the CPU, shape ``[V]``.
            ``"top_k_tokens"``
                Pairs of text and probability, the most probable first.
            ``"top_k_indices"``
                The ids of those tokens.
            ``"logits"``
                The model's raw scores, a tensor on the CPU in the model's dtype, shape ``[V]``.
            ``"log_probabilities"``
                Natural logarithms, which underflow nowhere, float64, shape ``[V]``.
            ``"entropy"``, ``"varentropy"``
                Of the distribution, in bits and bits².
            ``"prompt"``
                What was given.

        Raises
        ------
        ValueError
            When the prompt is none that the model reads, or ``return_top_k`` is not at least 1.

        Examples
        --------
        >>> result = ProbabilityExtractor(engine).get_next_token_probabilities("The capital of France is", 2)
        >>> [(text, round(probability, 3)) for text, probability in result["top_k_tokens"]]
        [(' Paris', 0.773), (' the', 0.065)]
        >>> len(result["probabilities"]), round(float(result["probabilities"].sum()), 12)
        (49152, 1.0)
        >>> result["top_k_indices"], round(result["entropy"], 2), round(result["varentropy"], 2)
        ([7042, 260], 2.14, 14.09)
        >>> torch.allclose(result["log_probabilities"].exp(), result["logits"].double().softmax(-1))
        True
        """
        check_whole("return_top_k", return_top_k, least=1)
        rows: list[torch.Tensor] = []

        def keep(logits: torch.Tensor, position: int, context: str) -> torch.Tensor:
            rows.append(logits)
            return logits

        # A distribution is normalised; operators are shown the raw scores.
        found = self.engine.session(prompt).distribution(0, program=Fn(keep))
        top = found.top(return_top_k)
        log_probabilities = torch.from_numpy(found.log_probs)
        return {
            "prompt": prompt,
            "probabilities": log_probabilities.exp(),
            "top_k_tokens": [(one.text, one.probability) for one in top],
            "top_k_indices": [one.token_id for one in top],
            "logits": rows[0].cpu(),
            "log_probabilities": log_probabilities,
            "entropy": found.entropy,
            "varentropy": found.varentropy,
        }

    def generate_with_probabilities(
        self,
        prompt: Prompt,
        max_new_tokens: int = 50,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        seed: int = 0,
    ) -> dict[str, Any]:
        """Generate a text and return the probability of each of its tokens.

        Three distributions are told apart, as everywhere here: ``"token_probabilities"`` are those of `p`,
        the model's own, whatever the temperature. What a token was drawn with is its probability under `s`,
        after temperature, top-k and top-p: ``"sampling_probabilities"``.

        Parameters
        ----------
        prompt
            What is continued.
        max_new_tokens
            The model may end its text before; what ends it is a token like others.
        temperature
            Divides the scores; 0 is greedy decoding.
        top_k, top_p
            How many of the best tokens may come, and how much of the mass; ``None`` leaves all.
        seed
            Of the noise: the same gives the same text.

        Returns
        -------
        dict
            Lists have one entry for each new token.

            ``"generated_text"``, ``"new_text"``
                The whole text, with prompt and special tokens, and what was made alone.
            ``"generated_tokens"``, ``"token_ids"``
                Texts and ids of the new tokens.
            ``"token_probabilities"``, ``"surprisals"``, ``"ranks"``
                ``p(x)``, ``-log2 p(x)`` and 1 + the number of tokens that were more probable.
            ``"sampling_probabilities"``
                ``s(x)``; 1 in greedy decoding.
            ``"entropies"``, ``"varentropies"``
                Of the `p` that each token stands in, in bits and bits².
            ``"prompt"``
                What was given.
            ``"nodes"``, ``"session"``
                The tokens where they stand, and the session, to go on with: it has every distribution, can
                be saved, and shows in the viewer.

        Raises
        ------
        ValueError
            When an argument is none that is accepted.

        Examples
        --------
        >>> extractor = ProbabilityExtractor(engine)
        >>> result = extractor.generate_with_probabilities("The capital of France is", 2, temperature=0)
        >>> result["generated_text"], result["new_text"]
        ('The capital of France is Paris.', ' Paris.')
        >>> result["generated_tokens"], result["token_ids"], result["ranks"]
        ([' Paris', '.'], [7042, 30], [1, 1])
        >>> [round(p, 3) for p in result["token_probabilities"]], result["sampling_probabilities"]
        ([0.773, 0.684], [1.0, 1.0])
        >>> [[round(bits, 2) for bits in result[key]] for key in ("surprisals", "entropies", "varentropies")]
        [[0.37, 0.55], [2.14, 1.68], [14.09, 5.36]]

        Sampled, and what else might have stood there:

        >>> result = extractor.generate_with_probabilities(
        ...     "The capital of France is", 2, 0.8, top_k=50, top_p=0.9
        ... )
        >>> [s > p for p, s in zip(result["token_probabilities"], result["sampling_probabilities"])]
        [True, True]
        >>> result["session"].distribution(result["nodes"][0]).top(2)[1].text
        ' the'
        """
        program = sampler(temperature, top_k, top_p)
        check_run(max_new_tokens, seed)
        session = self.engine.session(prompt)
        grow(session, program, {}, max_new_tokens, seed)
        return generated(session, prompt)

    def get_token_probability(self, prompt: Prompt, token: Token) -> float:
        """Return the probability ``p(token)`` after a prompt.

        Parameters
        ----------
        prompt
            What the token follows.
        token
            Its text or its id.

        Raises
        ------
        ValueError
            When it is not exactly one token of the vocabulary.

        Examples
        --------
        >>> extractor = ProbabilityExtractor(engine)
        >>> round(extractor.get_token_probability("The capital of France is", " Paris"), 3)
        0.773
        """
        token_id = known_id("token", token, self.engine.vocabulary)
        return self._distribution(prompt).probability(token_id)

    def compare_token_probabilities(self, prompt: Prompt, tokens: Sequence[Token]) -> dict[Token, float]:
        """Return the probabilities of several tokens after one prompt, by the tokens as they were given.

        Parameters
        ----------
        prompt
            What the tokens follow.
        tokens
            Their texts or ids, at least one.

        Raises
        ------
        ValueError
            When there is none, or one is not exactly one token of the vocabulary.

        Examples
        --------
        >>> extractor = ProbabilityExtractor(engine)
        >>> found = extractor.compare_token_probabilities("The capital of France is", [" Paris", " London"])
        >>> {token: round(probability, 3) for token, probability in found.items()}
        {' Paris': 0.773, ' London': 0.012}
        """
        known_ids("tokens", tokens, self.engine.vocabulary)
        found = self._distribution(prompt)
        return {token: found.probability(token) for token in tokens}

    def _distribution(self, prompt: Prompt) -> Distribution:
        return self.engine.session(prompt).distribution(0)
