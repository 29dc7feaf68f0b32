"""One recipe a checkpoint: what is trained, from what, for how long. All of a run follows from its recipe."""

LANGUAGE = {
    "vocabulary": 2048,
    "width": 192,
    "layers": 4,
    "heads": 8,
    "kv_heads": 4,
    "hidden": 448,
    "context": 512,
    "dropout": 0.0,
    "embedding_scale": 1,
}
# All have about the parameters of the softmax model: what a mixer's projections need more, the channel part has less.
SOFTMAX = {**LANGUAGE, "mechanism": "softmax", "rope_theta": 10_000.0}
LIGHTNING = {**LANGUAGE, "mechanism": "lightning", "kv_heads": 8, "hidden": 320, "lrpe_layers": [0]}
LIGHTNING["embedding_scale"] = 192**0.5
FLOW = {**LANGUAGE, "mechanism": "flow", "kv_heads": 8, "hidden": 384, "clamp": 1.0}
MOH = {**SOFTMAX, "mechanism": "moh", "shared_heads": 2}

IMAGE = {"image": 28, "patch": 4, "classes": 10, "width": 128, "layers": 4, "heads": 4, "hidden": 512, "dropout": 0.0}

# 342 steps are an epoch of the texts, 468 one of Fashion-MNIST.
LANGUAGE_RUN = {"task": "language", "batch": 8, "steps": 2052, "learning_rate": 4e-3, "warmup": 100, "weight_decay": 0.1}
CONTINUED_RUN = {**LANGUAGE_RUN, "from": "lm-softmax", "steps": 684, "learning_rate": 1e-3, "warmup": 50}
IMAGE_RUN = {"task": "classifier", "batch": 128, "steps": 3276, "learning_rate": 3e-3, "warmup": 100, "weight_decay": 0.05}
DIFFUSION_RUN = {"task": "diffusion", "batch": 128, "steps": 3744, "learning_rate": 2e-3, "warmup": 100}
DIFFUSION_RUN.update(weight_decay=0.01, label_dropout=0.1, ema=0.999)

COMMON = {"seed": 1, "ema": 0, "from": None}

RECIPES = {
    name: {**COMMON, **run, "config": config}
    for name, run, config in [
        ("lm-softmax", LANGUAGE_RUN, SOFTMAX),
        ("lm-lightning", LANGUAGE_RUN, LIGHTNING),
        ("lm-flow", LANGUAGE_RUN, FLOW),
        ("lm-moh-75", CONTINUED_RUN, {**MOH, "routed_topk": 4}),
        ("lm-moh-50", CONTINUED_RUN, {**MOH, "routed_topk": 2}),
        ("image-softmax", IMAGE_RUN, {**IMAGE, "mechanism": "softmax"}),
        ("image-agent", IMAGE_RUN, {**IMAGE, "mechanism": "agent", "agents": 9}),
        ("image-flow", IMAGE_RUN, {**IMAGE, "mechanism": "flow", "clamp": 1.0}),
        ("image-moh", IMAGE_RUN, {**IMAGE, "mechanism": "moh", "heads": 8, "shared_heads": 2, "routed_topk": 4}),
        ("dit", DIFFUSION_RUN, {**IMAGE, "mechanism": "softmax", "dropout": 0.0}),
    ]
}

# Never exported: what the MoH models are without gates, which says what the steps alone are worth.
CONTROLS = {"lm-softmax-continued": {**COMMON, **CONTINUED_RUN, "config": SOFTMAX}}
ALL = {**RECIPES, **CONTROLS}

# Three seeds at a short budget: is the difference between two mechanisms more than noise?
SEEDS = [1, 2, 3]
SHORT_STEPS = {"language": 76, "classifier": 78}


def find(name):
    """The recipe of a checkpoint, or of `CHECKPOINT@SEED`, its short run with another seed."""
    base, _, seed = name.partition("@")
    recipe = ALL[base]
    if not seed:
        return recipe
    return {**recipe, "seed": int(seed), "steps": SHORT_STEPS[recipe["task"]], "warmup": 30}


def short_names():
    return [f"{name}@{seed}" for seed in SEEDS for name, recipe in ALL.items() if recipe["task"] in SHORT_STEPS]
