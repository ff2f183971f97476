from qsketch_style import *
from arrows import *


class ArrowsOnArrows(Lesson):
    TITLE = "Arrows on arrows"

    def story(self):
        t = ValueTracker(2 * PI)
        sizes = [ValueTracker(1.45), ValueTracker(0.0), ValueTracker(0.0), ValueTracker(0.0)]
        speeds, colors, turn = [1, 3, 5, 7], [SKY, LEAF, PLUM, ROSE], 4 * PI

        def terms():
            return [(speed, size.get_value()) for speed, size in zip(speeds, sizes) if size.get_value() > 0.004]

        axis = Line([WAVE_LEFT, CENTRE[1], 0], [WAVE_LEFT + WAVE_WIDTH, CENTRE[1], 0], color=DIM, stroke_width=3)
        picture = always_redraw(lambda: VGroup(chain(terms(), t.get_value(), colors), thread(terms(), t.get_value()),
                                               trace(terms(), t.get_value(), turn)))
        self.play(FadeIn(axis, picture), run_time=0.5)
        legend = VGroup()
        for speed, color in zip(speeds, colors):
            name = VGroup(Line(ORIGIN, 0.5 * RIGHT, color=color, stroke_width=7), label(f"speed {speed}", 26, color)).arrange(RIGHT, buff=0.15)
            legend.add(name)
        legend.arrange(RIGHT, buff=0.7).move_to([0, 2.15, 0])
        self.go(t, 0, 0.2, FadeIn(legend[0]))
        self.go(t, 0, 0.6, sizes[1].animate.set_value(1.45 / 3), FadeIn(legend[1]))
        self.go(t, 0, 1.0)
        self.go(t, 1, 1.0)
        self.go(t, 2, 0.3, sizes[2].animate.set_value(1.45 / 5), FadeIn(legend[2]))
        self.go(t, 2, 0.6, sizes[3].animate.set_value(1.45 / 7), FadeIn(legend[3]))
        self.go(t, 2, 1.0)
        self.play(t.animate(rate_func=linear).increment_value(1.7 * PAUSE), run_time=PAUSE)

    def go(self, t, i, share, *more):
        """Lets the arrows turn on until `share` of sentence `i`, beside whatever else happens."""
        secs = max(QUICK, self.place(i, share) - self.now())
        self.play(t.animate(rate_func=linear).increment_value(1.7 * secs), *more, run_time=secs)
