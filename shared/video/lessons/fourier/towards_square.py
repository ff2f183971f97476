from qsketch_style import *


class TowardsSquare(Lesson):
    TITLE = "Towards a square wave"

    def story(self):
        axes = Axes(x_range=[0, 4 * PI, PI], y_range=[-1.4, 1.4, 1], x_length=12, y_length=3.7, tips=False,
                    axis_config={"color": DIM, "stroke_width": 3, "include_ticks": False}).move_to([0, -1.15, 0])

        def partial(terms):
            return lambda x: sum(4 / PI * math.sin(k * x) / k for k in range(1, 2 * terms, 2))

        def plot(terms):
            return axes.plot(partial(terms), x_range=[0, 4 * PI, PI / 90], color=SUN, stroke_width=5, use_smoothing=False)

        goal = VMobject(color=DIM, stroke_width=3)
        corners = [axes.c2p(0, 0)]
        for half in range(4):
            high = 1 if half % 2 == 0 else -1
            corners += [axes.c2p(half * PI, high), axes.c2p((half + 1) * PI, high)]
        goal.set_points_as_corners(corners + [axes.c2p(4 * PI, 0)])
        recipe = formula(r"\sin(x) + \frac{1}{3}\sin(3x) + \frac{1}{5}\sin(5x) + \frac{1}{7}\sin(7x) + \cdots", 42).move_to([0, 1.85, 0])
        # Every term ends before the next plus; the glyphs are cut there.
        cuts = [0, 6, 17, 28, len(recipe)]
        parts = [VGroup(*recipe[a:b]) for a, b in zip(cuts, cuts[1:])]
        singles = [axes.plot(lambda x, k=k: 4 / PI * math.sin(k * x) / k, x_range=[0, 4 * PI, PI / 60], color=c, stroke_width=4)
                   for k, c in ((1, SKY), (3, LEAF), (5, PLUM))]
        self.by(0, 0.15, FadeIn(axes))
        for part, single, color, share in zip(parts, singles, (SKY, LEAF, PLUM), (0.4, 0.65, 0.85)):
            self.by(0, share, FadeIn(part.set_color(color)), Create(single))
        self.by(0, 1.0, FadeIn(parts[3]))
        self.beat(1)
        curve = plot(1)
        count = label("1 term", 30, SUN, weight=BOLD).move_to([5.2, 0.98, 0])
        self.by(1, 0.12, *[FadeOut(s) for s in singles], FadeIn(curve, goal, count))
        for terms, share in ((2, 0.3), (3, 0.48), (5, 0.64), (9, 0.8), (17, 0.97)):
            text = label(f"{terms} terms", 30, SUN, weight=BOLD).move_to(count)
            secs = max(QUICK, self.place(1, share) - self.now())
            self.remove(count)
            self.add(text)
            count = text
            self.play(Transform(curve, plot(terms)), run_time=secs)
        self.beat(2)
        rings = VGroup(*[Circle(0.32, color=ROSE, stroke_width=5).move_to(axes.c2p(x, y)) for x, y in
                         ((0.09 * PI, 1.12), (0.91 * PI, 1.12), (1.09 * PI, -1.12), (1.91 * PI, -1.12))])
        self.by(2, 0.45, LaggedStart(*[Create(r) for r in rings], lag_ratio=0.2), FadeOut(recipe))
        name = label("overshoot, about 9 % of the jump", 32, ROSE).move_to([0, 1.85, 0])
        more = label("65 terms", 30, SUN, weight=BOLD).move_to(count)
        self.by(2, 0.65, FadeIn(name))
        self.remove(count)
        self.add(more)
        closer = VGroup(*[Circle(0.2, color=ROSE, stroke_width=5).move_to(axes.c2p(x, y)) for x, y in
                          ((0.02 * PI, 1.17), (0.98 * PI, 1.17), (1.02 * PI, -1.17), (1.98 * PI, -1.17))])
        self.by(2, 1.0, Transform(curve, plot(65)), Transform(rings, closer))
