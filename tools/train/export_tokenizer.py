"""Writes test/fixtures/tokenizer: tokenizer.json and ids of difficult texts, which a JavaScript test must reproduce."""

import json

import bpe
import text_data
from paths import FIXTURES

SAMPLES = [
    "",
    "It is a truth universally acknowledged, that a single man in possession of a good fortune, must be in want of a wife.",
    "Call me Ishmael. Some years ago—never mind how long precisely—having little or no money",
    "  leading, trailing  ",
    "tabs\tand\nlines\r\n\r\n  then   many    spaces \n \t x",
    "don't we'll they've I'm he'd she's they're 'tis o'clock don’t 'sleep 'SAY CAN'T",
    "naïve café Ægir Łódź ÀÉÎ × ÷ ɏ e\u0301",
    "日本語 Привет мир مرحبا שלום ไทย",
    "👩‍👩‍👧‍👦 🏳️‍🌈 \U0001F600!?",
    "no-break\u00a0space, thin\u2009space, line\u2028separator, next\u0085line, \ufeffmark, zero\u200bwidth, \x1cfile",
    "1851 in 3.14159 of 1,000,000 x2y ²³ ½ ٣",
    "_Between them_ it was--more **bold** [1] {x} <b> & \\ ` ~ | @#$%^",
    "\u0000\u0001\u007f control",
    "\n",
    "a" * 300,
]


def main():
    path = text_data.tokenizer_file()
    tokenizer = bpe.Tokenizer.load(path)
    folder = FIXTURES / "tokenizer"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tokenizer.json").write_bytes(path.read_bytes())
    samples = [{"text": text, "ids": tokenizer.encode(text)} for text in SAMPLES]
    (folder / "samples.json").write_text(json.dumps(samples, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
