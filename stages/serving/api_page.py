"""The page that explains the API to people, made of openapi.json."""

import json
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markdown_it import MarkdownIt

from stages.serving import hearing, uploads
from stages.serving.described import SAMPLES, TAGS, operations

TEMPLATE = "api.html.jinja"
WIDE = 76  # columns of an answer


def page(app: FastAPI, origin: str) -> str:
    """Return the page.

    Parameters
    ----------
    app : FastAPI
        With all routes.
    origin : str
        Where the server is, such as ``http://127.0.0.1:8000``.
    """
    document = app.openapi()
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        undefined=StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["words"] = _words
    return environment.get_template(TEMPLATE).render(
        document=document,
        operations=[
            {
                **operation,
                "method": method,
                "path": path,
                "tag": operation.get("tags", [TAGS[-1]["name"]])[0],
                "parameters": [*map(_parameter, operation.get("parameters", []))],
                "lines": operation.get(SAMPLES, []),
                "answer": _answer(operation),
            }
            for method, path, operation in operations(document)
        ],
        origin=origin,
        megabytes=f"{uploads.MOST_BYTES / 1e6:g}",
        minutes=f"{hearing.MOST_S / 60:g}",
    )


def _words(markdown: str) -> str:
    """Return Markdown as HTML; tags in it are escaped."""
    return str(MarkdownIt("commonmark", {"html": False}).render(markdown))


def _parameter(parameter: dict[str, Any]) -> tuple[str, str]:
    """Return name and description, with the values that there are."""
    schema, words = parameter["schema"], [parameter["description"]]
    if "enum" in schema:
        words.append(f"One of {', '.join(schema['enum'])}.")
    if schema.get("default", "") not in ("", False):
        words.append(f"Else {schema['default']}.")
    return parameter["name"], " ".join(words)


def _answer(operation: dict[str, Any]) -> str:
    """Return the example of the answer; empty: it is no JSON."""
    content = operation["responses"].get("200", {}).get("content", {}).get("application/json", {})
    return _laid_out(content["example"]) if "example" in content else ""


def _laid_out(value: Any, indent: str = "") -> str:
    """Return JSON in lines; what fits into one stays in one."""
    line = json.dumps(value, ensure_ascii=False)
    if len(indent) + len(line) <= WIDE or not isinstance(value, list | dict):
        return line
    inner = f"{indent}  "
    if isinstance(value, dict):
        parts = [f"{json.dumps(key)}: {_laid_out(one, inner)}" for key, one in value.items()]
    else:
        parts = [_laid_out(one, inner) for one in value]
    start, end = "{}" if isinstance(value, dict) else "[]"
    return f"{start}\n{inner}" + f",\n{inner}".join(parts) + f"\n{indent}{end}"
