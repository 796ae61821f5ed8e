"""Colours and names in all pictures; the colours differ for people with colour blindness, too."""

INK = "#22333b"  # text, and what others are compared with
BLUE, GREY, RED = "#3f90da", "#717581", "#bd1f01"  # of the same ten as `class_colours`


def class_colours(n: int) -> list[str]:
    """Return a colour for each of `n` classes, the most unlike ones first.

    The first ten are those that M. A. Petroff found to differ most for eyes of all kinds, "Accessible Color
    Sequences for Data Visualization", arXiv:2107.02270. Each further ten are paler than the ten before.
    """
    from matplotlib import color_sequences
    from matplotlib.colors import to_hex, to_rgb

    ten = color_sequences["petroff10"]
    rounds = -(-n // len(ten))
    colours = []
    for i in range(n):
        strength = 1 - 0.8 * (i // len(ten)) / rounds
        red, green, blue = (1 - strength * (1 - part) for part in to_rgb(ten[i % len(ten)]))
        colours.append(to_hex((red, green, blue)))
    return colours


def short(text: str, n: int) -> str:
    """Return at most about `n` characters of a text, all of them printable."""
    text = "".join(sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in text)
    return text if len(text) <= n else f"{text[: n // 2]} … {text[-(n // 2) :]}"
