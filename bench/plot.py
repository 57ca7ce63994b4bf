#!/usr/bin/env python3
"""Tables and a plot of what the benchmarks found

    bench/plot.py FILE.json... [--filter REGEX] [--plot OUT.svg] [--series REGEX]

reads what mirnet_bench_kernels and mirnet_bench_network wrote with --benchmark_out=FILE.json (or
--benchmark_format=json) and prints Markdown tables of it. Of repetitions it takes the medians.

    --filter REGEX   only benchmarks with such names
    --plot OUT.svg   draws the time of networks against the size of the image, both axes logarithmic, each series with
                     the straight line of slope 1 in its middle: a cost in proportion to the pixels
    --series REGEX   which of them are drawn; by default those of the first instruction set in the files, fp32, auto, on
                     one thread

Needs Python 3.9 or newer and nothing else.
"""
import argparse
import html
import json
import math
import pathlib
import re
import statistics
import sys

KERNEL = re.compile(r"(?P<isa>\w+)/(?P<precision>fp32|bf16)/(?P<algorithm>auto|direct)/(?P<kernel>\w+)/"
                    r"(?P<channels_in>\d+)->(?P<channels_out>\d+)/(?P<size>\d+)x\d+$")
NETWORK = re.compile(r"(?P<isa>\w+)/(?P<precision>fp32|bf16)/(?P<algorithm>auto|direct)/(?P<network>\w+)/"
                     r"(?P<size>\d+)x\d+/threads:(?P<threads>\d+)")
SECONDS = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0}


def read(paths, wanted):
    """The medians of all benchmarks: a list of dictionaries with a name, seconds and counters."""
    runs = {}
    for path in paths:
        try:
            entries = json.loads(path.read_text())["benchmarks"]
        except OSError as error:
            sys.exit(f"{path} cannot be read: {error.strerror}")
        except (ValueError, KeyError, TypeError):
            sys.exit(f"{path} is not the JSON of Google Benchmark")
        for entry in entries:
            # Aggregates are made here, of all files together.
            measured = entry.get("run_type") == "iteration" and not entry.get("error_occurred")
            if measured and wanted.search(entry["name"]):
                runs.setdefault(entry.get("run_name", entry["name"]), []).append(entry)
    results = []
    for name, entries in runs.items():
        numbers = {key for entry in entries for key, value in entry.items() if isinstance(value, (int, float))}
        result = {key: statistics.median(e[key] for e in entries if key in e) for key in numbers}
        result["name"] = name
        unit = SECONDS[entries[0]["time_unit"]]
        result["cpu seconds"], result["seconds"] = result["cpu_time"] * unit, result["real_time"] * unit
        results.append(result)
    return results


def matching(pattern, results):
    """Those whose names match, each with the parts of its name; whole numbers as such."""
    found = []
    for result in results:
        match = pattern.match(result["name"])
        if match:
            found.append({**result, **{k: int(v) if v.isdigit() else v for k, v in match.groupdict().items()}})
    return found


# --- Tables -----------------------------------------------------------------------------------------------------------


def number(value, digits=3):
    """Three significant digits without an exponent; nothing for None."""
    if value is None:
        return ""
    decimals = 0 if value == 0 else max(0, digits - 1 - math.floor(math.log10(abs(value))))
    return f"{value:.{decimals}f}"


def table(header, right_from, rows):
    lines = ["| " + " | ".join(header) + " |",
             "|" + "|".join("---" if i < right_from else "--:" for i in range(len(header))) + "|"]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def ordered(values):
    return list(dict.fromkeys(values))


def kernel_tables(results):
    """One for each precision and algorithm, with columns for each instruction set."""
    for precision, algorithm in ordered((r["precision"], r["algorithm"]) for r in results):
        some = [r for r in results if (r["precision"], r["algorithm"]) == (precision, algorithm)]
        isas = ordered(r["isa"] for r in some)
        shapes = ordered((r["kernel"], r["channels_in"], r["channels_out"], r["size"]) for r in some)
        kernels = ordered(shape[0] for shape in shapes)
        shapes.sort(key=lambda shape: kernels.index(shape[0]))
        header = [f"{precision}, {algorithm}, one thread"]
        for isa in isas:
            header += [f"{isa} ms", "GFLOP/s", "direct", "of peak", "time/peak", "GB/s"]
        rows = []
        for kernel, channels_in, channels_out, size in shapes:
            row = [f"{kernel}, {channels_in} to {channels_out}, {size}x{size}"]
            for isa in isas:
                r = next((r for r in some if (r["isa"], r["kernel"], r["channels_in"], r["channels_out"], r["size"]) ==
                          (isa, kernel, channels_in, channels_out, size)), {})
                row.append(number(r["cpu seconds"] * 1e3) if r else "")
                row += [number(r.get(c)) for c in ("GFLOP/s", "direct GFLOP/s", "peak", "time/peak", "GB/s")]
            rows.append(row)
        yield table(header, 1, rows)


