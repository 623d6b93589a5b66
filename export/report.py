"""The fidelity report that goes with a bundle: `fidelity.json` for programs, `fidelity.md` and a chart for people."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path

from export import charts
from export.budget import telling as budget
from export.charts import Axis
from export.fidelity import Comparison
from export.plan import Plan
from export.quantize import Format
from export.tensor_file import TensorFile

CHART = "fidelity.svg"
SOURCE = "source"
"""The variant that is the source itself, as the export reads it; it is compared with an oracle alone."""
SMALLEST, LARGEST = 1e-12, 1e12
"""Ends that the axis of errors has at least and at most."""


def write_report(folder: Path, plan: Plan, tensors: TensorFile, found: dict[str, Comparison]) -> None:
    """Write the three files; found: the comparison of each variant, by its name."""
    values = {
        variant.replace(" ", "_"): {name: value for name, value in asdict(each).items() if value}
        for variant, each in found.items()
    }
    (folder / "fidelity.json").write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
    told = "\n".join([page(plan, tensors, found), *budget.page(folder)])
    (folder / "fidelity.md").write_text(told, encoding="utf-8")
    draw(folder / CHART, found)


def write_adapters(folder: Path, found: Mapping[str, Mapping[str, Comparison]]) -> None:
    """Add to the report what a bundle lost with each of its adapters, by their names; what it has itself must be there.

    The first comparison of each is the bundle's, a second one the source's own with an oracle.
    """
    file, told = folder / "fidelity.json", folder / "fidelity.md"
    values = json.loads(file.read_text("utf-8"))
    values["adapters"] = {
        name: {variant: {key: value for key, value in asdict(one).items() if value} for variant, one in each.items()}
        for name, each in found.items()
    }
    file.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
    rows = [
        f"| {name} | {loss.tokens} | {loss.kl_mean:.4f} | {loss.kl_p99:.3f} | {loss.top1_agreement:.1%}"
        f" | {loss.perplexity:.2f} | {loss.reference_perplexity:.2f} |"
        for name, each in found.items()
        for loss in next(iter(each.values())).losses.values()
    ]
    told.write_text(
        "\n".join(
            [
                told.read_text("utf-8"),
                "With an adapter, against the source with that adapter merged into its floats:",
                "",
                "| adapter | tokens | KL mean | KL p99 | top-1 | perplexity | source's |",
                "|---|---|---|---|---|---|---|",
                *rows,
                "",
                *(line for name, each in found.items() for line in _against_oracle(each, name)),
            ]
        ),
        encoding="utf-8",
    )


def blocks(form: Format) -> str:
    """How large those of a format are, for a person."""
    return f"blocks of {form.block_size}" if form.block_size else "a step a channel"


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
        f"- {count} matrices in {form.bits} bits, {blocks(form)},"
        f" {'without' if form.is_symmetric else 'with'} zero points"
        for form, count in formats.most_common()
    ]
    return "\n".join(
        [
            f"# What {plan.name} lost",
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
            *_against_oracle(found),
            "The error of what each layer hands on, as a share of it (mean square over mean square):",
            "",
            f"![error by layer]({CHART})",
            "",
        ]
    )


def _against_oracle(found: Mapping[str, Comparison], adapter: str = "") -> list[str]:
    """What was lost against Transformers itself, where that was measured. adapter: that PEFT has put on it."""
    rows = [
        f"| {variant} | {kind} | {loss.kl_mean:.2g} | {loss.kl_p99:.2g} | {loss.top1_agreement:.1%} |"
        for variant, each in found.items()
        for kind, loss in each.oracle.items()
    ]
    if not rows:
        return []
    put_on = f" with {adapter} put on by PEFT" if adapter else ""
    return [
        f"Against Transformers' own reading of the checkpoint{put_on}, in float32;"
        f" `{SOURCE}` is the export's reading of it:",
        "",
        "| variant | text | KL mean | KL p99 | top-1 |",
        "|---|---|---|---|---|",
        *rows,
        "",
    ]


def draw(path: Path, found: dict[str, Comparison]) -> None:
    """The error after each layer, a line a variant.

    Both axes begin at zero and have an end of their own: what leather makes of one layer, of layers that err alike, or
    of what is no number, is no picture, an error, or no end of marks on an axis. Errors out of all bounds are left out.
    """
    drawn = {variant: list(drawable(each.layers)) for variant, each in found.items()}
    lines = {variant: line for variant, line in drawn.items() if line} or {"nothing could be drawn": [(0, 0.0)]}
    points = [point for line in drawn.values() for point in line]
    axes = (
        Axis("layer", 0, max((layer for layer, _ in points), default=1)),
        Axis("share of its mean square", 0, max([SMALLEST, *(error for _, error in points)])),
    )
    charts.draw(path, "Error of the residual stream after each layer", axes, lines)


def drawable(errors: list[float]) -> Iterator[tuple[int, float]]:
    """The layers whose errors fit an axis, from 1 on; NaN does not."""
    return ((layer, error) for layer, error in enumerate(errors, start=1) if 0 <= error <= LARGEST)
