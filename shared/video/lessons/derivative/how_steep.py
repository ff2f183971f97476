from qsketch_style import *


class HowSteep(Lesson):
    TITLE = "How steep is a curve?"

    def story(self):
        axes = Axes(x_range=[0, 10, 1], y_range=[0, 5, 1], x_length=11, y_length=4.6, tips=False,
                    axis_config={"color": DIM, "stroke_width": 3, "include_ticks": False}).move_to([0, -0.45, 0])

        def f(x):
            return 2.35 + 1.6 * math.sin(0.72 * x - 1.1)

        def df(x):
            return 1.6 * 0.72 * math.cos(0.72 * x - 1.1)

        road = axes.plot(lambda x: 0.7 + 0.38 * x, x_range=[0, 10], color=DIM, stroke_width=6)
        curve = axes.plot(f, x_range=[0, 10], color=SKY, stroke_width=6)
        x = ValueTracker(0.6)

        def place(g):
            return axes.c2p(x.get_value(), g(x.get_value()))

        def tangent(g, dg):
            centre = place(g)
            way = normalize(axes.c2p(1, dg(x.get_value())) - axes.c2p(0, 0))
            slope = dg(x.get_value())
            color = LEAF if slope > 0.25 else ROSE if slope < -0.25 else SUN
            return VGroup(Line(centre - 1.25 * way, centre + 1.25 * way, color=color, stroke_width=6), Dot(centre, 0.11, color=INK))

        self.by(0, 0.4, Create(axes), Create(road))
        on_road = always_redraw(lambda: tangent(lambda t: 0.7 + 0.38 * t, lambda t: 0.38))
        self.add(on_road)
        self.by(0, 0.98, x.animate.set_value(9.2), rate_func=linear)
        self.remove(on_road)
        self.by(1, 0.2, ReplacementTransform(road, curve), x.animate.set_value(0.7))
        on_curve = always_redraw(lambda: tangent(f, df))
        self.add(on_curve)
        words = {"climbs": (1.55, LEAF), "flat": (3.71, SUN), "falls": (5.9, ROSE)}
        notes = {name: label(name, 30, color, weight=BOLD) for name, (_, color) in words.items()}
        notes["climbs"].move_to(axes.c2p(0.75, 3.1)), notes["flat"].move_to(axes.c2p(3.71, 4.75)), notes["falls"].move_to(axes.c2p(7.0, 3.1))
        for name, share in (("climbs", 0.45), ("flat", 0.7), ("falls", 0.97)):
            self.by(1, share, x.animate.set_value(words[name][0]), FadeIn(notes[name]))
        self.beat(2)
        self.by(2, 0.45, x.animate.set_value(2.4), *[FadeOut(n) for n in notes.values()])
        ring = Circle(0.4, color=SUN, stroke_width=5).move_to(place(f))
        ask = label("?", 64, SUN, weight=BOLD).next_to(ring, DR, buff=0.3)
        self.by(2, 0.75, Create(ring), FadeIn(ask, scale=1.5))
        self.by(2, 1.0, Indicate(ask, color=SUN))
