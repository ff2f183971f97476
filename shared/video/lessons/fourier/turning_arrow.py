from qsketch_style import *
from arrows import *


class TurningArrow(Lesson):
    TITLE = "A turning arrow draws a wave"

    def story(self):
        t, length = ValueTracker(0.0), ValueTracker(1.25)
        turn = 4 * PI

        def terms():
            return [(1, length.get_value())]

        axis = VGroup(Line([WAVE_LEFT, CENTRE[1], 0], [WAVE_LEFT + WAVE_WIDTH, CENTRE[1], 0], color=DIM, stroke_width=3),
                      label("time", 26, DIM).move_to([WAVE_LEFT + WAVE_WIDTH - 0.4, CENTRE[1] - 2.3, 0]))
        still = chain(terms(), 0, [SKY])
        self.by(0, 0.4, FadeIn(still, scale=0.8))
        arrow = always_redraw(lambda: chain(terms(), t.get_value(), [SKY]))
        self.remove(still)
        self.add(arrow)
        self.by(0, 1.0, t.animate.set_value(1.2), rate_func=rush_into)
        axis.set_opacity(0)
        self.add(axis)
        pace = 2.1
        base = t.get_value()
        moving = [always_redraw(lambda: thread(terms(), t.get_value())), always_redraw(lambda: self.wave(terms(), base, t.get_value(), turn))]
        self.add(*moving)
        for i, share, more in ((1, 0.3, [axis.animate.set_opacity(1)]), (1, 1.0, []), (2, 0.25, []), (2, 0.8, [length.animate.set_value(2.0)]), (2, 1.0, [])):
            secs = max(QUICK, self.place(i, share) - self.now())
            self.play(t.animate(rate_func=linear).increment_value(pace * secs), *more, run_time=secs)
        self.play(t.animate(rate_func=linear).increment_value(pace * PAUSE), run_time=PAUSE)

    def wave(self, terms, base, now, turn):
        """The trace since `base`, the angle at which the pen was put down."""
        steps = 120
        span = min(now - base, turn)
        points = [[WAVE_LEFT + WAVE_WIDTH * n / steps * span / turn, joints(terms, now - n / steps * span)[-1][1], 0] for n in range(steps + 1)]
        return VMobject(color=SUN, stroke_width=5).set_points_as_corners(points)