def network_table(results):
    header = ["network", "image", "instructions", "precision", "algorithm", "threads", "s", "ns a pixel", "GFLOP/s",
              "direct", "of peak", "time/peak", "peak MiB"]
    rows = [[r["network"], f"{r['size']}x{r['size']}", r["isa"], r["precision"], r["algorithm"], str(r["threads"]),
             number(r["seconds"]), number(r["ns/pixel"])] +
            [number(r.get(c)) for c in ("GFLOP/s", "direct GFLOP/s", "peak", "time/peak")] +
            [number(r["peak_bytes"] / 2**20)] for r in results]
    return table(header, 5, rows)


# --- The plot ---------------------------------------------------------------------------------------------------------

WIDTH, HEIGHT = 760, 460
LEFT, RIGHT, TOP, BOTTOM = 76, 118, 62, 58  # of the axes, from the edges
FONT = "system-ui, 'Segoe UI', Helvetica, Arial, 'DejaVu Sans', sans-serif"
# Series are told apart by colour and, without colours, by the names at their ends. First light, then dark.
COLOURS = [("#2a6fbb", "#6cb1ff"), ("#b8500c", "#ff9d5c"), ("#2f7d3b", "#71cf80"), ("#8a3fa8", "#d394ee"),
           ("#8c6d00", "#e0bd45"), ("#b0305c", "#ff8fb3")]
INK = {"paper": ("#ffffff", "#0d1117"), "text": ("#1f2328", "#e6edf3"), "faint": ("#59636e", "#9198a1"),
       "grid": ("#d8dee4", "#2a313a")}


def style():
    """Plain rules for the light background first: what knows no media queries shows that one."""
    def rules(which):
        lines = [f".paper{{fill:{INK['paper'][which]}}} .text{{fill:{INK['text'][which]}}} "
                 f".faint{{fill:{INK['faint'][which]}}} .grid{{stroke:{INK['grid'][which]}}} "
                 f".axis{{stroke:{INK['faint'][which]}}}"]
        for i, colour in enumerate(COLOURS):
            lines.append(f".s{i}{{stroke:{colour[which]}}} .f{i}{{fill:{colour[which]}}}")
        return "\n".join(lines)

    return (f"text{{font-family:{FONT};font-size:13px}} .small{{font-size:12px}} .title{{font-size:16px;"
            "font-weight:600}\n.line{fill:none;stroke-width:2} .straight{fill:none;stroke-width:1.5;"
            f"stroke-dasharray:5 5;opacity:.75}}\n{rules(0)}\n@media (prefers-color-scheme:dark){{\n{rules(1)}\n}}")


def time_text(seconds):
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= size * 0.9999:
            return f"{seconds / size:g} {unit}"
    return f"{seconds:g} s"


def cost_text(ns):
    return f"{number(ns / 1e3)} µs" if ns >= 1e3 else f"{number(ns)} ns"


def series_name(run, runs):
    """The network, and of the rest what is not the same for all that are drawn."""
    name = [run["network"]]
    for part in ("isa", "precision", "algorithm", "threads"):
        if len({r[part] for r in runs}) > 1:
            name.append(f"{run[part]} thread" + "s" * (run[part] != 1) if part == "threads" else run[part])
    return name


def apart(wanted, least, low, high):
    """Places near `wanted` (ascending), at least `least` from each other, within [low, high]."""
    places = []
    for y in wanted:
        places.append(max([y, low] + [p + least for p in places[-1:]]))
    over = high
    for i in reversed(range(len(places))):
        places[i] = min(places[i], over)
        over = places[i] - least
    return places


