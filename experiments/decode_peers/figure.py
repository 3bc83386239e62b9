"""The picture of results.json: tokens a second of one sequence on one thread, and the limit that memory sets."""

import math

COLOURS = {"touchmark": "#1b6ca8", "transformers": "#d17b0f", "llama.cpp": "#5b8c3a"}
WIDTH, LEFT, BAR, GAP, TOP = 760, 130, 14, 16, 56


def svg(results):
    rows = [row for row in results["rows"] if (row["threads"], row["batch"]) == (1, 1)]
    sides = [side for side in COLOURS if any(side in row for row in rows)]
    greatest = max(value for row in rows for value in (row["limit"], *(row.get(side, 0) for side in sides)))
    least = min(row[side] for row in rows for side in sides if side in row)
    low, high = math.floor(math.log10(least)), math.ceil(math.log10(greatest))

    def x(value):
        return LEFT + (WIDTH - LEFT - 30) * (math.log10(value) - low) / (high - low)

    parts, y = [], TOP
    for row in rows:
        bars = [side for side in sides if side in row]
        tall = BAR * len(bars)
        parts.append(f'<text x="{LEFT - 8}" y="{y + tall / 2 + 4:.1f}" text-anchor="end">{row["model"]}, {row["form"]}</text>')
        for place, side in enumerate(bars):
            at = y + BAR * place
            parts.append(f'<rect x="{LEFT}" y="{at}" width="{x(row[side]) - LEFT:.1f}" height="{BAR - 2}" fill="{COLOURS[side]}"/>')
            number = f"{row[side]:,.0f}" if row[side] >= 10 else f"{row[side]:.1f}"
            parts.append(f'<text x="{x(row[side]) - 4:.1f}" y="{at + 10}" font-size="10" fill="white" text-anchor="end">{number}</text>')
        limit = x(row["limit"])
        parts.append(f'<line x1="{limit:.1f}" y1="{y - 4}" x2="{limit:.1f}" y2="{y + tall + 2}" stroke="#b00020" stroke-width="2"/>')
        y += tall + GAP
    ticks = []
    for power in range(low, high + 1):
        at = x(10**power)
        ticks.append(f'<line x1="{at:.1f}" y1="{TOP - 8}" x2="{at:.1f}" y2="{y - 6}" stroke="#ddd"/>')
        ticks.append(f'<text x="{at:.1f}" y="{y + 8}" text-anchor="middle">{10**power:,}</text>')
    legend, at = [], LEFT
    for name, colour in [*((side, COLOURS[side]) for side in sides), ("limit of memory", "#b00020")]:
        legend.append(f'<rect x="{at}" y="32" width="10" height="10" fill="{colour}"/><text x="{at + 14}" y="41">{name}</text>')
        at += 40 + 7 * len(name)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y + 32}" width="{WIDTH}" height="{y + 32}" '
        'font-family="sans-serif" font-size="12">\n<rect width="100%" height="100%" fill="white"/>\n'
        '<text x="8" y="18" font-size="14">Decoding one sequence on one thread</text>\n'
        + "\n".join([*legend, *ticks, *parts])
        + f'\n<text x="{(LEFT + WIDTH) / 2}" y="{y + 26}" text-anchor="middle">tokens a second</text>\n</svg>\n'
    )
