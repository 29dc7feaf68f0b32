"""
Byte-level byte-pair encoding, trained here and exported as the `tokenizer.json` of Hugging Face's tokenizers.

The text is split by PATTERN, each piece becomes UTF-8 bytes, and learned merges join neighbours, first learned first.
PATTERN spells its character classes out: `\\w`, `\\s` and `\\p{L}` mean different sets in Python, JavaScript and Rust.
"""

import json
import re
from collections import Counter, defaultdict
from functools import lru_cache

BEGIN = "<|begin|>"  # opens every sequence
BEGIN_ID = 0
LETTER = "A-Za-zÀ-ɏ"
SPACE = " \\t\\r\\n"
PATTERN = (
    f"['’](?:s|t|re|ve|m|ll|d)(?![{LETTER}])"
    f"| ?[{LETTER}]+| ?[0-9]+| ?[^{SPACE}{LETTER}0-9]+|[{SPACE}]+(?![^{SPACE}])|[{SPACE}]+"
)


def byte_alphabet():
    """GPT-2's printable stand-in for each byte, which tokenizer.json spells its vocabulary in."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    characters = {byte: chr(byte) for byte in printable}
    for index, byte in enumerate(byte for byte in range(256) if byte not in characters):
        characters[byte] = chr(256 + index)
    return [characters[byte] for byte in range(256)]


ALPHABET = byte_alphabet()


def spell(piece):
    return [ALPHABET[byte] for byte in piece.encode("utf-8")]


def train(texts, vocabulary):
    """Returns the merges, as pairs of strings, that fill `vocabulary` entries: BEGIN, 256 bytes, merged pieces."""
    words = Counter()
    for text in texts:
        words.update(re.findall(PATTERN, text))
    spelled = [(spell(word), count) for word, count in sorted(words.items())]
    counts = Counter()
    where = defaultdict(set)  # pair -> indices of the words that may hold it
    for index, (symbols, count) in enumerate(spelled):
        for pair in zip(symbols, symbols[1:]):
            counts[pair] += count
            where[pair].add(index)

    merges = []
    while len(merges) < vocabulary - 257:
        best = max(counts, key=lambda pair: (counts[pair], pair))
        merges.append(best)
        for index in where.pop(best):
            symbols, count = spelled[index]
            for pair in zip(symbols, symbols[1:]):
                counts[pair] -= count
            joined = merge(symbols, best)
            spelled[index] = (joined, count)
            for pair in zip(joined, joined[1:]):
                counts[pair] += count
                where[pair].add(index)
        del counts[best]
    return merges


def merge(symbols, pair):
    joined = []
    index = 0
    while index < len(symbols):
        if index + 1 < len(symbols) and (symbols[index], symbols[index + 1]) == pair:
            joined.append(symbols[index] + symbols[index + 1])
            index += 2
        else:
            joined.append(symbols[index])
            index += 1
    return joined


class Tokenizer:
    def __init__(self, merges):
        self.merges = [tuple(pair) for pair in merges]
        self.ranks = {pair: rank for rank, pair in enumerate(self.merges)}
        self.pieces = [BEGIN, *ALPHABET, *(left + right for left, right in self.merges)]
        self.ids = {piece: index for index, piece in enumerate(self.pieces)}
        self.encode_piece = lru_cache(maxsize=None)(self._encode_piece)

    def _encode_piece(self, piece):
        symbols = spell(piece)
        while len(symbols) > 1:
            pairs = zip(symbols, symbols[1:])
            best = min(pairs, key=lambda pair: self.ranks.get(pair, len(self.ranks)))
            if best not in self.ranks:
                break
            symbols = merge(symbols, best)
        return tuple(self.ids[symbol] for symbol in symbols)

    def encode(self, text):
        """Ids without the BEGIN token. A BEGIN written out in the text is text."""
        return [index for piece in re.findall(PATTERN, text) for index in self.encode_piece(piece)]

    def decode(self, ids):
        spelled = "".join(self.pieces[index] for index in ids if index != 0)
        back = {character: byte for byte, character in enumerate(ALPHABET)}
        return bytes(back[character] for character in spelled).decode("utf-8", errors="replace")

    def to_json(self):
        begin = {"id": 0, "content": BEGIN, "special": True}
        begin.update(single_word=False, lstrip=False, rstrip=False, normalized=False)
        split = {"type": "Split", "pattern": {"Regex": PATTERN}, "behavior": "Isolated", "invert": False}
        byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
        template = [{"SpecialToken": {"id": BEGIN, "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}]
        pair = [*template, {"Sequence": {"id": "B", "type_id": 1}}]
        return {
            "version": "1.0",
            "truncation": None,
            "padding": None,
            "added_tokens": [begin],
            "normalizer": None,
            "pre_tokenizer": {"type": "Sequence", "pretokenizers": [split, byte_level]},
            "post_processor": {
                "type": "TemplateProcessing",
                "single": template,
                "pair": pair,
                "special_tokens": {BEGIN: {"id": BEGIN, "ids": [0], "tokens": [BEGIN]}},
            },
            "decoder": byte_level,
            "model": {
                "type": "BPE",
                "dropout": None,
                "unk_token": None,
                "continuing_subword_prefix": None,
                "end_of_word_suffix": None,
                "fuse_unk": False,
                "byte_fallback": False,
                "ignore_merges": False,
                "vocab": self.ids,
                "merges": [list(merge) for merge in self.merges],
            },
        }

    def save(self, path):
        path.write_text(json.dumps(self.to_json(), ensure_ascii=False, separators=(",", ":")), encoding="utf-8")

    @staticmethod
    def load(path):
        return Tokenizer(json.loads(path.read_text(encoding="utf-8"))["model"]["merges"])
