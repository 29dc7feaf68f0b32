"""Writes docs/checkpoints.md from the training.json of every exported checkpoint: no figure is typed by hand."""

import textwrap

import checkpoint
import recipes
import seeds
from notes import NOTES
from paths import MODELS, REPOSITORY, replace

PAGE = REPOSITORY / "docs" / "checkpoints.md"
INTRODUCTION = """\
# Checkpoints

Small models that were trained for this repository, one per mechanism. Weights are in `demo/public/models/NAME`, what they
compute on a small input in `test/fixtures/NAME.safetensors`, and their format and how to train them again in
[tools/train](../tools/train/README.md). This page is written by `tools/train/report.py` from each model's `training.json`;
figures are of the exported f16 weights.
"""
WITHIN = 3.0  # % of bits per byte that a model of AIMING may be behind its softmax twin
AIMING = {"lm-lightning", "lm-moh-75"}
ACCURACY = 0.89
RECOGNISED = 0.8


def written(task):
    """{name: training.json} of the exported checkpoints, in the order of the recipes."""
    names = [name for name, recipe in recipes.RECIPES.items() if recipe["task"] == task]
    paths = {name: MODELS / name / "training.json" for name in names}
    return {name: checkpoint.read_json(path) for name, path in paths.items() if path.exists()}


def table(header, rows):
    if not rows:
        return "None is trained yet.\n"
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines) + "\n"


def paragraph(*sentences):
    return textwrap.fill(" ".join(sentences), 125, break_long_words=False, break_on_hyphens=False) + "\n\n"


def verdict(reached):
    return "yes" if reached else "no"


def steps(model):
    """A run that continues another one has that one's steps behind it."""
    origin = model["recipe"]["from"]
    return f"{recipes.find(origin)['steps']} + {model['steps']}" if origin else str(model["steps"])


def notes(models, missed):
    """Why a model is where it is; one that misses an aim without a known reason says so."""
    texts = [f"{name} {NOTES[name]}" for name in models if name in NOTES]
    texts += [f"{name} misses its aim, and why is not known." for name in models if name in missed and name not in NOTES]
    return "".join("\n" + paragraph(text).rstrip("\n") + "\n" for text in texts)


def short_table(names, twin, show, unit):
    """Seeds at the short budget: figures, mean and spread, and whether they differ from the twin's by more than noise."""
    runs, rows = seeds.figures(), []
    for name in names:
        values = runs.get(name, [])
        if not values:
            continue
        mean, deviation = seeds.spread(values)
        recipe = recipes.find(f"{name}@1")
        budget = steps({"recipe": recipe, "steps": recipe["steps"]})
        beyond = seeds.beyond_noise(values, runs.get(twin, []))
        noise = {True: "yes", False: "no", None: "needs three seeds of both"}[beyond]
        difference = show(mean - seeds.spread(runs[twin])[0], sign="+") + unit if twin in runs else "-"
        own = name == twin
        middle = f"{show(mean)} ± {show(deviation)}" if len(values) > 1 else show(mean)
        row = [name, budget, ", ".join(show(value) for value in values), middle]
        rows.append([*row, "-" if own else difference, "-" if own else noise])
    each = "seeds " + ", ".join(map(str, recipes.SEEDS))
    header = ["model", "steps", each, "mean ± deviation", f"to {twin}", "more than noise"]
    return table(header, rows) if rows else "Not run yet.\n"


def decimals(value, sign=""):
    return f"{value:{sign}.4f}"


def percent(value, sign=""):
    return f"{100 * value:{sign}.2f}"


