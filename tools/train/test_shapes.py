"""The recorded shapes are those of the models."""

import unittest

import shapes


class Shapes(unittest.TestCase):
    def test_recorded(self):
        self.assertEqual(shapes.PATH.read_text(encoding="utf-8"), shapes.text(), "/usr/bin/python3 tools/train/shapes.py")


if __name__ == "__main__":
    unittest.main()
