"""The toolkit's manager of interventions: tokens that are forced, boosted, suppressed, and what it costs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from itwidgets.engine.session.prompts import Prompt
from itwidgets.interventions import check_seed, check_whole
from itwidgets.interventions.parameters import check_number
from itwidgets.probability_extractor import ProbabilityExtractor
from itwidgets.toolkit.creation import InterventionCreator
from itwidgets.toolkit.effects import effects
from itwidgets.toolkit.functions import Intervention, as_program
from itwidgets.toolkit.results import alternatives, grow, intervened
from itwidgets.toolkit.sampling import check_run, sampler
from itwidgets.toolkit.tokens import Token, ids_by_position


class InterventionManager(InterventionCreator):
    """Interventions in what a model generates.

    An intervention is a function ``(logits, position, context)`` that returns other scores: ``logits`` are
    the raw scores of all tokens, shape ``[V]``, ``position`` is 0 for the first new token, and ``context``
    is the text so far, prompt and special tokens included. What this class creates are such functions, to
    be called, nested and composed. Operators and programs of :mod:`itwidgets.interventions` are accepted
    wherever a text is generated.

    Interventions make `q` of the model's distribution `p`, and the sampler stages (temperature, top-k and
    top-p) make of that the `s` that a token is drawn from: an intervention sees scores before temperature.

    Parameters
    ----------
    extractor
        Has the model.

    Raises
    ------
    TypeError
        When it is no :class:`~itwidgets.ProbabilityExtractor`.
    """

    def __init__(self, extractor: ProbabilityExtractor) -> None:
        if not isinstance(extractor, ProbabilityExtractor):
            raise TypeError(f"extractor is {extractor!r}, but must be a ProbabilityExtractor")
        super().__init__(extractor.engine.vocabulary)
        self.extractor = extractor

    def __repr__(self) -> str:
        return f"<InterventionManager of {self.extractor.engine.name}>"

    def generate_with_intervention(
        self,
        prompt: Prompt,
        intervention_fn: Intervention | None = None,
        forced_tokens: Mapping[int, Token] | None = None,
        max_new_tokens: int = 50,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        track_alternatives: bool = False,
        seed: int = 0,
    ) -> dict[str, Any]:
        """Generate a text, with an intervention at each position and given tokens at some.

        Parameters
        ----------
        prompt
            What is continued.
        intervention_fn
            A function ``(logits, position, context)``, an operator or a program; by default none.
        forced_tokens
            Mapping from positions to tokens, by text or by id. A text of several tokens takes as many
            positions, from its own on. There the intervention plays no part. Where the model ends its text
            before a position, its token does not come.
        max_new_tokens
            Forced ones included.
        temperature, top_k, top_p, seed
            As of :meth:`~itwidgets.ProbabilityExtractor.generate_with_probabilities`.
        track_alternatives
            Whether to list what else the model might have said.

        Returns
        -------
        dict
            All that :meth:`~itwidgets.ProbabilityExtractor.generate_with_probabilities` returns, with
            ``"token_probabilities"`` those of `p`, untouched by the intervention, and besides, with one entry
            for each new token in all lists:

            ``"intervened_probabilities"``
                ``q(x)``, after the intervention; 1 for a forced token.
            ``"forced"``, ``"changed"``
                Whether it was forced, and whether the intervention changed the scores it was drawn by.
            ``"costs"``, ``"expected_costs"``
                ``log2 q(x) - log2 p(x)`` and ``KL(q || p)`` in bits; a forced token costs its surprisal.
            ``"total_cost"``
                Sum of the costs: how many bits less probable the model holds the text than `q` does.
            ``"alternatives"``
                With ``track_alternatives``: the ten most probable tokens of `p`, each a list of pairs of text
                and probability, best first.

        Raises
        ------
        ValueError
            When an argument is none that is accepted, or the intervention returns no scores, or leaves no
            token.
        TypeError
            When the intervention is none.

        Examples
        --------
        >>> manager = InterventionManager(ProbabilityExtractor(engine))
        >>> result = manager.generate_with_intervention(
        ...     "My favorite color is",
        ...     forced_tokens={0: " blue", 2: " because"},
        ...     max_new_tokens=3,
        ...     track_alternatives=True,
        ... )
        >>> result["generated_text"], result["forced"]
        ('My favorite color is blue. because', [True, False, True])
        >>> [round(bits, 2) for bits in result["costs"]], round(result["total_cost"], 2)
        ([2.77, 0.0, 22.54], 25.31)
        >>> [(text, round(p, 2)) for text, p in result["alternatives"][0][:3]]
        [(' blue', 0.15), (':', 0.1), (' a', 0.09)]

        A function of one's own, and what it does to the odds of what came:

        >>> def custom_intervention(logits, position, context):
        ...     return logits / (1.0 + 0.1 * position)
        >>> result = manager.generate_with_intervention("Once upon a time", custom_intervention, None, 2)
        >>> result["changed"]
        [False, True]
        >>> before, after = result["token_probabilities"][1], result["intervened_probabilities"][1]
        >>> round(math.log2(after / before) - result["costs"][1], 6) + 0.0
        0.0
        >>> result["expected_costs"][0], result["expected_costs"][1] > 0
        (0.0, True)
        """
        program = as_program("intervention_fn", intervention_fn) >> sampler(temperature, top_k, top_p)
        check_run(max_new_tokens, seed)
        engine = self.extractor.engine
        forced = ids_by_position("forced_tokens", forced_tokens, engine.vocabulary, max_new_tokens)
        session = engine.session(prompt)
        grow(session, program, forced, max_new_tokens, seed)
        result = intervened(session, prompt)
        if track_alternatives:
            result["alternatives"] = alternatives(result["nodes"])
        return result

    def analyze_intervention_effects(
        self,
        prompt: Prompt,
        intervention_fn: Intervention,
        num_samples: int = 5,
        max_new_tokens: int = 30,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        seed: int = 0,
        confidence: float = 0.95,
    ) -> dict[str, Any]:
        """Compare texts with an intervention to texts without it.

        Samples come in pairs that share their noise: with the same seed, each token has the same Gumbel noise
        at each position, so that the two texts of a pair differ by nothing but the intervention. The
        difference within pairs is estimated from fewer samples than that between independent ones. Surprisal
        and perplexity are those of `p` for both: how probable the model itself holds each text.

        Parameters
        ----------
        prompt
            What all texts continue.
        intervention_fn
            As of :meth:`generate_with_intervention`.
        num_samples
            Pairs, with the seeds ``seed``, ``seed + 1`` and so on.
        max_new_tokens, top_k, top_p
            Of each text.
        temperature
            Above 0: greedy texts would all be the same.
        seed
            Of the first pair.
        confidence
            Of the intervals, between 0 and 1.

        Returns
        -------
        dict
            ``"mean_baseline_perplexity"``, ``"mean_intervention_perplexity"``
                Means over the texts.
            ``"perplexity_difference"``, ``"perplexity_difference_interval"``
                Mean of intervention less baseline over the pairs, and the ``(low, high)`` that holds the true
                mean with the confidence, by Student's distribution. NaN for a single pair; of no width where
                the intervention changed none of the texts.
            ``"mean_baseline_surprisal"``, ``"mean_intervention_surprisal"``
                Means over the texts of their bits a token.
            ``"surprisal_difference"``, ``"surprisal_difference_interval"``
                The same of these, which spread less than perplexities.
            ``"mean_cost"``, ``"mean_expected_cost"``
                Bits a token that the intervention cost, over all texts with it.
            ``"baseline_samples"``, ``"intervention_samples"``
                What :meth:`generate_with_intervention` returns of each text, in the order of the seeds.
            ``"baseline_info"``, ``"intervention_info"``
                What :func:`itwidgets.analyze_token_information` says of each.
            ``"confidence"``, ``"session"``
                What was given, and the session that has all texts as branches.

        Raises
        ------
        ValueError
            When an argument is none that is accepted.
        TypeError
            When the intervention is none.

        Examples
        --------
        >>> manager = InterventionManager(ProbabilityExtractor(engine))
        >>> boost = manager.create_token_boost_intervention([" science"], boost_factor=20.0)
        >>> analysis = manager.analyze_intervention_effects(
        ...     "The future", boost, num_samples=2, max_new_tokens=3
        ... )
        """
        if intervention_fn is None:
            raise TypeError("intervention_fn is None, but there must be an intervention to analyze")
        check_whole("num_samples", num_samples, least=1)
        check_number(
            "temperature", temperature, lambda t: 0 < t < math.inf, "above 0: greedy texts are all one"
        )
        check_number("confidence", confidence, lambda c: 0 < c < 1, "between 0 and 1, and neither")
        baseline = sampler(temperature, top_k, top_p)
        program = as_program("intervention_fn", intervention_fn) >> baseline
        check_run(max_new_tokens, seed)
        check_seed(seed + num_samples - 1)
        session = self.extractor.engine.session(prompt)
        prompt_end = session.nodes[-1]
        samples: tuple[list[dict[str, Any]], list[dict[str, Any]]] = ([], [])
        for pair in range(num_samples):
            for made, chosen in zip(samples, (baseline, program), strict=True):
                session.switch(prompt_end)
                grow(session, chosen, {}, max_new_tokens, seed + pair)
                made.append(intervened(session, prompt))
        return effects(*samples, confidence) | {"session": session}
