"""The result as Markdown: the figures and their aims, every command and how it ended, what went wrong."""

from __future__ import annotations

HEAD = ("figure", "aim", "brume", "", "diffusers, eager", "times as fast", "diffusers, compiled", "times as fast")
STAGE_HEAD = ("stage", "command", "status", "seconds", "result")


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _line(cells) -> str:
    return "| " + " | ".join(str(cell).replace("|", "/").replace("\n", " ") for cell in cells) + " |"


def _aim(row: dict) -> str:
    if row["aim"] is None:
        return "-"
    return f"{'at most' if row['less_is_better'] else 'at least'} {row['aim']:g} {row['unit']}"


def _ratio(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _figure(row: dict) -> str:
    verdict = {True: "met", False: "MISSED", None: "" if row["aim"] is None else "not measured"}[row["met"]]
    theirs, faster = row["diffusers"], row["times_as_fast"]
    return _line((f"{row['what']}, {row['unit']}", _aim(row), _number(row["brume"]), verdict,
                  _number(theirs["eager"]), _ratio(faster["eager"]), _number(theirs["compile"]),
                  _ratio(faster["compile"])))


def _card(gpu: dict) -> str:
    return (f"{gpu['name']}, driver {gpu['driver_version']}, {_number(gpu['memory.total'])} MiB "
            f"({_number(gpu['memory.used'])} in use before), clocks {_number(gpu['clocks.sm'])} MHz of "
            f"{_number(gpu['clocks.max.sm'])} and memory {_number(gpu['clocks.mem'])} MHz of "
            f"{_number(gpu['clocks.max.mem'])} before the run, power limit {_number(gpu['power.limit'])} W.")


def _conditions(result: dict) -> list[str]:
    versions = result["versions"]
    return [_card(result["gpu"]),
            f"{versions['brume'] or 'no brume'}; torch {versions['torch'] or 'none'}, diffusers "
            f"{versions['diffusers'] or 'none'}, compiled by {result['compile_mode']}; fp16, random weights. "
            f"{result['seconds']:.0f} s of {result['budget_seconds']:g}."]


def _commands(entry: dict) -> list[str]:
    lines = [_line((entry["name"], one["name"], one["status"], f"{one['seconds']:.1f} of {one['limit_seconds']:.0f}",
                    one["line"] or one["problem"] or "")) for one in entry["commands"]]
    return lines or [_line((entry["name"], "-", entry["status"], "-", entry["why"] or "not begun"))]


def _after(entry: dict) -> str | None:
    now = entry.get("gpu_after")
    if now is None:
        return None
    return (f"{entry['name']}: {_number(now['clocks.sm'])} MHz, {_number(now['power.draw'])} W, "
            f"{_number(now['temperature.gpu'])} degrees")


def _problems(result: dict) -> list[str]:
    return [f"- {entry['name']}, {one['name']}: {one['status']}: {one['problem']}" for entry in result["stages"]
            for one in entry["commands"] if one["problem"] is not None]


def _first(results: list[dict], index: int) -> dict:
    """A figure of several results: brume's and each of diffusers' from the first that has it, the ratio from a run
    that has both."""
    rows = [result["figures"][index] for result in results]

    def first(values):
        return next((value for value in values if value is not None), None)

    def first_of(part: str, mode: str):
        return first(row[part][mode] for row in rows)

    return {**rows[0], "brume": first(row["brume"] for row in rows), "met": first(row["met"] for row in rows),
            **{part: {mode: first_of(part, mode) for mode in ("eager", "compile")}
               for part in ("diffusers", "times_as_fast")}}


def joined(results: list[dict]) -> str:
    """The figures of results of one GPU, as a table."""
    rows = [_first(results, index) for index in range(len(results[0]["figures"]))]
    return "\n".join([_line(HEAD), _line("---" for _ in HEAD), *map(_figure, rows)])


def summary(result: dict) -> str:
    """One line about all stages and aims."""
    verdicts = [row["met"] for row in result["figures"] if row["aim"] is not None]
    return (("All stages passed: " if result["passed"] else "NOT ALL STAGES PASSED: ")
            + ", ".join(f"{entry['name']} {entry['status']}" for entry in result["stages"])
            + f"; {verdicts.count(True)} of {len(verdicts)} aims met, {verdicts.count(False)} missed, "
              f"{verdicts.count(None)} not measured")


def markdown(result: dict) -> str:
    stages = result["stages"]
    lines = [*_conditions(result), "", _line(HEAD), _line("---" for _ in HEAD), *map(_figure, result["figures"]), "",
             _line(STAGE_HEAD), _line("---" for _ in STAGE_HEAD)]
    for entry in stages:
        lines += _commands(entry)
    after = [text for entry in stages if (text := _after(entry)) is not None]
    if after:
        lines += ["", "Just after each stage: " + "; ".join(after) + "."]
    if problems := _problems(result):
        lines += ["", *problems]
    lines += ["", summary(result), "", "```sh",
              *(one["command"] for entry in stages for one in entry["commands"]), "```"]
    return "\n".join(lines) + "\n"