def language():
    models = written("language")
    text = "## Language models\n\n"
    if not models:
        return text + table([], [])
    first = next(iter(models.values()))
    held_out = first["data"]["held_out"]
    text += paragraph(
        f"Bits per UTF-8 byte on {held_out['title']}, which no model was trained on: all of its {first['figures']['tokens']:,} tokens,",
        f"in windows of {first['recipe']['config']['context']} that open with the begin token and move by 256, each token predicted once.",
        f"Bytes are those of the text with each paragraph's lines joined, {held_out['bytes']:,}; with its line breaks it has",
        f"{held_out['bytes_with_line_breaks']:,}. The first 20,000 tokens were watched during training (`watched` in training.json), but",
        "runs end at a fixed step, and no step was picked by it.",
        f"Aim: lightning and MoH with 75 % of the heads within {WITHIN:.0f} % of softmax; flow and MoH with 50 % have none.",
    )
    bits = {name: model["figures"]["bits_per_byte"] for name, model in models.items()}
    scratch = {name: model for name, model in models.items() if model["recipe"]["from"] is None}
    continued = {name: model for name, model in models.items() if name not in scratch}
    missed = {name for name in AIMING & set(bits) if behind(bits, name, "lm-softmax") > WITHIN}
    header = ["model", "parameters", "bits per byte", "to lm-softmax", f"within {WITHIN:.0f} %", "steps", "minutes"]
    text += "### From nothing\n\n" + table(header, [language_row(name, model, bits) for name, model in scratch.items()])
    if continued:
        text += "\n### Continued from lm-softmax\n\n"
        text += paragraph(
            "These have seen more steps than lm-softmax, so that the difference to it is not that of the mechanism alone;",
            "the control below, softmax continued in short runs as they are, tells the two apart.",
        )
        text += table(header, [language_row(name, model, bits) for name, model in continued.items()])
    text += notes(models, missed)
    text += "\n### Noise\n\n" + noise("language", " bits per byte", decimals)
    text += sinks(models)
    for name, model in models.items():
        sample = model["figures"]["sample"]["text"].replace("\n", " ")
        text += f"\n{name} writes, at temperature {model['figures']['sample']['temperature']}:\n\n> {sample}\n"
    return text


def behind(figures, name, twin):
    """In percent of the twin's figure; 0 without a twin."""
    return 100 * (figures[name] / figures[twin] - 1) if twin in figures else 0.0


def language_row(name, model, bits):
    difference = behind(bits, name, "lm-softmax")
    within = verdict(difference <= WITHIN) if name in AIMING else "-"
    shown = f"{difference:+.1f} %" if name != "lm-softmax" else "-"
    return [name, f"{model['parameters']:,}", f"{bits[name]:.4f}", shown, within, steps(model), model["wall_minutes"]]


def noise(task, unit, show):
    """The tables of short runs: from nothing against softmax, continued against softmax continued alike."""
    names = [name for name, recipe in recipes.ALL.items() if recipe["task"] == task]
    scratch = [name for name in names if recipes.find(name)["from"] is None]
    continued = sorted((name for name in names if name not in scratch), key=lambda name: name not in recipes.CONTROLS)
    text = paragraph(
        "Short runs of three seeds, not exported, their weights rounded to f16. A difference of means is more than noise when it",
        f"exceeds {seeds.CRITICAL} standard errors (Student's t at 5 %). It says who is ahead after so few steps, not at the end.",
        *([f"Bits per byte are those of the book's first {seeds.TOKENS:,} tokens."] if task == "language" else []),
    )
    text += short_table(scratch, scratch[0], show, unit)
    if continued:
        text += f"\nContinued from the exported {recipes.find(continued[0])['from']}, as is the control:\n\n"
        text += short_table(continued, continued[0], show, unit)
    return text


