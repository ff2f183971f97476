from qsketch_style import *


class EveryRhythm(Lesson):
    TITLE = "Every rhythm is a chord"

    def story(self):
        heights = [0.55, 0.95, 0.12, 0.62, 0.08, 0.36, 0.05, 0.1]
        colors = color_gradient([SKY, PLUM, ROSE], 8)
        share = [ValueTracker(h) for h in heights]
        top = Axes(x_range=[0, 4 * PI, PI], y_range=[-2.4, 2.4, 1], x_length=12, y_length=2.5, tips=False,
                   axis_config={"color": DIM, "stroke_width": 3, "include_ticks": False}).move_to([0, 1.2, 0])
        phase = [0.3, 1.1, 2.0, 0.4, 1.0, 2.2, 0.6, 1.5]

        def value(x):
            return sum(s.get_value() * math.sin((k + 1) * x + phase[k]) for k, s in enumerate(share))

        def signal():
            return top.plot(value, x_range=[0, 4 * PI, PI / 45], color=SUN, stroke_width=5)

        self.by(0, 0.3, Create(top.get_x_axis()), Create(drawn := signal()))
        waves = VGroup()
        for k in (0, 1, 3, 5):
            y = -0.95 - 0.62 * len(waves)
            low = Axes(x_range=[0, 4 * PI], y_range=[-1, 1], x_length=12, y_length=0.95).move_to([0, y, 0])
            waves.add(low.plot(lambda x, k=k: 0.55 * heights[k] * math.sin((k + 1) * x + phase[k]), x_range=[0, 4 * PI, PI / 40], color=colors[k], stroke_width=4))
        self.by(0, 0.97, LaggedStart(*[TransformFromCopy(drawn, w) for w in waves], lag_ratio=0.35))
        self.remove(drawn)
        live = always_redraw(signal)
        self.add(live)
        base = -2.55
        places = [-4.55 + 1.3 * k for k in range(8)]
        floor = Line([-5.4, base, 0], [5.4, base, 0], color=DIM, stroke_width=3)

        def bar(k):
            height = max(0.02, 2.1 * share[k].get_value())
            return Rectangle(width=0.72, height=height, color=colors[k], stroke_width=2, fill_color=colors[k], fill_opacity=0.75).move_to([places[k], base + height / 2, 0])

        names = VGroup(*[label(str(k + 1), 24, DIM).move_to([places[k], base - 0.26, 0]) for k in range(8)])
        bars = [bar(k) for k in range(8)]
        shown = [0, 1, 3, 5]
        self.beat(1)
        self.by(1, 0.6, FadeOut(waves),
                *[GrowFromEdge(bars[k], DOWN) for k in shown], FadeIn(floor, names))
        title = label("spectrum", 28, DIM).move_to([4.3, -0.75, 0])
        self.by(1, 1.0, *[GrowFromEdge(bars[k], DOWN) for k in range(8) if k not in shown], FadeIn(title))
        self.remove(*bars)
        self.add(*[always_redraw(lambda k=k: bar(k)) for k in range(8)])
        self.beat(2)
        before = signal().clear_updaters().set_stroke(DIM, 3, opacity=0.8)
        self.add(before)
        self.bring_to_back(before)
        self.by(2, 0.45, *[share[k].animate.set_value(0.0) for k in (2, 4, 6, 7)])
        kept = label("4 numbers instead of 8", 30, SUN, weight=BOLD).move_to([3.4, -0.2, 0])
        self.by(2, 0.52, FadeOut(title))
        self.by(2, 0.75, FadeIn(kept))
        self.by(2, 1.0, *[Indicate(names[k], color=SUN, scale_factor=1.5) for k in shown])
