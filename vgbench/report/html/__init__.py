"""Self-contained HTML pages of measured rows and their runs."""

from vgbench.report.html.comparison import write_comparison
from vgbench.report.html.report import write_html

__all__ = ["write_comparison", "write_html"]
