"""
README.md's format is enough: a loader that knows config.json, the tensors and the formulas of that page, and nothing of the
models' code, computes in numpy what the models compute. Every mechanism of every task, small and untrained.
"""

import json
import math
import tempfile
import unittest
from pathlib import Path
from unittest import mock

import numpy as np
import torch

import checkpoint
import recipes
import safetensors

SMALL = {
    "language": {"vocabulary": 50, "width": 32, "hidden": 40, "layers": 2, "context": 80},
    "classifier": {"width": 32, "hidden": 40, "layers": 2},
    "diffusion": {"width": 32, "hidden": 40, "layers": 2},
}


def softmax(x, axis=-1):
    weights = np.exp(x - x.max(axis, keepdims=True))
    return weights / weights.sum(axis, keepdims=True)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


ACTIVATIONS = {
    "silu": lambda x: x * sigmoid(x),
    "linear": lambda x: x,
    "gelu": lambda x: x * 0.5 * (1 + np.vectorize(math.erf)(x / math.sqrt(2))),
}


class Loader:
    """One sequence at a time; arrays are [tokens, channels] or [heads, tokens, D]."""

    def __init__(self, folder):
        self.config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        tensors, _ = safetensors.read(folder / "model.safetensors")
        self.weights = {name: array.astype(np.float64) for name, array in tensors.items()}
        self.act = ACTIVATIONS[self.config["hidden_act"]]

    def linear(self, name, x):
        return x @ self.weights[f"{name}.weight"].T + self.weights.get(f"{name}.bias", 0)

    def heads(self, x, count):
        return x.reshape(len(x), count, -1).transpose(1, 0, 2)

    # Language models.

    def norm(self, x, name):
        normed = x / np.sqrt((x**2).mean(-1, keepdims=True) + self.config["rms_norm_eps"])
        return normed * self.weights[f"{name}.weight"] if self.config["norm"] == "rmsnorm" else normed

    def language(self, ids):
        config = self.config
        assert config["tie_word_embeddings"] and not config["mlp_bias"] and config["mlp_order"] == ["gate", "value"]
        x = self.weights["embedding.weight"][ids] * config["embedding_scale"]
        if config["position_embedding_type"] == "sinusoidal":
            half = config["width"] // 2
            angles = np.arange(len(ids))[:, None] * config["sinusoid_base"] ** (-np.arange(half) / half)
            assert config["sinusoid_order"] == ["sin", "cos"]
            x = x + config["sinusoid_scale"] * np.concatenate((np.sin(angles), np.cos(angles)), -1)
        for layer in range(config["layers"]):
            block = f"blocks.{layer}"
            x = x + self.mixer(f"{block}.mixer", self.norm(x, f"{block}.norm1"), layer)
            gate, value = np.split(self.linear(f"{block}.channels.up", self.norm(x, f"{block}.norm2")), 2, -1)
            x = x + self.linear(f"{block}.channels.down", self.act(gate) * value)
        return self.norm(x, "norm") @ self.weights["embedding.weight"].T

    def mixer(self, name, x, layer):
        config = self.config
        count, width = config["heads"], config["head_dim"]
        if config["mechanism"] == "lightning":
            return self.lightning(name, x, layer)
        key_heads = config.get("kv_heads", count)
        q, k, v = np.split(self.linear(f"{name}.qkv", x), [config["width"], config["width"] + key_heads * width], -1)
        q, k, v = self.heads(q, count), self.heads(k, key_heads), self.heads(v, key_heads)
        if config["mechanism"] == "flow":
            out = self.flow(q, k, v)
        else:
            q, k = self.rotated(q), self.rotated(k)
            k, v = np.repeat(k, count // key_heads, 0), np.repeat(v, count // key_heads, 0)
            out = self.attention(q, k, v)
        return self.output(name, x, out)

    def output(self, name, x, out):
        if self.config["mechanism"] == "moh":
            out = out * self.gates(f"{name}.router", x).T[..., None]
        return self.linear(f"{name}.out", out.transpose(1, 0, 2).reshape(len(x), -1))

    def attention(self, q, k, v, bias=0):
        scores = q @ k.transpose(0, 2, 1) * self.config["scaling"] + bias
        if self.config["is_causal"]:
            scores = np.where(np.tri(*scores.shape[1:]) > 0, scores, -np.inf)
        return softmax(scores) @ v

    def rotated(self, x):
        half = self.config["head_dim"] // 2
        angles = np.arange(x.shape[1])[:, None] * self.config["rope_theta"] ** (-np.arange(half) / half)
        assert self.config["rope_interleave"] is False
        a, b = x[..., :half], x[..., half:]
        return np.concatenate((a * np.cos(angles) - b * np.sin(angles), b * np.cos(angles) + a * np.sin(angles)), -1)

    def lightning(self, name, x, layer):
        config = self.config
        count, tokens = config["heads"], np.arange(len(x))
        assert config["projection_order"] == ["q", "k", "v", "u"]
        q, k, v, u = np.split(self.linear(f"{name}.qkvu", x), 4, -1)
        q, k = (ACTIVATIONS[config["qk_act"]](part) for part in (q, k))
        q, k, v = (self.heads(part, count) for part in (q, k, v))
        if layer in config["lrpe_layers"]:
            channels = np.arange(config["width"]).reshape(count, 1, -1)
            angles = tokens[:, None] * config["lrpe_base"] ** (-2 * channels / config["width"])
            q, k = (np.concatenate((part * np.cos(angles), part * np.sin(angles)), -1) for part in (q, k))
        distance = np.maximum(tokens[:, None] - tokens, 0)
        decay = np.exp(-np.array(config["slopes"][layer])[:, None, None] * distance) * np.tri(len(x))
        out = (q @ k.transpose(0, 2, 1) * config["scaling"] * decay) @ v
        out = out.transpose(1, 0, 2).reshape(len(x), -1)
        assert config["output_norm"] == "srmsnorm"
        return self.linear(f"{name}.out", self.norm(out, None) * u)

    def gates(self, name, x):
        config = self.config
        shared, chosen = config["shared_heads"], config["routed_topk"]
        chances = softmax(self.linear(f"{name}.among_routed", x))
        order = np.argsort(-chances, -1, kind="stable")[:, :chosen]
        kept = np.zeros_like(chances)
        np.put_along_axis(kept, order, np.take_along_axis(chances, order, -1), -1)
        balance = 2 * softmax(self.linear(f"{name}.balance", x))
        among = shared * softmax(self.linear(f"{name}.among_shared", x))
        routed = chosen * kept / kept.sum(-1, keepdims=True)
        return np.concatenate((balance[:, :1] * among, balance[:, 1:] * routed), -1)

    def flow(self, q, k, v):
        config, eps = self.config, self.config["flow_eps"]
        assert (config["feature_map"], config["flow_variant"]) == ("sigmoid", "core")
        q, k = sigmoid(q), sigmoid(k)

        def f(x, y):
            return ((x + eps) * (y + eps)).sum(-1, keepdims=True)

        if not config["is_causal"]:
            incoming, outgoing = f(q, k.sum(1, keepdims=True)), f(k, q.sum(1, keepdims=True))
            sink = f(q, (k / outgoing).sum(1, keepdims=True))
            source = np.clip(f(k, (q / incoming).sum(1, keepdims=True)), -config["clamp"], config["clamp"])
            weight = k.shape[1] * softmax(source, 1)
            return sigmoid(sink * q.shape[1] / k.shape[1]) * ((q / incoming) @ (k.transpose(0, 2, 1) @ (weight * v)))
        n = np.arange(1, q.shape[1] + 1)[:, None]
        incoming, outgoing = f(q, k.cumsum(1)), f(k, q.cumsum(1))
        sink = f(q, (n * k / outgoing).cumsum(1)) / n
        source = np.exp(np.clip(f(k, (n * q / incoming).cumsum(1)) / n, -config["clamp"], config["clamp"]))
        weight = n * source / source.cumsum(1)
        return sigmoid(sink) * ((q / incoming @ k.transpose(0, 2, 1) * np.tri(q.shape[1])) @ (weight * v))

    # Images.

    def layer_norm(self, x, name=None):
        centred = x - x.mean(-1, keepdims=True)
        normed = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + self.config["layer_norm_eps"])
        return normed if name is None else normed * self.weights[f"{name}.weight"] + self.weights[f"{name}.bias"]

    def patches(self, pixels):
        config = self.config
        image = (pixels * config["rescale_factor"] - config["image_mean"][0]) / config["image_std"][0]
        patch = config["patch"]
        side = config["image"] // patch
        rows = image.reshape(side, patch, side, patch).transpose(0, 2, 1, 3).reshape(side * side, patch * patch)
        return self.linear("patches", rows)

    def image_attention(self, name, x):
        config = self.config
        q, k, v = (self.heads(part, config["heads"]) for part in np.split(self.linear(f"{name}.qkv", x), 3, -1))
        mix = {"agent": self.agent, "flow": lambda _, *qkv: self.flow(*qkv)}
        mixed = mix.get(config["mechanism"], lambda _, *qkv: self.attention(*qkv))(f"{name}.agent", q, k, v)
        return self.output(name, x, mixed)

    def agent(self, name, q, k, v):
        config = self.config
        side, rows = math.isqrt(config["agents"]), config["image"] // config["patch"]
        assert rows == config["agent_bias_grid"] and config["class_token"] == "first"
        w = {key[len(name) + 1 :]: value for key, value in self.weights.items() if key.startswith(name)}
        grid = q[:, 1:].reshape(len(q), rows, rows, -1)
        ranges = [slice(i * rows // side, -(-(i + 1) * rows // side)) for i in range(side)]
        agents = np.stack([grid[:, r, c].mean((1, 2)) for r in ranges for c in ranges], 1)
        first = (w["an_bias"] + w["ah_bias"][0] + w["aw_bias"][0]).reshape(len(q), config["agents"], -1)
        second = np.moveaxis(w["na_bias"], 1, -1) + w["ha_bias"][0] + w["wa_bias"][0]
        second = second.reshape(len(q), -1, config["agents"])
        summary = self.attention(agents, k, v, np.concatenate((w["ac_bias"][0], first), 2))
        out = self.attention(q, agents, summary, np.concatenate((w["ca_bias"][0], second), 1))
        image = v[:, 1:].reshape(len(v), rows, rows, -1).transpose(0, 3, 1, 2).reshape(-1, rows, rows)
        reach = config["conv_kernel"] // 2
        padded = np.pad(image, ((0, 0), (reach, reach), (reach, reach)))
        local = w["dwc.bias"][:, None, None] + np.zeros_like(image)
        for i in range(config["conv_kernel"]):
            for j in range(config["conv_kernel"]):
                local = local + w["dwc.weight"][:, 0, i, j, None, None] * padded[:, i : i + rows, j : j + rows]
        out[:, 1:] += local.reshape(len(v), -1, rows * rows).transpose(0, 2, 1)
        return out

    def classifier(self, pixels):
        x = np.concatenate((self.weights["class_embedding"][None], self.patches(pixels))) + self.weights["position_embedding"]
        for layer in range(self.config["layers"]):
            block = f"blocks.{layer}"
            x = x + self.image_attention(f"{block}.attention", self.layer_norm(x, f"{block}.norm1"))
            hidden = self.act(self.linear(f"{block}.up", self.layer_norm(x, f"{block}.norm2")))
            x = x + self.linear(f"{block}.down", hidden)
        return self.linear("head", self.layer_norm(x[0], "norm"))

    def diffusion(self, pixels, time, label):
        config, silu, half = self.config, ACTIVATIONS["silu"], self.config["width"] // 2
        angles = config["time_scale"] * time * config["time_base"] ** (-np.arange(half) / half)
        assert config["time_order"] == ["cos", "sin"]
        features = self.linear("time_in", np.concatenate((np.cos(angles), np.sin(angles))))
        condition = silu(self.linear("time_out", silu(features)) + self.weights["label_embedding.weight"][label])
        x = self.patches(pixels) + self.weights["position_embedding"]
        for layer in range(config["layers"]):
            block = f"blocks.{layer}"
            parts = np.split(self.linear(f"{block}.modulation", condition), len(config["modulation_order"]))
            m = dict(zip(config["modulation_order"], parts))
            shifted = self.layer_norm(x) * (1 + m["scale1"]) + m["shift1"]
            x = x + m["gate1"] * self.image_attention(f"{block}.attention", shifted)
            shifted = self.layer_norm(x) * (1 + m["scale2"]) + m["shift2"]
            x = x + m["gate2"] * self.linear(f"{block}.down", self.act(self.linear(f"{block}.up", shifted)))
        m = dict(zip(config["final_modulation_order"], np.split(self.linear("modulation", condition), 2)))
        rows = self.linear("head", self.layer_norm(x) * (1 + m["scale"]) + m["shift"])
        patch, side = config["patch"], config["image"] // config["patch"]
        return rows.reshape(side, side, patch, patch).transpose(0, 2, 1, 3).reshape(side * patch, side * patch)


class Format(unittest.TestCase):
    def test_a_loader_by_the_readme_computes_the_same(self):
        for name, recipe in recipes.RECIPES.items():
            torch.manual_seed(3)
            task = recipe["task"]
            recipe = {**recipe, "config": {**recipe["config"], **SMALL[task]}}
            model = checkpoint.BUILDERS[task](recipe["config"])
            for parameter in model.parameters():
                torch.nn.init.normal_(parameter, std=0.3)
            with tempfile.TemporaryDirectory() as folder, mock.patch.object(checkpoint, "MODELS", Path(folder)):
                checkpoint.save_weights(name, recipe, model)
                loader, model = Loader(Path(folder) / name), checkpoint.load(name)
            with self.subTest(name), torch.no_grad():
                expected, got = self.both(task, model, loader)
                self.assertEqual(got.shape, expected.shape)
                self.assertLess(np.abs(got - expected).max(), 1e-4 * max(1.0, np.abs(expected).max()))

    def both(self, task, model, loader):
        if task == "language":
            ids = torch.randint(1, 50, (1, 80))
            return model(ids)[0][0].numpy(), loader.language(ids[0].numpy())
        pixels = np.random.default_rng(0).integers(256, size=(28, 28))
        image = torch.from_numpy(pixels.astype(np.float32) / 127.5 - 1)[None, None]
        if task == "classifier":
            return model(image)[0][0].numpy(), loader.classifier(pixels)
        label = loader.config["no_label_id"]
        return model(image, torch.tensor([0.3]), torch.tensor([label]))[0, 0].numpy(), loader.diffusion(pixels, 0.3, label)


if __name__ == "__main__":
    unittest.main()
