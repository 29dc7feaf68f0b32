"""Why a model is where it is, for docs/checkpoints.md; figures stay in training.json. A missed aim needs a note."""

NOTES = {
    "lm-moh-75": (
        "stays behind the model that it continues. Its watched figures start behind, as one would expect of heads that are "
        "gated all at once, and come down until the end without reaching that model's. It ends level with lm-moh-50, so how "
        "many heads are on is not what holds it back; that the learning rate is raised again for a third of the steps is the "
        "likelier reason, and the control below is there to tell."
    ),
    "lm-moh-50": (
        "starts further behind than lm-moh-75, with fewer heads on, and catches up with it; what is left of the distance to "
        "lm-softmax is common to both."
    ),
}
