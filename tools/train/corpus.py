"""The texts: Moby-Dick and Jane Austen's six novels, public domain. One novel is held out for evaluation."""

import gzip
import re
from functools import lru_cache
from pathlib import Path

HERE = Path(__file__).parent
AUSTEN = HERE / "data" / "austen.txt.gz"
MOBY_DICK = HERE.parents[1] / "demo" / "public" / "texts" / "moby-dick.txt"

# The collection joins its books without a line break, so a title may follow the last word of the book before it.
TITLES = ["EMMA", "MANSFIELD PARK", "NORTHANGER ABBEY", "Persuasion", "PRIDE AND PREJUDICE", "SENSE AND SENSIBILITY"]
HELD_OUT = "Persuasion"
EDITORIAL = "A NOTE ON THE TEXT"  # a modern editor's, after Northanger Abbey


def austen_books():
    """Returns {title: text}, in the order of the collection."""
    text = gzip.decompress(AUSTEN.read_bytes()).decode("utf-8").replace("\r\n", "\n")
    starts = []
    position = 0
    for title in TITLES:
        found = re.compile(re.escape(title) + r"(\s+\(\d+\))?\s+[Bb]y\s+Jane Austen").search(text, position)
        if found is None:
            raise ValueError(f"{AUSTEN.name} has no book called {title!r}")
        starts.append(found.start())
        position = found.end()
    ends = starts[1:] + [len(text)]
    return {title: text[start:end].split(EDITORIAL)[0] for title, start, end in zip(TITLES, starts, ends)}


def unwrap(text):
    """Joins the lines of each paragraph: where a printer broke a line says nothing about the language."""
    paragraphs = re.split(r"\n[ \t]*\n\s*", text.strip())
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)


@lru_cache(1)
def training_texts():
    books = [text for title, text in austen_books().items() if title != HELD_OUT]
    return [unwrap(text) for text in books + [MOBY_DICK.read_text(encoding="utf-8")]]


@lru_cache(1)
def held_out_text():
    return unwrap(austen_books()[HELD_OUT])
