"""Growth curves: what each of so many costs, for every contestant, as the text of an SVG file.

Both scales are logarithmic, so that a cost that does not grow is a level line.
"""
import math
from xml.sax.saxutils import escape

from report import number

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 760, 380, 70, 190, 50, 40
COLOURS = ["#0969da", "#54aeff", "#9aa4af", "#cf222e", "#8250df", "#1a7f37", "#bf8700", "#bc4c00"]
STYLE = """
  text { font: 13px system-ui, sans-serif; fill: #1f2328 }
  .title { font-weight: 600; font-size: 15px }
  .small { fill: #59636e; font-size: 12px }
  .grid { stroke: #d0d7de; stroke-width: 1 }
  .curve { fill: none; stroke-width: 2 }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 } .small { fill: #9198a1 } .grid { stroke: #3d444d }
  }"""


def begin(width, height, name, section, style):
    """The first lines of every picture."""
    title = escape(f"{section}: {name}")
    return [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" '
            f'aria-label="{title}">', f"<title>{title}</title>", f"<style>{style}\n</style>",
            f'<text class="title" x="8" y="20">{escape(name)}</text>',
            f'<text class="small" x="8" y="37">{escape(section)}</text>']


def points_of(rows):
    """{contestant: [(how many, figure)]}, of who has at least two that can be drawn."""
    found = {}
    for row in rows:
        for name, figure in row["figures"].items():
            if figure["median"] and figure["median"] > 0:
                found.setdefault(name, []).append((row["at"], figure["median"]))
    return {name: sorted(points) for name, points in found.items() if len(points) > 1}


class Scale:
    """Whole powers of ten to pixels."""

    def __init__(self, values, start, end):
        logarithms = [math.log10(value) for value in values]
        self.low, self.high = math.floor(min(logarithms)), math.ceil(max(logarithms))
        self.high = max(self.high, self.low + 1)
        self.start, self.end = start, end

    def at(self, value):
        share = (math.log10(value) - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)

    def marks(self):
        return [10 ** power for power in range(self.low, self.high + 1)]


def grid(across, up, unit):
    right = WIDTH - RIGHT
    for mark in across.marks():
        x = across.at(mark)
        yield f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}"/>'
        yield (f'<text class="small" x="{x:.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">'
               f"{mark:,}</text>")
    for mark in up.marks():
        y = up.at(mark)
        yield f'<line class="grid" x1="{LEFT}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>'
        yield (f'<text class="small" x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{mark:,g} '
               f"{unit}</text>")


def spread(heights, least):
    """Moves labels apart that would lie on each other; in the order of the heights."""
    placed = []
    for height in heights:
        placed.append(max(height, placed[-1] + least) if placed else height)
    return placed


def picture(name, section, rows):
    curves = points_of(rows)
    if not curves:
        return None
    across = Scale([x for points in curves.values() for x, _ in points], LEFT, WIDTH - RIGHT)
    up = Scale([y for points in curves.values() for _, y in points], HEIGHT - BOTTOM, TOP)
    lines = begin(WIDTH, HEIGHT, name, section, STYLE)
    lines += grid(across, up, rows[0]["unit"])
    order = sorted(curves, key=lambda who: up.at(curves[who][-1][1]))
    labels = spread([up.at(curves[who][-1][1]) for who in order], 15)
    for who, label in zip(order, labels):
        colour = COLOURS[list(curves).index(who) % len(COLOURS)]
        path = " ".join(f"{across.at(x):.1f},{up.at(y):.1f}" for x, y in curves[who])
        lines += [f'<polyline class="curve" stroke="{colour}" points="{path}"/>',
                  f'<text x="{across.at(curves[who][-1][0]) + 8:.1f}" y="{label + 4:.1f}" '
                  f'style="fill: {colour}">{escape(who)} {number(curves[who][-1][1])}</text>']
    return "\n".join([*lines, "</svg>", ""])


def pictures(section):
    """(name, text) of each curve in it."""
    by_name = {}
    for row in section["rows"]:
        if row.get("curve"):
            by_name.setdefault(row["curve"], []).append(row)
    for name, rows in by_name.items():
        drawn = picture(name, section["title"], rows)
        if drawn:
            yield name, drawn
