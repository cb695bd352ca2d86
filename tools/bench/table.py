"""The result as Markdown."""

from bench import aims

WORDS = {True: "met", False: "missed", None: ""}


def line(cells):
    return "| " + " | ".join(cells) + " |"


def time_cells(row, names, rates, unit):
    """Microseconds with a rate; a name that was not tried has an empty cell."""
    def cell(name):
        if name in row["microseconds"]:
            return f"{row['microseconds'][name]:.1f} ({rates[name]:.0f} {unit})"
        return "refused" if name in row["refused"] else ""
    return [cell(name) for name in names]


def verdict_cells(row):
    aim, bound = row["aim"], row["bound"]
    ratio = "" if aim["ratio"] is None else f"{aim['ratio']:.2f} / {aim['needed_ratio']:.1f}"
    return [f"{bound['microseconds']:.1f} {bound['binds']}", f"{100 * row['share_of_bound']:.0f} %", ratio,
            WORDS[aim["met"]]]


VERDICT = ["bound", "share", "ratio / aim", "aim"]


def table_of(heads, rows):
    return [line(heads), line(["---"] * len(heads)), *(line(row) for row in rows), ""]


def attention(rows):
    names = ["ours", "flash", "cudnn", "efficient", "math"]
    return ["## Attention", "", *table_of(
        ["model", "shape", *names, "ours, GB/s", *VERDICT, "plan"],
        [[row["model"], row["label"], *time_cells(row, names, row["teraflops"], "TF/s"),
          f"{row['gigabytes_a_second']['ours']:.0f}", *verdict_cells(row), row["plan"]] for row in rows])]


def group_norm(rows):
    def copy(aim):
        asked = f" / {100 * aim['needed_share_of_copy']:.0f} %" if aim["needed_share_of_copy"] else ""
        return f"{100 * aim['share_of_copy']:.0f} %{asked}"

    names = ["ours", "aten"]
    return ["## Group norm", "", *table_of(
        ["model", "shape", *names, "of a copy / aim", *VERDICT, "plan"],
        [[row["model"], row["label"], *time_cells(row, names, row["gigabytes_a_second"], "GB/s"), copy(row["aim"]),
          *verdict_cells(row), row["plan"]] for row in rows])]


def small(rows):
    names = ["ours", "pytorch"]
    return ["## Small kernels", "", *table_of(
        ["model", "shape", *names, *VERDICT],
        [[row["model"], row["label"], *time_cells(row, names, row["gigabytes_a_second"], "GB/s"), *verdict_cells(row)]
         for row in rows])]


def markdown(result):
    peaks = result["peaks"]
    head = [f"# Kernels on {result['gpu']}", "",
            f"torch {result['torch']}, compute capability {result['capability'] / 10}, {result['dtype']}, median of "
            f"{result['rounds']}, L2 flushed before each; copies at {result['copy_gigabytes_a_second']:.0f} GB/s, the "
            f"smallest kernel takes {result['launch_microseconds']:.1f} us.", "",
            f"Bounds of {peaks['products'] / 1e12:.0f} TFLOP/s, {peaks['specials'] / 1e12:.2f} T exponentials/s and "
            f"{peaks['bandwidth'] / 1e9:.0f} GB/s ({peaks['source']}).", "",
            "Times in microseconds; bytes count each operand once. bound: the least time, and what binds; share: bound "
            "over ours; ratio: the fastest other over ours.", ""]
    body = [*attention(result["attention"]), *group_norm(result["group_norm"]), *small(result["small"])]
    return "\n".join([*head, *body, aims.summary(result)]) + "\n"
