"""Figures inside the page: drawings from our own code, looked through all the same."""

import re
import xml.etree.ElementTree as ElementTree

from markupsafe import Markup

from assets.errors import AssayError
from assets.figures.figure import Figure

_FORBIDDEN = frozenset(
    {"script", "foreignobject", "iframe", "object", "embed", "image", "a", "animate", "set"}
)
_PNG = "data:image/png;base64,"
_REFERENCE = re.compile(r"url\((?!\s*[\"']?#)", re.IGNORECASE)
_IDS = re.compile(r"""(\s(?:id|aria-labelledby|aria-describedby)=["']|url\(["']?#|\s(?:xlink:)?href=["']#)""")


class DrawingError(AssayError):
    """A figure that has no place in a page without network and scripts."""


def drawing(figure: Figure) -> Markup:
    """The <svg> with ids of its own, so that two figures on one page do not mix up their parts.

    Raises:
        DrawingError: it is not well-formed, lacks a viewBox, or holds a script, an event handler, a picture
            that is no PNG within the text, or a reference to something outside.
    """
    text = re.sub(r"^\s*(<\?xml[^>]*\?>|<!DOCTYPE[^>]*>|\s)*", "", figure.svg)
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        raise DrawingError(f"figure {figure.name} is not well-formed: {error}") from None
    if _local(root.tag) != "svg" or "viewBox" not in root.attrib:
        raise DrawingError(f"figure {figure.name} must be an <svg> with a viewBox")
    for element in root.iter():
        name = _local(element.tag)
        inside = [_local(key) for key, value in element.attrib.items() if value.startswith(_PNG)]
        if name in _FORBIDDEN and not (name == "image" and inside == ["href"]):
            raise DrawingError(f"figure {figure.name} holds <{name}>; draw with shapes and text alone")
        for attribute, value in element.attrib.items():
            key = _local(attribute)
            outside = key == "href" and not value.startswith(("#", _PNG) if name == "image" else "#")
            if key.startswith("on") or outside or _REFERENCE.search(value):
                raise DrawingError(f"figure {figure.name}: <{name} {key}> is a handler or refers outside")
        if name == "style" and ("@import" in (element.text or "") or _REFERENCE.search(element.text or "")):
            raise DrawingError(f"figure {figure.name}: its <style> refers outside")
    return Markup(_IDS.sub(rf"\g<1>{figure.name}-", text))


def _local(name: object) -> str:
    return str(name).rpartition("}")[2].lower() if "}" in str(name) else str(name).lower()
