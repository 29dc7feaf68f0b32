"""Figures against models whose answers are known."""

import math
import unittest
from types import SimpleNamespace
from unittest import mock

import torch

import bpe
import compare
import corpus
import figures
import fixtures
import image_data
import recipes
import text_data
from evaluate import accuracy, bits_per_byte
from mechanisms.softmax import softmax_attention
from models.language import LanguageModel

SMALL = {**recipes.SOFTMAX, "width": 32, "hidden": 40, "layers": 2, "context": 100}


class Language:
    """A model that gives every token the same logits, and keeps what it was asked."""

    def __init__(self, logits, context=512):
        self.logits, self.config, self.asked = logits, {"context": context}, []

    def __call__(self, ids, trace=None):
        self.asked.append(ids)
        return self.logits.expand(*ids.shape, -1), 0.0


class BitsPerByte(unittest.TestCase):
    def test_of_a_model_that_knows_nothing(self):
        """2048 pieces are 11 bits a token."""
        found = bits_per_byte(Language(torch.zeros(2048)))
        self.assertAlmostEqual(found["bits_per_byte"], 11 * found["tokens"] / found["bytes"], places=4)
        self.assertEqual(found["bytes"], len(corpus.held_out_text().encode("utf-8")))

    def test_each_token_is_predicted_once(self):
        """Of a model that bets on one piece, only what it bets on costs little."""
        ids = bpe.Tokenizer.load(text_data.tokenizer_file()).encode(corpus.held_out_text())[:1500]
        piece = ids[700]
        logits = torch.zeros(2048)
        logits[piece] = 8.0
        hits, total = ids.count(piece), torch.logsumexp(logits, 0).item()
        found = bits_per_byte(Language(logits, context=100), limit=1500, stride=30)
        expected = (len(ids) * total - 8.0 * hits) / math.log(2) / found["bytes"]
        self.assertAlmostEqual(found["bits_per_byte"], expected, places=3)

    def test_windows_open_with_the_begin_token(self):
        model = Language(torch.zeros(2048), context=100)
        bits_per_byte(model, limit=300, stride=50)
        self.assertTrue(all(ids[0, 0] == bpe.BEGIN_ID and ids.shape[1] <= 100 for ids in model.asked))
        self.assertEqual(len(model.asked), 5)


class Accuracy(unittest.TestCase):
    def test_of_one_answer_to_all(self):
        """Each of the ten classes has a tenth of the test images."""
        one = torch.eye(10)[3]
        self.assertEqual(accuracy(lambda images: (one.expand(len(images), -1), 0.0)), 0.1)

    def test_of_the_right_answers(self):
        labels = iter(torch.from_numpy(image_data.load("t10k")[1]).split(250))
        self.assertEqual(accuracy(lambda images: (torch.eye(10)[next(labels)], 0.0)), 1.0)


class Sinks(unittest.TestCase):
    def setUp(self):
        torch.manual_seed(3)
        self.ids = torch.randint(1, 2048, (64 * 63,)).tolist()

    def test_of_heads_that_look_at_all_alike(self):
        model = LanguageModel(SMALL)
        for block in model.blocks:
            torch.nn.init.zeros_(block.mixer.qkv.weight)
        found = figures.sinks(model, self.ids)
        for mean in sum(found["m0"], []):
            self.assertAlmostEqual(mean, found["uniform"], places=3)
        self.assertAlmostEqual(found["uniform"], 0.0741, places=4)
        self.assertEqual((found["sink_heads"], found["rate"]), (0, 0.0))

    def test_of_heads_that_look_at_the_begin_token(self):
        """Three heads of eight and one layer of two: their weights are given."""
        weights = [torch.zeros(64, 8, 64), torch.zeros(64, 8, 64)]
        weights[1][:, :3] = 0.4
        with mock.patch.object(figures, "begin_weights", lambda *_: weights):
            found = figures.sinks(None, self.ids)
            queries = figures.sinking_queries(SimpleNamespace(config=SMALL), self.ids)
        self.assertEqual((found["sink_heads"], found["heads"], found["rate"]), (3, 16, 3 / 16))
        self.assertEqual(queries["shares"][1], [1.0] * 3 + [0.0] * 5)

    def test_weights_are_those_of_the_model(self):
        """Where v is 1 for the begin token and 0 for the others, attention gives the weight of the begin token itself."""
        model = LanguageModel(SMALL)
        first, *_ = figures.begin_weights(model, self.ids, 20, 3)
        with torch.no_grad():
            trace = []
            model(torch.cat((torch.zeros(3, 1, dtype=torch.int64), torch.tensor(self.ids[:57]).view(3, 19)), 1), trace)
        v = torch.zeros_like(trace[0]["v"])
        v[:, :, 0] = 1
        out = softmax_attention(trace[0]["q"], trace[0]["k"], v, causal=True)[..., 0]
        self.assertLess((out - first).abs().max().item(), 1e-6)


class Writing(unittest.TestCase):
    def test_the_begin_token_is_never_written(self):
        logits = torch.zeros(2048)
        logits[bpe.BEGIN_ID] = 100.0
        tokenizer = bpe.Tokenizer.load(text_data.tokenizer_file())
        text = figures.write(Language(logits), tokenizer, "It was", count=20)
        self.assertTrue(text.startswith("It was"))
        self.assertNotIn(bpe.BEGIN, text)
        self.assertEqual(text, figures.write(Language(logits), tokenizer, "It was", count=20))


class Recognition(unittest.TestCase):
    def test_counts_what_the_judge_names_rightly(self):
        """A judge that says 4 of every sample is right about one class in ten."""
        still = lambda images, time, labels: torch.zeros_like(images)  # noqa: E731
        still.no_label = 10
        judge = lambda images: (torch.eye(10)[4].expand(len(images), -1), 0.0)  # noqa: E731
        found = figures.diffusion(still, judge, per_class=2, steps=2)
        self.assertEqual((found["recognised"], found["samples"], found["by_class"][4]), (0.1, 20, 1.0))


class Fixtures(unittest.TestCase):
    def test_an_input_is_longer_than_a_block_of_linear_attention(self):
        ids = fixtures.example("language")["ids"]
        self.assertEqual(ids.shape, (1, fixtures.TOKENS))
        self.assertGreater(fixtures.TOKENS, 64)
        self.assertEqual(ids[0, 0], bpe.BEGIN_ID)


class Comparison(unittest.TestCase):
    def test_tokens_are_told_apart_by_what_came_before(self):
        texts = torch.tensor([[5, 6, 5, 6, 7, 6], [6, 6, 6, 5, 5, 7]])
        self.assertEqual(compare.novelty(texts).tolist(), [[0, 0, 1, 2, 0, 1], [0, 1, 2, 0, 1, 0]])

    def test_bits_are_those_of_each_token(self):
        config = {**recipes.SOFTMAX, "width": 16, "hidden": 16, "heads": 2, "kv_heads": 1, "layers": 1, "context": 8}
        model = LanguageModel(config).eval()
        texts = torch.arange(10).view(2, 5)
        found = compare.bits(model, texts)
        logits, _ = model(torch.tensor([[bpe.BEGIN_ID, *texts[1, :-1].tolist()]]))
        expected = -logits[0].log_softmax(-1)[range(5), texts[1]] / math.log(2)
        self.assertTrue(torch.allclose(found[1], expected, atol=1e-5))


if __name__ == "__main__":
    unittest.main()
