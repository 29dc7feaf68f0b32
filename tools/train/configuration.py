"""
config.json of an exported checkpoint: the recipe's sizes, and beside them all that a loader needs besides the weights. Names
are those of Hugging Face's configurations where they have one; README.md explains every key. Constants come from the modules
that compute with them.
"""

from bpe import BEGIN_ID
from image_data import CLASSES, SCALE
from mechanisms import agent, flow, lightning, moh
from models import classifier, diffusion, language

# What a recipe's config holds though no model of that kind reads it.
UNREAD = {"lightning": {"kv_heads"}, "flow": {"kv_heads"}, "diffusion": {"dropout"}}


def describe(recipe):
    """What config.json holds for a recipe."""
    config, task = recipe["config"], recipe["task"]
    unread = UNREAD.get(task, set()) | (UNREAD.get(config["mechanism"], set()) if task == "language" else set())
    sizes = {key: value for key, value in config.items() if key not in unread}
    common = {"torch_dtype": "float16", "head_dim": config["width"] // config["heads"]}
    task_keys = {"language": language_keys, "classifier": classifier_keys, "diffusion": diffusion_keys}[task](config)
    return {"task": task, **sizes, **common, **task_keys, **mechanism_keys(config, task)}


def language_keys(config):
    """Norms, activations and positions of a language model."""
    plain = config["mechanism"] == "lightning"
    keys = {
        "bos_token_id": BEGIN_ID,
        "tie_word_embeddings": True,
        "norm": "srmsnorm" if plain else "rmsnorm",
        "rms_norm_eps": lightning.EPS if plain else language.NORM_EPS,
        "hidden_act": "linear" if plain else "silu",
        "mlp_order": ["gate", "value"],
        "mlp_bias": False,
    }
    if plain:
        return {**keys, "position_embedding_type": "lrpe", "lrpe_base": lightning.LRPE_BASE}
    if config["mechanism"] == "flow":
        scale = config["width"] ** -0.5
        sinusoids = {"sinusoid_base": language.SINUSOID_BASE, "sinusoid_scale": scale, "sinusoid_order": ["sin", "cos"]}
        return {**keys, "position_embedding_type": "sinusoidal", **sinusoids}
    return {**keys, "position_embedding_type": "rope", "rope_interleave": False}


def image_keys():
    return {
        "num_channels": 1,
        "rescale_factor": 1 / (2 * SCALE),
        "image_mean": [0.5],
        "image_std": [0.5],
        "layer_norm_eps": classifier.NORM_EPS,
        "hidden_act": "gelu",
        "mlp_bias": True,
        "position_embedding_type": "absolute",
        "id2label": {str(index): name for index, name in enumerate(CLASSES)},
    }


def classifier_keys(config):
    return {**image_keys(), "class_token": "first", "pooler": "class_token"}


def diffusion_keys(config):
    return {
        **image_keys(),
        "class_token": None,
        "no_label_id": config["classes"],
        "time_scale": diffusion.TIME_SCALE,
        "time_base": diffusion.TIME_BASE,
        "time_order": ["cos", "sin"],
        "modulation_order": ["shift1", "scale1", "gate1", "shift2", "scale2", "gate2"],
        "final_modulation_order": ["shift", "scale"],
        "predicts": "image - noise",
        "time_of_noise": 0,
        "time_of_image": 1,
        "sampler": {"method": "euler", "steps": diffusion.STEPS, "guidance_scale": diffusion.GUIDANCE},
    }


def mechanism_keys(config, task):
    """The mixer: its projection, and what its mechanism computes."""
    mechanism, causal = config["mechanism"], task == "language"
    bias = not causal or mechanism == "flow"
    order = ["q", "k", "v", "u"] if mechanism == "lightning" else ["q", "k", "v"]
    keys = {"is_causal": causal, "attention_bias": bias, "projection_order": order}
    if mechanism == "lightning":
        factors = [lightning.layer_factor(layer, config["layers"]) for layer in range(config["layers"])]
        slopes = [[factor * slope for slope in lightning.slope_list(config["heads"])] for factor in factors]
        return {**keys, "qk_act": "silu", "scaling": 1, "slopes": slopes, "output_norm": "srmsnorm"}
    if mechanism == "flow":
        return {**keys, "feature_map": "sigmoid", "flow_variant": "core", "flow_eps": flow.EPS}
    keys["scaling"] = (config["width"] // config["heads"]) ** -0.5
    if mechanism == "moh":
        return {**keys, "router": "two-stage", "router_bias": False, "router_aux_loss_coef": moh.BALANCE}
    if mechanism == "agent":
        pooling = {"agent_pooling": "adaptive_average", "agent_bias_grid": agent.BIAS_GRID, "agent_bias_resize": "bilinear"}
        return {**keys, **pooling, "conv_kernel": agent.KERNEL}
    return keys
