"""Pictures of the last run: an SVG for each row, bars of what each contestant needs; and one for
each curve, how that grows with the number of things.

Without a library: a bar is a rectangle.  Colours follow the reader's choice of a dark page.
"""
import os
import re
from xml.sax.saxutils import escape

import curves
from curves import begin
from report import number

WIDTH, LEFT, RIGHT, BAR, GAP, TOP = 760, 190, 130, 18, 6, 44

STYLE = """
  text { font: 13px system-ui, sans-serif; fill: #1f2328 }
  .title { font-weight: 600; font-size: 15px }
  .small { fill: #59636e; font-size: 12px }
  .ours { fill: #0969da } .peer { fill: #9aa4af } .bare { fill: #d0d7de }
  .goal { stroke: #1a7f37; stroke-width: 1.5; stroke-dasharray: 4 3 }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 } .small { fill: #9198a1 }
    .ours { fill: #4493f8 } .peer { fill: #656c76 } .bare { fill: #3d444d }
    .goal { stroke: #3fb950 }
  }"""


def kind(name):
    if name.startswith("asyncio") and "streams" not in name and "protocol" not in name:
        return "ours"
    return "bare" if name.startswith("bare") else "peer"


def bars(row):
    """(name, median, ratio) of who has a figure, the best first."""
    found = [(name, figure["median"], figure["ratio"]) for name, figure in row["figures"].items()
             if figure["median"] is not None]
    return sorted(found, key=lambda bar: bar[1])


def goal_of(row):
    """Where the goal's line goes; None: it is no figure of its own."""
    match = re.match(r"<= ([\d.,]+)(?=;|, |$)", row["goal"])
    if match:
        return float(match[1].replace(",", ""))
    match = re.match(r"<= ([\d.]+)x ([^;]+)", row["goal"])
    peer = row["figures"].get(match[2].strip()) if match else None
    return float(match[1]) * peer["median"] if peer and peer["median"] else None


def picture(section, row):
    """A row as the text of an SVG file."""
    found, goal = bars(row), goal_of(row)
    # One that is far behind would leave the others no room; its bar is cut off.
    ours = next((bar[1] for bar in found if kind(bar[0]) == "ours"), found[0][1])
    most = min(max(bar[1] for bar in found), 6 * ours)
    room = WIDTH - LEFT - RIGHT
    height = TOP + len(found) * (BAR + GAP) + 24
    lines = begin(WIDTH, height, row["name"], section["title"], STYLE)
    for i, (name, median, ratio) in enumerate(found):
        y = TOP + i * (BAR + GAP)
        width = max(1, min(median, most) / most * room)
        figure = number(median) + (f" ({ratio:.2f}x)" if ratio else "")
        lines += [f'<text x="{LEFT - 8}" y="{y + 14}" text-anchor="end">{escape(name)}</text>',
                  f'<rect class="{kind(name)}" x="{LEFT}" y="{y}" width="{width:.1f}" '
                  f'height="{BAR}" rx="2"/>',
                  f'<text x="{LEFT + width + 6:.1f}" y="{y + 14}">{escape(figure)}'
                  f'{" ..." if median > most else ""}</text>']
    if goal and goal <= most:
        x = LEFT + goal / most * room
        lines += [f'<line class="goal" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP - 4}" '
                  f'y2="{height - 22}"/>',
                  f'<text class="small" x="{x:.1f}" y="{height - 6}" text-anchor="middle">goal '
                  f"{number(goal)}</text>"]
    return "\n".join([*lines, "</svg>", ""])


def file_name(section, row):
    words = f"{section['title'].split(',')[0]} {row['name']}".lower()
    return re.sub(r"[^a-z0-9]+", "-", words).strip("-") + ".svg"


def write(path, text):
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def draw(results, directory):
    """All of them; returns their names."""
    os.makedirs(directory, exist_ok=True)
    names = []
    for section in results["sections"]:
        for name, svg in curves.pictures(section):
            names.append(file_name(section, {"name": name}))
            write(os.path.join(directory, names[-1]), svg)
        for row in section["rows"]:
            if row.get("curve") or not any(median for _, median, _ in bars(row)):
                continue
            names.append(file_name(section, row))
            write(os.path.join(directory, names[-1]), picture(section, row))
    return names