def sinks(models):
    found = models.get("lm-softmax", {}).get("figures", {})
    if "sinks" not in found:
        return ""
    sink, queries = found["sinks"], found["sinking_queries"]
    heads = [f"head {head}" for head in range(len(sink["m0"][0]))]
    gated = {name: model for name, model in models.items() if "sinks" in model["figures"] and name != "lm-softmax"}
    others = [f"{name} {sinks_of(model)}" for name, model in gated.items()]
    likewise = f" Likewise, before gates: {', '.join(others)}." if others else ""
    text = "\n### Attention sinks\n\n"
    text += paragraph(
        f"lm-softmax has {sinks_of(models['lm-softmax'])}: heads whose m₀ exceeds {sink['threshold']}, where m₀ is the attention to the",
        f"begin token, averaged over all queries of {sink['windows']} windows of {sink['tokens']} tokens of the held-out book",
        "(Gu et al., arXiv 2410.10781).",
        f"A head that looks at all it sees alike has an m₀ of {sink['uniform']:.3f}.{likewise} m₀ of lm-softmax:",
    )
    text += table(["layer", *heads], [[layer, *(f"{mean:.3f}" for mean in row)] for layer, row in enumerate(sink["m0"])])
    text += "\n" + paragraph(
        f"The share of single queries that give the begin token more than {queries['threshold']} of their attention, in",
        f"{queries['windows']} windows of {queries['tokens']} tokens without their first {queries['skip']} queries. This is another statistic",
        "than m₀, and no sink rate; in windows so long there is more to look at:",
    )
    shares = [[layer, *(f"{100 * share:.0f} %" for share in row)] for layer, row in enumerate(queries["shares"])]
    return text + table(["layer", *heads], shares)


def sinks_of(model):
    sink = model["figures"]["sinks"]
    return f"{sink['sink_heads']} sink heads of {sink['heads']} (sink rate {100 * sink['rate']:.1f} %)"


def classifiers():
    models = written("classifier")
    right = {name: model["figures"]["test_accuracy"] for name, model in models.items()}
    rows = []
    for name, model in models.items():
        config = model["recipe"]["config"]
        heads = f"{config['heads']} of {config['width'] // config['heads']}"
        difference = right[name] - right.get("image-softmax", right[name])
        shown = f"{100 * difference:+.2f} points" if name != "image-softmax" else "-"
        row = [name, f"{model['parameters']:,}", heads, f"{100 * right[name]:.2f} %", verdict(right[name] >= ACCURACY)]
        rows.append([*row, shown, steps(model), model["wall_minutes"]])
    aim = f"{100 * ACCURACY:.0f} % or more"
    header = ["model", "parameters", "heads", "test accuracy", aim, "to image-softmax", "steps", "minutes"]
    text = "## Image classifiers\n\n" + paragraph(
        "Accuracy on all 10,000 test images of Fashion-MNIST. It was watched during training (`watched` in training.json), but runs",
        "end at a fixed step, and no step was picked by it.",
        "image-moh has 8 heads of 16 channels where the others have 4 of 32, so that there are heads to choose from: it differs from",
        "its twin by more than its gates.",
    )
    missed = {name for name, share in right.items() if share < ACCURACY}
    return text + table(header, rows) + notes(models, missed) + "\n### Noise\n\n" + noise("classifier", " points", percent)


def diffusion():
    models, rows = written("diffusion"), []
    for name, model in models.items():
        figures = model["figures"]
        recognised = f"{100 * figures['recognised']:.1f} % of {figures['samples']}"
        setting = f"{figures['steps']} steps, guidance {figures['guidance']}"
        reached = verdict(figures["recognised"] >= RECOGNISED)
        rows.append([name, f"{model['parameters']:,}", recognised, reached, setting, model["steps"], model["wall_minutes"]])
    aim = f"{100 * RECOGNISED:.0f} % or more"
    header = ["model", "parameters", "recognised by image-softmax", aim, "sampler", "steps", "minutes"]
    missed = {name for name, model in models.items() if model["figures"]["recognised"] < RECOGNISED}
    text = "## Diffusion transformer\n\nClass-conditional, flow matching, on Fashion-MNIST.\n\n"
    return text + table(header, rows) + notes(models, missed)


def page():
    return "\n".join([INTRODUCTION, language(), classifiers(), diffusion()])


def write():
    text = page()
    replace(PAGE, lambda partial: partial.write_text(text, encoding="utf-8"))


if __name__ == "__main__":
    write()
