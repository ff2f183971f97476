from qsketch_style import *
from cards import *


class LookingForOne(Lesson):
    TITLE = "Looking for one number"

    def story(self):
        row = cards(NUMBERS)
        self.by(0, 0.6, LaggedStart(*[FadeIn(card, shift=0.3 * UP) for card in row], lag_ratio=0.12))
        goal = VGroup(label("looking for", 30, DIM), label("60", 40, SUN, weight=BOLD)).arrange(RIGHT, buff=0.25).move_to([0, 2.1, 0])
        self.by(0, 0.95, FadeIn(goal, shift=0.2 * DOWN))
        mark = pointer("look", SUN, row[0])
        count = label("1", 44, SUN, weight=BOLD).move_to([0.75, -2.1, 0])
        word = label("looks", 32, DIM).next_to([0.05, -2.1, 0], LEFT, buff=0.15)
        self.beat(1)
        self.by(1, 0.1, FadeIn(mark, word, count))
        for n in range(11):
            share = 0.1 + 0.85 * (n + 1) / 11
            shown = label(str(n + 1), 44, SUN, weight=BOLD).move_to(count)
            self.remove(count)
            count = shown
            self.add(count)
            color = LEAF if n == 10 else DIM
            step = [row[n][0].animate.set_color(color)]
            if n:
                step.append(mark.animate.next_to(row[n], DOWN, buff=0.14))
            secs = max(0.2, self.place(1, share) - self.now())
            self.play(*step, run_time=secs)
        self.play(row[10][0].animate.set_fill(LEAF, 0.5), run_time=QUICK)
        self.beat(2)
        order = Arrow(row[0].get_corner(DL), row[-1].get_corner(DR), color=PLUM, stroke_width=6, buff=0).shift(0.85 * DOWN)
        ends = VGroup(label("small", 28, PLUM).next_to(order, DOWN, buff=0.15).align_to(row, LEFT),
                      label("large", 28, PLUM).next_to(order, DOWN, buff=0.15).align_to(row, RIGHT))
        self.by(2, 0.2, FadeOut(mark, count, word), *[card[0].animate.set_color(SKY).set_fill(SKY, 0.14) for card in row])
        self.by(2, 0.6, GrowArrow(order), FadeIn(ends))
        self.by(2, 0.98, LaggedStart(*[card.animate(rate_func=there_and_back).shift(0.18 * UP) for card in row], lag_ratio=0.08))
