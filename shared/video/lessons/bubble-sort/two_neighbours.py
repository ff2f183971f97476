from qsketch_style import *
from bars import *


class TwoNeighbours(Lesson):
    TITLE = "Compare two neighbours"

    def story(self):
        bars = Bars(HEIGHTS)
        self.by(0, 0.95, LaggedStart(*[GrowFromEdge(bar, DOWN) for bar in bars], lag_ratio=0.2))
        frame = frame_around(bars, 0)
        self.beat(1)
        self.by(1, 0.3, Create(frame))
        self.by(1, 0.6, Indicate(bars.at(0), color=SUN, scale_factor=1.05), Indicate(bars.at(1), color=SUN, scale_factor=1.05))
        self.by(1, 0.98, *bars.swap(0))
        self.beat(2)
        for n in range(1, 5):
            done = n / 4.0
            self.by(2, done - 0.14, frame.animate.move_to(frame_around(bars, n)))
            if bars.value(n) > bars.value(n + 1):
                self.by(2, done, *bars.swap(n))
        self.beat(3)
        last = bars.at(5)
        self.by(3, 0.35, FadeOut(frame), last[0].animate.set_color(LEAF))
        word = label("in its place", 30, LEAF, weight=BOLD).next_to(last, RIGHT, buff=0.3)
        self.by(3, 0.7, FadeIn(word, shift=0.2 * LEFT))
        self.by(3, 1.0, Indicate(last, color=LEAF, scale_factor=1.06))
