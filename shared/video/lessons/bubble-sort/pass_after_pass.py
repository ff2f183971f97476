from qsketch_style import *
from bars import *


class PassAfterPass(Lesson):
    TITLE = "Pass after pass"

    def story(self):
        bars = Bars([3, 5, 1, 4, 2, 6])
        bars.at(5)[0].set_color(LEAF)
        self.add(bars)
        self.frame = frame_around(bars, 0)
        self.count = VGroup(label("pass", 30, DIM), label("2", 44, SUN, weight=BOLD)).arrange(DOWN, buff=0.15).move_to([-5.9, 0.3, 0])
        self.by(0, 0.25, FadeIn(self.frame, self.count))
        self.run_pass(bars, 4, 0, 0.25, 0, 1.0)
        self.beat(1)
        self.run_pass(bars, 3, 1, 0.0, 1, 0.55)
        self.run_pass(bars, 2, 1, 0.55, 1, 1.0)
        self.beat(2)
        self.run_pass(bars, 1, 2, 0.0, 2, 0.3)
        self.by(2, 0.45, FadeOut(self.frame), bars.at(0)[0].animate.set_color(LEAF), bars.at(1)[0].animate.set_color(LEAF))
        word = label("no swap: done", 34, LEAF, weight=BOLD).move_to([-3.4, 1.9, 0])
        self.by(2, 0.7, FadeIn(word, shift=0.2 * UP))
        self.by(2, 1.0, LaggedStart(*[bars.at(n).animate(rate_func=there_and_back).shift(0.2 * UP) for n in range(6)], lag_ratio=0.15))

    def run_pass(self, bars, last_place, begin, begin_share, end, end_share):
        """One pass over the first `last_place` + 1 bars, spread evenly over the time it has."""
        begin, end = self.place(begin, begin_share), self.place(end, end_share)
        number_now = label(str(6 - last_place), 44, SUN, weight=BOLD).move_to(self.count[1])
        self.count[1].become(number_now)
        slots = 2 * last_place
        for n in range(last_place):
            for half in (0, 1):
                moment = begin + (end - begin) * (2 * n + half + 1) / slots
                secs = max(0.2, moment - self.now())
                if half == 0:
                    self.play(self.frame.animate.move_to(frame_around(bars, n)), run_time=secs)
                elif bars.value(n) > bars.value(n + 1):
                    self.play(*bars.swap(n), run_time=secs)
                else:
                    self.play(Indicate(bars.at(n)[1], color=SUN), Indicate(bars.at(n + 1)[1], color=SUN), run_time=secs)
        bars.at(last_place)[0].set_color(LEAF)
