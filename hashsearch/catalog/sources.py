"""Paths and addresses as catalogs write them, to absolute ones."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path
from urllib.parse import unquote, urlsplit

_WEB = re.compile(r"https?://", re.IGNORECASE)
_FILE = re.compile(r"file://", re.IGNORECASE)


def absolute_source(text: str, folder: Path) -> str:
    """The address or absolute path of an image; relative paths start at the folder.

    Of names with accents, that of a file is taken which is written in another Unicode form, as macOS does.
    """
    if match := _WEB.match(text):
        return match[0].lower() + text[match.end() :]
    if _FILE.match(text):
        text = unquote(urlsplit(text).path)
    path = str(folder / text)
    return path if path.isascii() else _existing_form(path)


def _existing_form(path: str) -> str:
    forms = (path, unicodedata.normalize("NFC", path), unicodedata.normalize("NFD", path))
    return next((form for form in forms if _exists(form)), path)


def _exists(path: str) -> bool:
    try:
        return Path(path).exists()
    except (OSError, ValueError):  # a name that is too long, or has a null character
        return False
