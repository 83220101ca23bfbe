"""Interventions made to order: functions that boost, suppress, aim at an entropy, or choose."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from itwidgets.interventions import Bias, TargetEntropy
from itwidgets.interventions.parameters import check_number
from itwidgets.toolkit.functions import (
    ConditionalFunction,
    InterventionFunction,
    OperatorFunction,
    require_function,
)
from itwidgets.toolkit.tokens import Token, known_ids
from itwidgets.tree import Vocabulary


class InterventionCreator:
    """Creates interventions: functions ``(logits, position, context)``, to be called, nested and composed.

    Parameters
    ----------
    vocabulary
        Says which token a text is.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary

    def create_token_boost_intervention(
        self, boost_tokens: Sequence[Token], boost_factor: float = 2.0
    ) -> OperatorFunction:
        """Create an intervention that makes tokens more probable.

        The odds of each against every token that is not boosted are multiplied by the factor:
        :class:`~itwidgets.interventions.Bias` by its logarithm.

        Parameters
        ----------
        boost_tokens
            Texts of one token each, or ids; at least one.
        boost_factor
            Above 0; below 1 it makes them less probable.

        Raises
        ------
        ValueError
            When there is no token, one is not in the vocabulary, or the factor is not above 0.

        Examples
        --------
        >>> import torch
        >>> from itwidgets import InterventionManager, ProbabilityExtractor
        >>> manager = InterventionManager(ProbabilityExtractor(engine))
        >>> boost = manager.create_token_boost_intervention([" science", " theory"], boost_factor=3.0)
        >>> logits = torch.zeros(len(engine.vocabulary))
        >>> changed = boost(logits, 0, "The discovery")
        >>> [round(float(changed[engine.vocabulary.token_id(text)].exp()), 6) for text in (" theory", " a")]
        [3.0, 1.0]
        """
        check_number("boost_factor", boost_factor, lambda factor: 0 < factor < math.inf, "above 0 and finite")
        return self._bias("boost_tokens", boost_tokens, math.log(boost_factor))

    def create_token_suppression_intervention(
        self, suppress_tokens: Sequence[Token], suppression_factor: float = 10.0
    ) -> OperatorFunction:
        """Create an intervention that makes tokens less probable.

        Their odds against every other token become ``suppression_factor`` times less, or with a factor below
        1 that many times what they were: 10 and 0.1 say the same, and 1 changes nothing. To exclude tokens
        there is :class:`~itwidgets.interventions.Ban`.

        Parameters
        ----------
        suppress_tokens
            Texts of one token each, or ids; at least one.
        suppression_factor
            Above 0.

        Raises
        ------
        ValueError
            When there is no token, one is not in the vocabulary, or the factor is not above 0.

        Examples
        --------
        >>> import torch
        >>> from itwidgets import InterventionManager, ProbabilityExtractor
        >>> manager = InterventionManager(ProbabilityExtractor(engine))
        >>> suppress = manager.create_token_suppression_intervention([" the"], suppression_factor=4.0)
        >>> logits = torch.zeros(len(engine.vocabulary))
        >>> round(float(suppress(logits, 0, "In")[engine.vocabulary.token_id(" the")].exp()), 6)
        0.25
        """
        accepted = "above 0 and finite"
        check_number("suppression_factor", suppression_factor, lambda factor: 0 < factor < math.inf, accepted)
        return self._bias("suppress_tokens", suppress_tokens, -abs(math.log(suppression_factor)))

    def create_entropy_maximization_intervention(self, target_entropy: float) -> OperatorFunction:
        """Create an intervention that gives each distribution an entropy, by the temperature that does it.

        Of all distributions with that entropy it takes the one nearest to `p`
        (:class:`~itwidgets.interventions.TargetEntropy`). It raises the entropy where it is lower and lowers
        it where it is higher.

        Parameters
        ----------
        target_entropy
            In bits, above 0 and below the logarithm of the number of tokens.

        Raises
        ------
        ValueError
            When the target is out of that range; while a text is generated, when a row cannot reach it.

        Examples
        --------
        >>> import torch
        >>> from itwidgets import InterventionManager, ProbabilityExtractor, compute_entropy
        >>> manager = InterventionManager(ProbabilityExtractor(engine))
        >>> flatten = manager.create_entropy_maximization_intervention(target_entropy=4.0)
        >>> logits = torch.from_numpy(session.distribution(0).log_probs)
        >>> round(compute_entropy(flatten(logits, 0, session.text).softmax(-1)), 9)
        4.0
        """
        size = len(self._vocabulary)
        limit = math.log2(size)
        accepted = f"above 0 and below {limit:.4g} bits, the entropy of {size} equally probable tokens"
        check_number("target_entropy", target_entropy, lambda bits: 0 < bits < limit, accepted)
        return OperatorFunction(TargetEntropy(target_entropy))

    def create_conditional_intervention(
        self,
        condition_fn: Callable[[int, str], Any],
        true_intervention: InterventionFunction,
        false_intervention: InterventionFunction | None = None,
    ) -> ConditionalFunction:
        """Create an intervention that is one where a condition holds, and another or none where it does not.

        Parameters
        ----------
        condition_fn
            A function ``(position, context)``. It must say the same of the same place, so that a replay
            finds it as it was.
        true_intervention, false_intervention
            Functions ``(logits, position, context)``, such as this class creates; without the second, scores
            stay as they are where the condition does not hold. For operators there is
            :class:`~itwidgets.interventions.When`.

        Raises
        ------
        TypeError
            When one is no function.

        Examples
        --------
        >>> import torch
        >>> from itwidgets import InterventionManager, ProbabilityExtractor
        >>> manager = InterventionManager(ProbabilityExtractor(engine))
        >>> boost = manager.create_token_boost_intervention([5], boost_factor=2.0)
        >>> early = manager.create_conditional_intervention(lambda position, context: position < 5, boost)
        >>> logits = torch.zeros(len(engine.vocabulary))
        >>> [round(float(early(logits, position, "")[5].exp()), 6) for position in (4, 5)]
        [2.0, 1.0]
        """
        accepted = "a function of (logits, position, context): operators are combined by When"
        require_function("condition_fn", condition_fn, "a function of (position, context)")
        require_function("true_intervention", true_intervention, accepted)
        if false_intervention is not None:
            require_function("false_intervention", false_intervention, accepted)
        return ConditionalFunction(condition_fn, true_intervention, false_intervention)

    def _bias(self, name: str, tokens: Sequence[Token], nats: float) -> OperatorFunction:
        ids = known_ids(name, tokens, self._vocabulary)
        return OperatorFunction(Bias(dict.fromkeys(ids, nats)))
