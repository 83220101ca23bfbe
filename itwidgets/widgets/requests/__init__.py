"""What the page may ask for, and what is done about it: one file for each kind of answer."""

from itwidgets.widgets.requests.dispatch import Requests
from itwidgets.widgets.requests.reply import described

__all__ = ["Requests", "described"]
