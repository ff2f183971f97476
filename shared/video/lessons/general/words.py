import unicodedata


def columns(text):
    """How many columns a text takes: two for wide characters, none for marks that join another."""
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def is_rtl(text):
    """Whether the first strong character runs from right to left."""
    for c in text:
        kind = unicodedata.bidirectional(c)
        if kind in ("L", "R", "AL"):
            return kind != "L"
    return False


def wrap(text, wide):
    """Lines of at most `wide` columns: broken at spaces, inside a word only where it is too long, between any two wide characters."""
    pieces, word = [], ""
    for c in text:
        if c.isspace():
            pieces += [word, " "]
            word = ""
        elif unicodedata.east_asian_width(c) in "WF":
            # Punctuation that closes stays with what it closes.
            if unicodedata.category(c) in ("Pe", "Pf", "Po") and pieces and not word:
                pieces[-1] += c
            else:
                pieces += [word, c]
                word = ""
        else:
            word += c
    lines, line = [], ""
    for piece in [p for p in pieces + [word] if p]:
        if columns(line + piece.rstrip()) <= wide:
            line += piece if line or piece != " " else ""
            continue
        if line.strip():
            lines.append(line.strip())
        line = "" if piece == " " else piece
        while columns(line) > wide:
            cut = 1
            while cut < len(line) and columns(line[: cut + 1]) <= wide:
                cut += 1
            lines.append(line[:cut])
            line = line[cut:]
    if line.strip():
        lines.append(line.strip())
    return lines


def drawable(text):
    """The text without characters that the installed fonts have no outline for, which would be drawn as boxes: most emoji, private use."""

    def has_outline(c):
        at = ord(c)
        if 0x1F000 <= at <= 0x1FBFF:
            # DejaVu Sans draws these faces.
            return 0x1F600 <= at <= 0x1F640
        return unicodedata.category(c) not in ("Cn", "Co", "Cs", "Cc") and not 0xFE00 <= at <= 0xFE0F and at not in (0x200D, 0x20E3) and at < 0xE0000

    return "".join(c for c in text if c.isspace() or has_outline(c))


def on_baseline(text, size, color, weight):
    """A line whose letters stand at y = 0 as they would beside a bar, whatever letters it has; lines then keep equal steps."""
    if is_rtl(text):
        return label(text, size, color, width=99, weight=weight)
    drawn = label("|" + text, size, color, width=99, weight=weight)
    # Pango may draw marks before their letters; the bar is what stands first in the line.
    bar = min(drawn.submobjects, key=lambda glyph: glyph.get_left()[0])
    if bar.width * 3 > bar.height:
        return label(text, size, color, width=99, weight=weight)
    drawn.shift(bar.get_center()[1] * DOWN)
    drawn.remove(bar)
    drawn.words = text
    return drawn


def block(text, size, wide, width, height, color=INK, weight=NORMAL, centred=False):
    """A text in lines of at most `wide` columns, scaled down until it fits into `width` and `height`."""
    lines = [on_baseline(line, size, color, weight) for line in wrap(drawable(text), wide)]
    lines = [line for line in lines if len(line) and line.width > 0]
    if not lines:
        # No font has a glyph for any of it: a short rule stands for the text.
        return VGroup(Line(0.4 * LEFT, 0.4 * RIGHT, color=color, stroke_width=4))
    side = ORIGIN if centred else RIGHT if is_rtl(text) else LEFT
    # Equal steps from line to line, whatever letters a line has.
    step, group = size / 96 * 1.42, VGroup(*lines)
    for n, line in enumerate(lines):
        line.set_x(0).shift(step * n * DOWN)
        if not centred:
            line.align_to(ORIGIN, side)
    if group.width > width:
        group.scale_to_fit_width(width)
    if group.height > height:
        group.scale_to_fit_height(height)
    return group
