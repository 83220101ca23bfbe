"""``python -m tests.benchmarks``: measure the engine and print one table."""

import sys

from tests.benchmarks.command import main

sys.exit(main())
