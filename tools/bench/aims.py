"""What the project asks of its kernels on an H100 or H200, and whether a row of the result reaches it.

At least as fast as the fastest other on every shape; 1.3 times as fast at head_dim 40 and at 77 keys; group norms of
maps over 50 MB at 80 % of the bandwidth of a copy in the same run.
"""

from bench import shapes

LARGE = 50e6  # bytes of a map
SHARE = 0.8  # of the copy bandwidth
CAPABILITY = 90


def needed_ratio(shape):
    hard = isinstance(shape, shapes.Attention) and (shape.head_dim == 40 or shape.keys == shapes.WORDS)
    return 1.3 if hard else 1.0


def needs_share(shape):
    return isinstance(shape, shapes.GroupNorm) and 2 * shape.elements() > LARGE


def aim(shape, row, copy_gigabytes):
    """met is None where every other refused, and nothing else is asked."""
    times = row["microseconds"]
    others = [time for name, time in times.items() if name != "ours"]
    ratio = min(others) / times["ours"] if others else None
    asked = [] if ratio is None else [ratio >= needed_ratio(shape)]
    result = {"ratio": ratio, "needed_ratio": needed_ratio(shape)}
    if isinstance(shape, shapes.GroupNorm):
        result["share_of_copy"] = row["gigabytes_a_second"]["ours"] / copy_gigabytes
        result["needed_share_of_copy"] = SHARE if needs_share(shape) else None
    if needs_share(shape):
        asked.append(result["share_of_copy"] >= SHARE)
    return {**result, "met": all(asked) if asked else None}


def summary(result):
    """One line about all rows."""
    rows = [row for family in ("attention", "group_norm", "small") for row in result[family]]
    verdicts = [row["aim"]["met"] for row in rows]
    line = f"{verdicts.count(True)} of {len(rows) - verdicts.count(None)} aims met"
    if None in verdicts:
        line += f", {verdicts.count(None)} with nothing to compare"
    missed = [f"{row['model']} {row['label']}" for row in rows if row["aim"]["met"] is False]
    if missed:
        line += "; missed: " + ", ".join(missed[:5]) + (f" and {len(missed) - 5} more" if len(missed) > 5 else "")
    if result["capability"] != CAPABILITY:
        line += " (the aims are for an H100 or H200)"
    return line
