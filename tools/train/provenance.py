"""What a checkpoint was trained on: the files with their sizes and hashes, for training.json."""

import gzip
import hashlib

import corpus
import image_data
import text_data


def describe(task):
    """The `data` of training.json, for a task of recipes.py. Hashes of texts are of what is trained on: unwrapped, UTF-8."""
    return texts() if task == "language" else images()


def texts():
    tokens = text_data.training_tokens()
    books = corpus.austen_books()
    files = {"austen": corpus.AUSTEN, "moby-dick": corpus.MOBY_DICK}
    held_out = text(corpus.HELD_OUT, corpus.held_out_text())
    return {
        "files": {name: sha256(path.read_bytes()) for name, path in files.items()},
        "texts": training_texts(),
        "tokens": len(tokens),
        "tokens_sha256": sha256(tokens.tobytes()),
        "tokenizer_sha256": sha256(text_data.tokenizer_file().read_bytes()),
        "held_out": {**held_out, "bytes_with_line_breaks": len(books[corpus.HELD_OUT].encode("utf-8"))},
    }


def training_texts():
    titles = [title for title in corpus.TITLES if title != corpus.HELD_OUT] + ["Moby-Dick"]
    return [text(title, content) for title, content in zip(titles, corpus.training_texts())]


def text(title, content):
    data = content.encode("utf-8")
    return {"title": title, "bytes": len(data), "sha256": sha256(data)}


def images():
    """Hashes are of the unpacked files."""
    parts = {}
    for part, use in (("train", "training"), ("t10k", "test")):
        files = []
        for path in (image_data.images_file(part), image_data.labels_file(part)):
            data = gzip.decompress(path.read_bytes())
            files.append({"file": path.name, "bytes": len(data), "sha256": sha256(data)})
        parts[use] = {"images": len(image_data.load(part)[1]), "files": files}
    return {"name": "Fashion-MNIST", "package": "dataset-fashion-mnist", **parts}


def sha256(data):
    return hashlib.sha256(data).hexdigest()
