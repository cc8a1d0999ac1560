"""How every picture of the project looks, and how it is drawn: as SVG for a page, and as PNG for everything else."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

# Okabe and Ito's palette: readers who are colour-blind can tell its colours apart too.
BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#7F7F7F"
PURPLE, SKY, YELLOW = "#CC79A7", "#56B4E9", "#E69F00"
COLORS = (BLUE, ORANGE, GREEN, PURPLE, SKY, YELLOW, GREY)
INK = "#010203"
"""Text and axes. A page replaces it by its own text colour, so no picture uses it for anything else."""
LOOK: Any = {
    "font.size": 9, "axes.titlesize": 9.5, "axes.spines.top": False, "axes.spines.right": False,
    "axes.grid": True, "axes.axisbelow": True, "grid.alpha": 0.15, "grid.linewidth": 0.6, "grid.color": INK,
    "legend.frameon": False, "text.color": INK, "axes.labelcolor": INK, "axes.edgecolor": INK,
    "xtick.color": INK, "ytick.color": INK,
    "text.parse_math": False,  # names of runs are not formulas
}  # fmt: skip
DPI = 200

Draw = Callable[["Canvas"], None]


@dataclass(frozen=True)
class Figure:
    """A picture: its name in file names, its caption, and its two forms.

    Attributes:
        svg: a document of its own.
        png: on white.
    """

    name: str
    caption: str
    svg: str
    png: bytes

    @property
    def inline(self) -> str:
        """The SVG as an element of a page: no prolog, no metadata, its ids its own, its colours the page's."""
        svg = self.svg[self.svg.index("<svg") :]
        svg = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->", "", svg, flags=re.DOTALL)
        svg = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{self.name}-", svg)
        svg = svg.replace(INK, "currentColor")
        view = re.search(r'viewBox="[^"]*"', svg)
        assert view is not None
        # As wide as it was drawn at most: letters then have one size in all pictures.
        width = 1.3 * float(view[0].split()[2])
        return (
            f'<svg {view[0]} style="max-width: min(100%, {width:.0f}px)" role="img" '
            'xmlns:xlink="http://www.w3.org/1999/xlink">' + svg[svg.index(">") + 1 :]
        )


def draw_figure(name: str, caption: str, draw: Draw, size: tuple[float, float], *, transparent: bool = False) -> Figure:
    """Draw once, and keep both forms. The same drawing gives the same bytes.

    Args:
        name, caption: of the figure.
        draw: puts axes on an empty canvas.
        size: inches.
        transparent: let what is behind the SVG show through, as on a page.
    """
    import matplotlib
    from matplotlib.figure import Figure as Canvas

    with matplotlib.rc_context(LOOK | {"svg.hashsalt": name}):
        canvas = Canvas(figsize=size, layout="constrained")
        draw(canvas)
        vector, pixels = io.StringIO(), io.BytesIO()
        background: dict[str, Any] = {"transparent": True} if transparent else {"facecolor": "white"}
        canvas.savefig(vector, format="svg", metadata={"Date": None, "Creator": None}, **background)
        canvas.savefig(pixels, format="png", dpi=DPI, facecolor="white", metadata={"Software": None})
    return Figure(name, caption, vector.getvalue(), pixels.getvalue())


def draw_png(path: Path, draw: Draw, size: tuple[float, float]) -> Path:
    """Draw a picture straight into a file; returns its path."""
    import matplotlib
    from matplotlib.figure import Figure as Canvas

    with matplotlib.rc_context(LOOK):
        canvas = Canvas(figsize=size, layout="constrained")
        draw(canvas)
        canvas.savefig(path, format="png", dpi=DPI, facecolor="white")
    return path
