from qsketch_style import *


class SquareOnEachSide(Lesson):
    TITLE = "A square on each side"

    def story(self):
        u = 0.52
        o = np.array([-0.75, -1.35, 0])
        p, q = o + 4 * u * RIGHT, o + 3 * u * UP
        triangle = Polygon(o, p, q, color=INK, stroke_width=5, fill_color=INK, fill_opacity=0.12)
        mark = Square(0.24, color=SUN, stroke_width=3).move_to(o + 0.12 * (UP + RIGHT))
        self.by(0, 0.3, Create(triangle), FadeIn(mark))

        def cells(start, along, outward, n, color):
            along, outward = normalize(along), normalize(outward)
            made = VGroup()
            for row in range(n):
                for column in range(n):
                    x = start + u * (column * along + row * outward)
                    made.add(Polygon(x, x + u * along, x + u * (along + outward), x + u * outward, color=color,
                                     stroke_width=2, fill_color=color, fill_opacity=0.42))
            return made

        slope = p - q
        outward = rotate_vector(slope, PI / 2)
        small = cells(o, q - o, LEFT, 3, LEAF)
        middle = cells(o, p - o, DOWN, 4, SKY)
        large = cells(q, slope, outward, 5, ROSE)
        drawing = VGroup(triangle, mark, small, middle, large)
        drawing.move_to([-2.6, -0.42, 0]).scale(0.93)
        small.set_opacity(0), middle.set_opacity(0), large.set_opacity(0)

        def outlined(group, color):
            return Polygon(*self.corners(group), color=color, stroke_width=5)

        frames = VGroup(*[outlined(g, c) for g, c in ((small, LEAF), (middle, SKY), (large, ROSE))])
        self.by(0, 0.95, LaggedStart(*[Create(f) for f in frames], lag_ratio=0.4))

        nine = self.sum_row("9", LEAF, r"3^2")
        sixteen = self.sum_row("16", SKY, r"4^2")
        twentyfive = self.sum_row("25", ROSE, r"5^2")
        rows = VGroup(nine, sixteen, twentyfive).arrange(DOWN, buff=0.55, aligned_edge=RIGHT).move_to([4.1, -0.35, 0])
        plus = formula("+", 56).next_to(sixteen, LEFT, buff=0.5)
        bar = Line(LEFT, RIGHT, color=DIM).scale_to_fit_width(rows.width + 1.3).move_to(
            (rows.get_center()[0] - 0.35) * RIGHT + (sixteen.get_bottom()[1] + twentyfive.get_top()[1]) / 2 * UP)
        self.beat(1)
        self.fill(small, 1, 0.5, FadeIn(nine))
        self.fill(middle, 1, 0.95, FadeIn(sixteen))
        self.beat(2)
        self.fill(large, 2, 0.9, FadeIn(twentyfive))
        self.beat(3)
        self.by(3, 0.2, FadeIn(plus), Create(bar), large.animate.set_fill(opacity=0.06))
        seats = list(large)
        copies = VGroup(*[c.copy() for c in [*small, *middle]])
        self.add(copies)
        moves = [Transform(c, seats[n].copy().set_fill(c.get_fill_color(), 0.75).set_stroke(PAPER, 2)) for n, c in enumerate(copies)]
        self.by(3, 0.85, LaggedStart(*moves, lag_ratio=0.06))
        self.by(3, 1.0, Indicate(rows, color=SUN, scale_factor=1.08))

    def sum_row(self, value, color, power):
        return VGroup(formula(power, 50, color), formula("=", 50), formula(value, 56, color)).arrange(RIGHT, buff=0.25)

    def fill(self, group, i, share, *more):
        for cell in group:
            cell.set_stroke(opacity=1, width=2)
        secs = max(QUICK, self.place(i, share) - self.now())
        self.play(LaggedStart(*[FadeIn(c.set_fill(opacity=0.42), scale=0.6) for c in group], lag_ratio=0.15), *more, run_time=secs)

    def corners(self, group):
        n = math.isqrt(len(group))
        at = [group[0].get_vertices()[0], group[n - 1].get_vertices()[1], group[-1].get_vertices()[2], group[n * n - n].get_vertices()[3]]
        return at
