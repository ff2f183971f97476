from qsketch_style import *
from words import *


class TitleCard(Lesson):
    def story(self):
        seed = SCENE["seed"]
        # A wheel rolls inside a ring: it comes back to its start after `p` turns, with `q` petals.
        p, q = [(3, 8), (4, 9), (5, 8), (3, 10), (5, 12), (4, 11), (3, 7), (5, 11)][seed % 8]
        outer, inner = 2.15, 2.15 * p / q
        pen = inner * (0.55 + 0.1 * (seed % 5))
        turns = p * TAU
        hue = [(SKY, PLUM), (LEAF, SKY), (SUN, ROSE), (PLUM, ROSE)][seed % 4]

        def point(t):
            gap = outer - inner
            return np.array([gap * math.cos(t) + pen * math.cos(gap / inner * t), gap * math.sin(t) - pen * math.sin(gap / inner * t), 0])

        figure = ParametricFunction(point, t_range=[0, turns, turns / 400], stroke_width=3.5, use_smoothing=False)
        figure.set_color_by_gradient(*hue)
        figure.scale(4.4 / max(figure.width, figure.height)).move_to([4.35, 0, 0])
        title = block(SCENE["title"], 54, 24, 7.9, 4.6, weight=BOLD)
        title.move_to([-2.45, 0.1, 0])
        side = RIGHT if is_rtl(SCENE["title"]) else LEFT
        rule = Line(LEFT, RIGHT, color=SUN, stroke_width=5).scale_to_fit_width(1.8).next_to(title, DOWN, buff=0.35).align_to(title, side)
        drawing = max(2.0, self.total - 1.2)
        self.play(
            Create(figure, run_time=drawing, rate_func=linear),
            Succession(LaggedStart(*[FadeIn(line, shift=0.25 * UP) for line in title], lag_ratio=0.25, run_time=1.4), Create(rule, run_time=0.6)),
        )
        self.play(Rotate(figure, PI / 12), run_time=max(QUICK, self.total - self.now() - 0.1))
