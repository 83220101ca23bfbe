"""The token tree: one growing table, its branches, the identity of tokens, and files."""

from itwidgets.tree.columns import COLUMNS, TOP_K, WIRE_COLUMNS, Column, MeasureColumn, Origin, Route
from itwidgets.tree.comparison import Comparison, Place, aligned, shared
from itwidgets.tree.identity import ModelIdentity
from itwidgets.tree.labels import LabelChanges
from itwidgets.tree.node import Branch, Node
from itwidgets.tree.record import Maker, Recipe, Recomputation, Record
from itwidgets.tree.table import TokenTree
from itwidgets.tree.vocabulary import StoredVocabulary, Vocabulary

__all__ = [
    "COLUMNS",
    "TOP_K",
    "WIRE_COLUMNS",
    "Branch",
    "Column",
    "Comparison",
    "LabelChanges",
    "Maker",
    "MeasureColumn",
    "ModelIdentity",
    "Node",
    "Origin",
    "Place",
    "Recipe",
    "Recomputation",
    "Record",
    "Route",
    "StoredVocabulary",
    "TokenTree",
    "Vocabulary",
    "aligned",
    "shared",
]
