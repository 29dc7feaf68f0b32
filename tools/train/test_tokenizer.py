"""The tokenizer and the texts it is trained on."""

import json
import unittest

import bpe
import corpus
from paths import FIXTURES


class TokenizerTest(unittest.TestCase):
    def test_recorded_ids(self):
        """The ids that a JavaScript test reproduces with @huggingface/tokenizers."""
        tokenizer = bpe.Tokenizer.load(FIXTURES / "tokenizer" / "tokenizer.json")
        samples = json.loads((FIXTURES / "tokenizer" / "samples.json").read_text(encoding="utf-8"))
        for sample in samples:
            self.assertEqual(tokenizer.encode(sample["text"]), sample["ids"])
            self.assertEqual(tokenizer.decode(sample["ids"]), sample["text"])

    def test_training_merges_the_most_frequent_pair_first(self):
        merges = bpe.train(["aab aab ab"], 257 + 2)
        self.assertEqual(merges, [("a", "b"), ("a", "ab")])

    def test_vocabulary_is_unique(self):
        tokenizer = bpe.Tokenizer.load(FIXTURES / "tokenizer" / "tokenizer.json")
        self.assertEqual(len(set(tokenizer.pieces)), 2048)
        self.assertEqual(tokenizer.pieces[0], bpe.BEGIN)


class Corpus(unittest.TestCase):
    def test_every_book_is_found_whole(self):
        books = corpus.austen_books()
        self.assertEqual(list(books), corpus.TITLES)
        self.assertIn("Emma Woodhouse, handsome", books["EMMA"])
        self.assertTrue(all(len(text) > 400_000 for text in books.values()))

    def test_the_held_out_book_is_in_no_training_text(self):
        sentence = "Sir Walter Elliot, of Kellynch Hall, in Somersetshire, was a man who, for his own amusement"
        self.assertIn(sentence, corpus.held_out_text())
        self.assertFalse(any("Kellynch" in text for text in corpus.training_texts()))

    def test_unwrap_keeps_paragraphs(self):
        self.assertEqual(corpus.unwrap("one\ntwo\n\n\n three\n"), "one two\n\nthree")


if __name__ == "__main__":
    unittest.main()
