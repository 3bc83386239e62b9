"""Draws the README's picture from the demo's own output:
touchmark --color always demo | python3 experiments/demo_picture.py > src/manual/demo.svg"""

import html
import re
import sys

COLOURS = {"32": "#7ee787", "36": "#79c0ff", "33": "#e3b341", "2": "#8b949e"}
WIDTH, LINE, SIZE = 8.43, 19, 14


def spans(line):
    colour, bold = "#c9d1d9", False
    for part in re.split(r"(\x1b\[[0-9;]*m)", line):
        if part.startswith("\x1b["):
            codes = part[2:-1].split(";")
            for code in codes:
                if code in ("", "0"):
                    colour, bold = "#c9d1d9", False
                elif code == "1":
                    bold = True
                else:
                    colour = COLOURS.get(code, colour)
        elif part:
            yield part, colour, bold


lines = sys.stdin.read().rstrip("\n").split("\n")
columns = max(len(re.sub(r"\x1b\[[0-9;]*m", "", line)) for line in lines)
height, width = LINE * len(lines) + 32, int(WIDTH * columns) + 40
out = [
    f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
    f'font-family="ui-monospace,SFMono-Regular,Menlo,Consolas,DejaVu Sans Mono,monospace" font-size="{SIZE}">',
    f'<rect width="{width}" height="{height}" rx="8" fill="#0d1117"/>',
]
for number, line in enumerate(lines):
    column = 0
    for text, colour, bold in spans(line):
        weight = ' font-weight="bold"' if bold else ""
        x, y = 20 + WIDTH * column, 30 + LINE * number
        out.append(
            f'<text x="{x:.1f}" y="{y}" fill="{colour}"{weight} xml:space="preserve" '
            f'textLength="{WIDTH * len(text):.1f}">{html.escape(text)}</text>'
        )
        column += len(text)
out.append("</svg>")
print("\n".join(out))
