from qsketch_style import *


class CurveOfSlopes(Lesson):
    TITLE = "A curve of slopes"

    def story(self):
        look = {"color": DIM, "stroke_width": 3, "include_ticks": False}
        top = Axes(x_range=[0, 4 * PI, PI], y_range=[-1.3, 1.3, 1], x_length=10.4, y_length=2.5, tips=False, axis_config=look).move_to([0.8, 1.2, 0])
        low = Axes(x_range=[0, 4 * PI, PI], y_range=[-1.3, 1.3, 1], x_length=10.4, y_length=2.5, tips=False, axis_config=look).move_to([0.8, -1.75, 0])
        wave = top.plot(math.sin, color=SKY, stroke_width=6)
        names = VGroup(label("wave", 28, SKY).next_to(top, LEFT, buff=0.5), label("slope", 28, SUN).next_to(low, LEFT, buff=0.5))
        x = ValueTracker(0.001)

        def color():
            slope = math.cos(x.get_value())
            return LEAF if slope > 0.12 else ROSE if slope < -0.12 else SUN

        def tangent():
            centre = top.c2p(x.get_value(), math.sin(x.get_value()))
            way = normalize(top.c2p(1, math.cos(x.get_value())) - top.c2p(0, 0))
            return VGroup(Line(centre - 0.85 * way, centre + 0.85 * way, color=color(), stroke_width=6), Dot(centre, 0.1, color=INK))

        def drop():
            return DashedLine(top.c2p(x.get_value(), math.sin(x.get_value())), low.c2p(x.get_value(), math.cos(x.get_value())), color=DIM, stroke_width=2)

        def trace():
            return low.plot(math.cos, x_range=[0, max(0.02, x.get_value()), 0.05], color=SUN, stroke_width=6)

        def pen():
            return Dot(low.c2p(x.get_value(), math.cos(x.get_value())), 0.1, color=color())

        self.by(0, 0.35, Create(top), Create(low), Create(wave), FadeIn(names))
        moving = [always_redraw(m) for m in (tangent, drop, trace, pen)]
        self.add(*moving)
        self.by(0, 1.0, x.animate.set_value(0.8), rate_func=linear)
        self.by(1, 0.3, x.animate.set_value(1.35), rate_func=linear)
        self.by(1, 0.55, x.animate.set_value(2.0), rate_func=linear)
        self.by(1, 0.9, x.animate.set_value(4.6), rate_func=linear)
        self.by(2, 0.45, x.animate.set_value(4 * PI - 0.01), rate_func=linear)
        law = VGroup(formula(r"\sin(x)", 50, SKY), formula(r"\longrightarrow", 46, DIM), formula(r"\cos(x)", 50, SUN)).arrange(RIGHT, buff=0.3)
        law.move_to([0.5, -0.25, 0])
        back = BackgroundRectangle(law, color=PAPER, fill_opacity=0.92, buff=0.12)
        self.by(2, 0.9, FadeIn(back), Write(law), *[FadeOut(m) for m in (moving[0], moving[1], moving[3])])
