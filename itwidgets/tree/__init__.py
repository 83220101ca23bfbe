"""The token tree: one growing table, its branches, the identity of tokens, and files."""

from itwidgets.tree.columns import COLUMNS, TOP_K, Column, Origin
from itwidgets.tree.node import Branch, Node
from itwidgets.tree.table import TokenTree
from itwidgets.tree.vocabulary import StoredVocabulary, Vocabulary

__all__ = [
    "COLUMNS",
    "TOP_K",
    "Branch",
    "Column",
    "Node",
    "Origin",
    "StoredVocabulary",
    "TokenTree",
    "Vocabulary",
]
