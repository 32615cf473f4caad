"""The web page over a database of studies; it loads neither torch, nor Ray, nor Optuna."""

import sys

# Installed, its name is `mlgsearch_dashboard`; its modules call each other by that of the folder.
sys.modules.setdefault("dashboard", sys.modules[__name__])
