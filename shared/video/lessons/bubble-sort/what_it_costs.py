from qsketch_style import *


class WhatItCosts(Lesson):
    TITLE = "What it costs"

    def story(self):
        step = 0.62
        rows = VGroup()
        for n, length in enumerate((5, 4, 3, 2, 1)):
            rows.add(VGroup(*[Dot(np.array([-5.0 + step * k, 1.6 - step * n, 0]), 0.2, color=SKY) for k in range(length)]))
        counts = VGroup(*[label(str(len(row)), 32, SKY, weight=BOLD).move_to([-1.4, row.get_center()[1], 0]) for row in rows])
        for n, share in enumerate((0.66, 0.76, 0.84, 0.92, 1.0)):
            self.by(0, share, LaggedStart(*[FadeIn(d, scale=0.4) for d in rows[n]], lag_ratio=0.2), FadeIn(counts[n]))
        total = VGroup(Line(0.5 * LEFT, 0.5 * RIGHT, color=DIM, stroke_width=4), label("15", 40, SUN, weight=BOLD)).arrange(DOWN, buff=0.15)
        total.next_to(counts, DOWN, buff=0.2)
        self.beat(1)
        self.by(1, 0.35, FadeIn(total))
        square = Square(step * 5 + 0.15, color=SUN, stroke_width=4).move_to([-5.0 + 2 * step, 1.6 - 2 * step, 0])
        self.by(1, 0.98, Create(square))
        self.beat(2)
        small = self.half(6, [1.6, -0.6, 0], 0.27, SKY)
        large = self.half(12, [4.75, 0.15, 0], 0.27, ROSE)
        small.align_to(large, DOWN)
        names = VGroup(label("6 bars: 15", 28, SKY).next_to(small, DOWN, buff=0.3), label("12 bars: 66", 28, ROSE).next_to(large, DOWN, buff=0.3))
        names[0].align_to(names[1], DOWN)
        self.by(2, 0.4, FadeIn(small), FadeIn(names[0]))
        self.by(2, 0.95, LaggedStart(*[FadeIn(d, scale=0.4) for d in large], lag_ratio=0.03), FadeIn(names[1]))
        self.beat(3)
        law = formula(r"\frac{n(n-1)}{2}", 60, SUN).move_to([-3.75, -2.55, 0])
        self.by(3, 0.5, Write(law))
        self.by(3, 1.0, Create(SurroundingRectangle(law, color=SUN, buff=0.2, corner_radius=0.12)))

    def half(self, bars, centre, step, color):
        """The comparisons of `bars` bars, as dots that fill half of a square."""
        dots = VGroup()
        for row in range(bars - 1):
            for column in range(bars - 1 - row):
                dots.add(Dot(np.array([step * column, -step * row, 0]), 0.09, color=color))
        return dots.move_to(centre)
