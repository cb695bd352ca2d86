"""The result as Markdown: a table over all sizes, what a reader should know of it, and the verdicts."""

from __future__ import annotations

from compare import aims, latents, summary
from compare.summary import Row, Times

HEAD = ("size", "contestant", "step ms (min to max)", "ratio", "GFLOP/s", "decode ms (min to max)", "ratio", "GFLOP/s",
        "peak GiB", "latent error")
SHARED = 1.5  # load a core


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _times(times: Times | None) -> str:
    if times is None:
        return "-"
    return f"{_number(times.median)} ({_number(times.least)} to {_number(times.most)})"


def _ratio(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _rate(value: float | None) -> str:
    return "-" if value is None else _number(value)


def _error(name: str, size: dict) -> str:
    for verdict in size["agreement"]:
        if verdict["name"] == name:
            return "**" + latents.error_text(verdict) + "**" if not verdict["agrees"] else latents.error_text(verdict)
    return "-"


def _cells(row: Row, size: dict) -> list[str]:
    place = f"{size['width']}x{size['height']}"
    if row.problem is not None:
        return [place, row.name, row.problem.replace("|", "/"), *["-"] * 6, _error(row.name, size)]
    peak = "-" if row.peak_bytes is None else f"{row.peak_bytes / 2**30:.2f}"
    return [place, row.name, _times(row.step), _ratio(row.step_ratio), _rate(row.step_rate), _times(row.decode),
            _ratio(row.decode_ratio), _rate(row.decode_rate), peak, _error(row.name, size)]


def _line(cells) -> str:
    return "| " + " | ".join(cells) + " |"


def _conditions(result: dict) -> str:
    machine, versions = result["machine"], result["versions"]
    return (f"{result['model_name']} on {machine['processor']}, {result['threads']} of {machine['cores']} cores; "
            f"processes by turns, {result['rounds']} of each, {result['steps']} steps and a decode in one; "
            f"{versions['brume']}, "
            f"diffusers {versions['diffusers']}, torch {versions['torch']}.")


def _compile_lines(result: dict) -> list[str]:
    return [f"{entry['name']} took {entry['compile_seconds']:.0f} s to compile at {size['width']}x{size['height']}, "
            "not counted." for size in result["sizes"] for entry in size["contestants"]
            if entry["compile_seconds"] is not None]


def _unsettled_lines(size: dict) -> list[str]:
    found = [one for row in summary.rows_of(size) for one in summary.unsettled(row)]
    return [f"- {size['width']}x{size['height']}, UNSETTLED, measure again on a quieter machine: {', '.join(found)}"] \
        if found else []


def _shared_lines(result: dict, size: dict) -> list[str]:
    """Load that is not ours: a contestant leaves at most one thread a core behind it."""
    loads = [run.get("load_average_before", 0) for entry in size["contestants"] for run in entry["runs"]]
    cores = result["machine"]["cores"]
    return [f"- {size['width']}x{size['height']}, SHARED, other programs wanted the processor, too: load average "
            f"{max(loads):.1f} on {cores} cores"] if max(loads, default=0) > SHARED * cores else []


def _verdict_lines(size: dict) -> list[str]:
    words = {True: "met", False: "MISSED", None: "not judged"}
    return [f"- {size['width']}x{size['height']}, {verdict.what}: {words[verdict.met]} ({verdict.why})"
            for verdict in aims.verdicts(summary.rows_of(size))]


def _disagreements(size: dict) -> list[str]:
    return [f"- {size['width']}x{size['height']}, {verdict['name']}: LATENTS DIFFER ({latents.error_text(verdict)})"
            for verdict in size["agreement"] if not verdict["agrees"]]


def markdown(result: dict) -> str:
    lines = [_conditions(result), "", _line(HEAD), _line("---" for _ in HEAD)]
    for size in result["sizes"]:
        lines += [_line(_cells(row, size)) for row in summary.rows_of(size)]
    lines += ["", "A step is a UNet call of two rows; times are medians. A ratio is to the fastest diffusers: of fp32 "
              "for fp32, of all for the rest. Latent errors are the largest, in standard deviations, against diffusers "
              "in fp32. brume's memory holds its text encoder, diffusers' does not.", *_compile_lines(result), ""]
    for size in result["sizes"]:
        lines += _disagreements(size) + _shared_lines(result, size) + _unsettled_lines(size) + _verdict_lines(size)
    return "\n".join(lines) + "\n"
