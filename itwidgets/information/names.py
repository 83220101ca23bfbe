"""Names of what is recorded of each token, fixed below all layers that record: measures keep off them."""

FIGURES = (
    "rank",
    "surprisal",
    "entropy",
    "varentropy",
    "surprisal_q",
    "surprisal_s",
    "cost",
    "expected_cost",
)
"""What is known of a token that was drawn, by the names of the token table's columns and in its units."""

COLUMN_NAMES = frozenset(
    {
        *FIGURES,
        "parent",
        "token_id",
        "position",
        "origin",
        "forward",
        "route",
        "recipe",
        "fired",
        "top_ids",
        "top_log_probs",
    }
)
"""Names of all columns that every token table has."""
