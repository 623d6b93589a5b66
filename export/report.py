"""The fidelity report that goes with a bundle: `fidelity.json` for programs, `fidelity.md` and a chart for people."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict
from pathlib import Path

from export.fidelity import Comparison
from export.plan import Plan
from export.tensor_file import TensorFile

CHART = "fidelity.svg"


def write_report(folder: Path, plan: Plan, tensors: TensorFile, found: dict[str, Comparison]) -> None:
    """Write the three files; found: the comparison of each variant, by its name."""
    values = {variant.replace(" ", "_"): asdict(each) for variant, each in found.items()}
    (folder / "fidelity.json").write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
    (folder / "fidelity.md").write_text(page(plan, tensors, found), encoding="utf-8")
    draw(folder / CHART, found)


def page(plan: Plan, tensors: TensorFile, found: dict[str, Comparison]) -> str:
    """The report as Markdown."""
    rows = [
        f"| {variant} | {kind} | {loss.tokens} | {loss.kl_mean:.4f} | {loss.kl_p99:.3f} | {loss.top1_agreement:.1%}"
        f" | {loss.perplexity:.2f} | {loss.reference_perplexity:.2f} |"
        for variant, each in found.items()
        for kind, loss in each.losses.items()
    ]
    formats = Counter(each.format for each in tensors.matrices.values())
    stored = [
        f"- {count} matrices in {form.bits} bits, blocks of {form.block_size},"
        f" {'without' if form.is_symmetric else 'with'} zero points"
        for form, count in formats.most_common()
    ]
    return "\n".join(
        [
            f"# What {plan.recipe.name or plan.source.path.stem} lost",
            "",
            f"{tensors.size / 1e6:.1f} MB of weights, rounded by `{plan.recipe.method}`:",
            "",
            *stored,
            "",
            "KL divergence is from the source's next-token distribution to the bundle's, in nats a token. Top-1 is",
            "the share of tokens whose likeliest successor is the same. On `chat` the text is the bundle's own greedy",
            "answer, so top-1 there is how many of its tokens the source would have said as well. On `picture` it is a",
            "piece of text behind a picture that the model sees.",
            "",
            "| variant | text | tokens | KL mean | KL p99 | top-1 | perplexity | source's |",
            "|---|---|---|---|---|---|---|---|",
            *rows,
            "",
            "The error of what each layer hands on, as a share of it (mean square over mean square):",
            "",
            f"![error by layer]({CHART})",
            "",
        ]
    )


def draw(path: Path, found: dict[str, Comparison]) -> None:
    """The error after each layer, a line a variant."""
    import leather

    chart = leather.Chart("Error of the residual stream after each layer")
    for variant, each in found.items():
        chart.add_line(list(enumerate(each.layers, start=1)), name=variant)
    chart.add_x_axis(name="layer")
    chart.add_y_axis(name="share of its mean square")
    chart.to_svg(str(path))
