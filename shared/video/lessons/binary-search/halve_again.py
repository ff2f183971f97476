from qsketch_style import *
from cards import *


class HalveAgain(Lesson):
    TITLE = "Halve, and halve again"

    def story(self):
        self.row = cards(NUMBERS)
        goal = VGroup(label("looking for", 30, DIM), label("60", 40, SUN, weight=BOLD)).arrange(RIGHT, buff=0.25).move_to([0, 2.1, 0])
        self.low, self.high = pointer("low", LEAF, self.row[0]), pointer("high", ROSE, self.row[14])
        self.span = self.bracket(0, 14)
        self.by(0, 0.3, FadeIn(self.row, goal))
        self.by(0, 0.5, FadeIn(self.low, self.high), FadeIn(self.span))
        self.middle = pointer("middle", SUN, self.row[7], UP)
        self.by(0, 0.95, FadeIn(self.middle), self.lit(7, SUN))
        self.verdict = label("38 is too small", 34, SUN).move_to([0, -2.3, 0])
        self.drop(1, range(0, 8), 8, 14)
        self.look(2, 0.45, 11, "71 is too large")
        self.drop(2, range(11, 15), 8, 10, share=0.97, waits=False)
        self.look(3, 0.5, 9, "52 is too small")
        self.drop(3, range(8, 10), 10, 10, share=1.0, waits=False)
        self.beat(4)
        found = label("found after 4 looks", 36, LEAF, weight=BOLD).move_to([0, -2.3, 0])
        self.by(4, 0.3, self.middle.animate.next_to(self.row[10], UP, buff=0.14), self.row[10][0].animate.set_color(LEAF).set_fill(LEAF, 0.5), FadeOut(self.verdict), FadeOut(self.low, self.high, self.span))
        self.by(4, 0.55, self.row[10].animate.scale(1.25))
        self.by(4, 0.85, FadeIn(found, shift=0.2 * UP))
        self.by(4, 1.0, Flash(self.row[10], color=LEAF, flash_radius=0.9, line_length=0.25))

    def lit(self, n, color):
        return self.row[n][0].animate.set_color(color).set_fill(color, 0.35)

    def bracket(self, low, high):
        line = Line(self.row[low].get_corner(DL), self.row[high].get_corner(DR), color=PLUM, stroke_width=7)
        return line.shift(0.95 * DOWN)

    def look(self, i, share, n, text):
        self.beat(i)
        verdict = label(text, 34, SUN).move_to([0, -2.3, 0])
        self.by(i, 0.25, self.middle.animate.next_to(self.row[n], UP, buff=0.14), self.lit(n, SUN), FadeOut(self.verdict))
        self.by(i, share, FadeIn(verdict))
        self.verdict = verdict

    def drop(self, i, gone, low, high, share=0.95, waits=True):
        if waits:
            self.beat(i)
            self.by(i, 0.35, FadeIn(self.verdict))
        fades = [self.row[n].animate.set_opacity(0.13) for n in gone]
        self.by(i, share, *fades,
                self.low.animate.next_to(self.row[low], DOWN, buff=0.14),
                self.high.animate.next_to(self.row[high], DOWN, buff=0.14) if low != high else FadeOut(self.high),
                Transform(self.span, self.bracket(low, high)))
