"""The look and the pace that every lesson shares.

The provider writes this file, then the scene's NARRATION, then the scene itself into one file, so a scene's code stands alone.

Frame: 14.2 x 8 units. The heading stands above y = 2.75; the picture keeps between y = 2.6 and y = -3.1, so that captions cover nothing.
Only Text and ziamath's formulas: nothing here needs LaTeX.
"""
import hashlib
import math
import pathlib

import numpy as np
from manim import *

PAPER = "#10131f"
INK = "#ece9e1"
DIM = "#8b93a7"
FAINT = "#2c3349"
SKY = "#58c4dd"
SUN = "#ffd166"
LEAF = "#83c167"
ROSE = "#fc6255"
PLUM = "#b48ee0"
FONT = "Noto Sans"
MONO = "DejaVu Sans Mono"

# A pause after every sentence, in seconds; the speech has the same one (speech::SENTENCE_PAUSE_SECS).
PAUSE = 0.3
# The shortest animation that an eye can follow, in seconds.
QUICK = 0.35
# What text may fill of the frame.
WIDE = 12.6

NARRATION = []


def label(text, size=30, color=INK, width=WIDE, font=FONT, weight=NORMAL, slant=NORMAL):
    """One line of text that never grows wider than `width`."""
    # Drawn large and scaled down: Pango rounds the places of small glyphs, and words fall apart.
    drawn = Text(text, font=font, font_size=96, color=color, weight=weight, slant=slant)
    drawn.scale(size / 96)
    if drawn.width > width:
        drawn.scale_to_fit_width(width)
    drawn.words = text
    return drawn


def formula(latex, size=44, color=INK, width=WIDE):
    """A formula, drawn by ziamath from LaTeX's notation; its glyphs are its submobjects, in the order of writing."""
    import ziamath

    # Plain paths: SVGMobject places the <symbol>s of SVG 2 wrongly.
    ziamath.config.svg2 = False
    folder = pathlib.Path(config.media_dir) / "formulas"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / (hashlib.sha256(latex.encode()).hexdigest()[:16] + ".svg")
    path.write_text(ziamath.Latex(latex, size=64).svg(), encoding="utf-8")
    drawn = SVGMobject(str(path), fill_color=color, stroke_width=0, height=None, width=None)
    drawn.scale(size / 44 * FORMULA_SCALE)
    if drawn.width > width:
        drawn.scale_to_fit_width(width)
    drawn.words = latex
    return drawn


# SVGMobject takes a pixel for a unit; 64-pixel glyphs come down to the size of 44-point text.
FORMULA_SCALE = 0.0095


def number(value, places=0, size=30, color=INK, font=FONT):
    """A number as text, with a true minus sign."""
    return label(f"{value:.{places}f}".replace("-", "\u2212"), size=size, color=color, font=font)


class Lesson(Scene):
    """A scene that keeps step with its narration: `beat` waits for a sentence, `by` ends an animation inside one."""

    TITLE = ""

    def setup(self):
        self.camera.background_color = PAPER
        self.ends = []
        at = 0.0
        for _, secs in NARRATION:
            at += secs
            self.ends.append(at)
            at += PAUSE
        self.total = at

    def construct(self):
        if self.TITLE:
            self.heading(self.TITLE)
        self.story()
        self.rest_until(self.total)

    def story(self):
        """What the scene shows."""
        raise NotImplementedError

    def heading(self, text):
        """Puts the scene's title at the top, with a short rule under it."""
        title = label(text, size=38, weight=BOLD).to_edge(UP, buff=0.42)
        rule = Line(LEFT, RIGHT, color=SUN, stroke_width=4).scale_to_fit_width(min(title.width, 3.2)).next_to(title, DOWN, buff=0.14)
        self.title = VGroup(title, rule)
        self.play(FadeIn(title, shift=0.15 * DOWN), GrowFromCenter(rule), run_time=0.7)

    def now(self):
        return self.renderer.time

    def starts(self, i):
        """When sentence `i` begins, in seconds."""
        return 0.0 if i <= 0 else self.ends[min(i, len(self.ends)) - 1] + PAUSE

    def place(self, i, share):
        """The moment at `share` (0 to 1) of sentence `i`."""
        if not self.ends:
            return 0.0
        begin = self.starts(i)
        return begin + share * (self.ends[min(i, len(self.ends) - 1)] - begin)

    def rest_until(self, moment):
        left = moment - self.now()
        if left > 1.5 / config.frame_rate:
            self.wait(left)

    def beat(self, i, share=0.0):
        """Waits until sentence `i` is due (or `share` of it said)."""
        self.rest_until(self.place(i, share))

    def by(self, i, share, *animations, **how):
        """Plays so that it ends when `share` of sentence `i` is said; at least QUICK."""
        how.setdefault("run_time", max(QUICK, self.place(i, share) - self.now()))
        self.play(*animations, **how)
