"""What the pictures of the docs share: colours, letters, and how one becomes a file.

Owns    the palette, and the small PNG.
Never   draws anything.
"""

import io

import matplotlib
from matplotlib.figure import Figure
from PIL import Image

INK, MUTED, FAINT, TWIN = "#1f2933", "#7b8794", "#cbd2d9", "#c2410c"
STEEL, SLATE = "#2f6690", "#94a3b8"


def style() -> None:
    """Letters and ink of every picture."""
    matplotlib.rcParams |= {
        "font.family": "DejaVu Sans", "font.size": 9, "text.color": INK, "axes.labelcolor": INK,
    }  # fmt: skip


def png(figure: Figure) -> bytes:
    """The figure as a small PNG of 64 colours."""
    page, out = io.BytesIO(), io.BytesIO()
    figure.savefig(page, dpi=140)
    whole = Image.open(page).convert("RGB")
    whole.quantize(64, method=Image.Quantize.MEDIANCUT).save(out, "PNG", optimize=True)
    return out.getvalue()
