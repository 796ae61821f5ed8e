"""The model card as one HTML page that has its pictures inside.

MLflow's viewer shows the pictures of a Markdown file as text unless their addresses are absolute. An HTML
file it shows as a browser does, but without the files beside it.
"""

import base64
from pathlib import Path

STYLE = (
    "body { font: 15px/1.5 sans-serif; max-width: 52em; margin: 2em auto; padding: 0 1em; color: #22333b }"
    " table { border-collapse: collapse } td, th { border: 1px solid #ccc; padding: 0.2em 0.7em }"
    " img { max-width: 100% } pre, code { background: #f2f2f2 } pre { padding: 0.7em; overflow: auto }"
    " blockquote { margin: 0; padding-left: 1em; border-left: 4px solid #ccc }"
)


def page(card: Path) -> str:
    """Return a Markdown file as an HTML page; pictures are embedded, links to other files become plain text.

    Parameters
    ----------
    card : Path
        Its pictures are PNG files, with paths relative to it.
    """
    from markdown_it import MarkdownIt

    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = parser.parse(card.read_text("utf-8"))
    for token in (child for block in tokens for child in block.children or []):
        if token.type == "image":
            content = (card.parent / str(token.attrs["src"])).read_bytes()
            token.attrs["src"] = f"data:image/png;base64,{base64.b64encode(content).decode()}"
        elif token.type == "link_open" and "://" not in str(token.attrs["href"]):
            del token.attrs["href"]
    body = parser.renderer.render(tokens, parser.options, {})
    return f'<!doctype html>\n<meta charset="utf-8">\n<style>{STYLE}</style>\n{body}'