def plot(runs):
    series = {}
    for run in runs:
        key = tuple(run[part] for part in ("network", "isa", "precision", "algorithm", "threads"))
        series.setdefault(key, []).append(run)
    if len(series) > len(COLOURS):
        sys.exit(f"{len(series)} series are too many to tell apart: --series chooses at most {len(COLOURS)} of them")
    series = [sorted(points, key=lambda r: r["size"]) for points in series.values()]
    series.sort(key=lambda points: -points[-1]["seconds"] / points[-1]["size"]**2)

    sizes = sorted({r["size"] for r in runs})
    x_low, x_high = 2 * math.log10(sizes[0]) - 0.25, 2 * math.log10(sizes[-1]) + 0.25
    times = [r["seconds"] for r in runs]
    y_low, y_high = math.floor(math.log10(min(times)) - 0.05), math.ceil(math.log10(max(times)) + 0.12)

    def x_of(size):
        return LEFT + (2 * math.log10(size) - x_low) / (x_high - x_low) * (WIDTH - LEFT - RIGHT)

    def y_of(seconds):
        return HEIGHT - BOTTOM - (math.log10(seconds) - y_low) / (y_high - y_low) * (HEIGHT - TOP - BOTTOM)

    right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
           'role="img" aria-labelledby="t d">', '<title id="t">Time of a network against the size of the image</title>']
    described = "; ".join(" ".join(series_name(points[0], runs)) + ": " + ", ".join(
        f"{time_text(float(number(r['seconds'])))} at {r['size']}x{r['size']}" for r in points) for points in series)
    out += [f'<desc id="d">{html.escape(described)}</desc>', f"<style>{style()}</style>",
            f'<rect class="paper" width="{WIDTH}" height="{HEIGHT}"/>']

    def text(x, y, words, classes, anchor="start"):
        if words:
            out.append(f'<text x="{x:.1f}" y="{y:.1f}" class="{classes}" text-anchor="{anchor}">'
                       f"{html.escape(words)}</text>")

    text(LEFT, 26, "Time to restore an image", "text title")
    same = [str(runs[0][part]) for part in ("isa", "precision") if len({r[part] for r in runs}) == 1]
    if len({r["threads"] for r in runs}) == 1:
        same.append("one thread" if runs[0]["threads"] == 1 else f"{runs[0]['threads']} threads")
    with_costs = len(series) <= 2  # more would cover each other
    notes = ["at the points: time of one pixel"] * with_costs + ["dashed: in proportion to the pixels"]
    text(LEFT, 45, "; ".join([", ".join(same)] * bool(same) + notes), "faint small")

    for power in range(y_low, y_high + 1):
        y = y_of(10.0**power)
        out.append(f'<line class="grid" x1="{LEFT}" y1="{y:.1f}" x2="{right}" y2="{y:.1f}"/>')
        text(LEFT - 10, y + 4, time_text(10.0**power), "faint", "end")
    for size in sizes:
        x = x_of(size)
        out.append(f'<line class="grid" x1="{x:.1f}" y1="{TOP}" x2="{x:.1f}" y2="{bottom}"/>')
        text(x, bottom + 20, f"{size}×{size}", "faint", "middle")
    out.append(f'<path class="axis" fill="none" d="M{LEFT} {TOP}V{bottom}H{right}"/>')
    text((LEFT + right) / 2, HEIGHT - 14, "pixels of the image (logarithmic, as the time)", "text", "middle")

    for i, points in enumerate(series):
        first, last = points[0], points[-1]
        a_pixel = statistics.geometric_mean(r["seconds"] / r["size"]**2 for r in points)
        straight = "L".join(f"{x_of(r['size']):.1f} {y_of(a_pixel * r['size']**2):.1f}" for r in (first, last))
        out.append(f'<path class="straight s{i}" d="M{straight}"/>')
        path = "L".join(f"{x_of(r['size']):.1f} {y_of(r['seconds']):.1f}" for r in points)
        out.append(f'<path class="line s{i}" d="M{path}"/>')
        for r in points:
            out.append(f'<circle class="f{i}" cx="{x_of(r["size"]):.1f}" cy="{y_of(r["seconds"]):.1f}" r="4"/>')
    if with_costs:
        for i, points in enumerate(series):
            for r in points:
                # The upper series has its figures above, the lower below.
                up = i == 0
                text(x_of(r["size"]) + (-8 if up else 8), y_of(r["seconds"]) + (-9 if up else 19),
                     cost_text(r["ns/pixel"]), f"f{i} small", "end" if up else "start")

    ends = sorted(range(len(series)), key=lambda i: y_of(series[i][-1]["seconds"]))
    for i, y in zip(ends, apart([y_of(series[i][-1]["seconds"]) for i in ends], 34, TOP + 8, bottom - 18)):
        name = series_name(series[i][-1], runs)
        text(right + 8, y + 4, name[0], f"f{i}")
        text(right + 8, y + 19, ", ".join(name[1:]), f"f{i} small")
    out.append("</svg>")
    return "\n".join(out) + "\n"


def regex(text):
    try:
        return re.compile(text)
    except re.error as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no regular expression: {error}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", type=pathlib.Path, metavar="FILE.json")
    parser.add_argument("--filter", default=re.compile(""), type=regex, metavar="REGEX")
    parser.add_argument("--plot", type=pathlib.Path, metavar="OUT.svg")
    parser.add_argument("--series", type=regex, metavar="REGEX")
    options = parser.parse_args()

    results = read(options.files, options.filter)
    kernels, networks = matching(KERNEL, results), matching(NETWORK, results)
    if not kernels and not networks:
        sys.exit("there are no benchmarks of kernels or networks in these files")
    tables = list(kernel_tables(kernels)) + ([network_table(networks)] if networks else [])
    print("\n\n".join(tables))
    if options.plot:
        if options.series:
            drawn = [r for r in networks if options.series.search(r["name"])]
        else:
            drawn = [r for r in networks if (r["isa"], r["precision"], r["algorithm"], r["threads"]) ==
                     (networks[0]["isa"], "fp32", "auto", 1)]
        if not drawn:
            sys.exit("there is no benchmark of a network to draw")
        options.plot.write_text(plot(drawn), encoding="utf-8")


if __name__ == "__main__":
    main()
