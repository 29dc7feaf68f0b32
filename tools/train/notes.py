"""Why a model is where it is, for docs/checkpoints.md; figures stay in training.json. A missed aim needs a note."""

NOTES = {
    "lm-moh-75": (
        "stays behind the model that it continues. Its watched figures start behind, as one would expect of heads that are "
        "gated all at once, and come down until the end without reaching that model's. It ends level with lm-moh-50, so how "
        "many heads are on is not what holds it back. The control below says what does, after a short run: softmax continued as it is "
        "is itself behind lm-softmax, which has 1.5703 on these tokens, since the learning rate is raised again; gates cost about "
        "as much once more."
    ),
    "lm-moh-50": (
        "starts further behind than lm-moh-75, with fewer heads on, and catches up with it; what is left of the distance to "
        "lm-softmax is common to both."
    ),
    "lm-lightning": (
        "is behind from the eighth token on, and by hardly more at the 500th (`compare.py`): what its states forget is not what it "
        "lacks. Of tokens that come behind the same token as before it says as much as lm-softmax; it is worse at those that its "
        "window does not give away. Its mixers have more projections (gates, as many key as query heads), and for as many "
        "parameters its channel part has 320 hidden channels where lm-softmax has 448; heads of 24 channels with fixed decay look "
        "less sharply than a softmax. The learning rate is the one that served lm-softmax, not tuned for it."
    ),
    "lm-flow": (
        "is behind everywhere, by more the further into a window, and least where a token follows the same one as before "
        "(`compare.py`). A causal flow at a token is its share of what all earlier tokens together take in: with each of them, "
        "any one counts for less, and nothing in it makes near ones count for more: positions are sinusoids beside the embeddings."
    ),
}
