from qsketch_style import *
from cards import *


class TheRecipe(Lesson):
    TITLE = "The recipe"

    def story(self):
        text = [
            "low, high = 0, len(numbers) - 1",
            "while low <= high:",
            "    middle = (low + high) // 2",
            "    if numbers[middle] < goal:",
            "        low = middle + 1",
            "    elif numbers[middle] > goal:",
            "        high = middle - 1",
            "    else:",
            "        return middle",
        ]
        lines = VGroup()
        for n, line in enumerate(text):
            bare = line.lstrip()
            drawn = label(bare, 27, INK, font=MONO)
            drawn.move_to([-6.2 + 0.26 * (len(line) - len(bare)) + drawn.width / 2, 2.2 - 0.46 * n, 0])
            lines.add(drawn)
        colors = {0: LEAF, 2: SUN, 4: LEAF, 6: ROSE, 8: SKY}
        self.by(0, 0.98, LaggedStart(*[FadeIn(line, shift=0.2 * RIGHT) for line in lines], lag_ratio=0.3))
        numbers = [12, 23, 34, 45, 60, 71, 88]
        row = cards(numbers, width=0.86, y=-2.35).shift(3.0 * RIGHT)
        low, high = pointer("low", LEAF, row[0], UP), pointer("high", ROSE, row[6], UP)
        self.beat(1)
        self.by(1, 0.35, FadeIn(row, shift=0.3 * UP))
        self.by(1, 0.75, FadeIn(low, high), lines[0].animate.set_color(LEAF))
        self.by(1, 1.0, Indicate(low, color=LEAF), Indicate(high, color=ROSE))
        middle = pointer("middle", SUN, row[3], UP)
        self.beat(2)
        self.by(2, 0.3, FadeIn(middle), lines[2].animate.set_color(SUN), row[3][0].animate.set_color(SUN))
        self.by(2, 0.58, lines[4].animate.set_color(LEAF), lines[0].animate.set_color(INK),
                low.animate.next_to(row[4], UP, buff=0.14), *[row[n].animate.set_opacity(0.15) for n in range(4)], FadeOut(middle))
        self.by(2, 0.78, lines[6].animate.set_color(ROSE), lines[4].animate.set_color(INK), FadeOut(low),
                high.animate.next_to(row[4], UP, buff=0.14), *[row[n].animate.set_opacity(0.15) for n in (5, 6)])
        self.by(2, 1.0, lines[8].animate.set_color(SKY), lines[6].animate.set_color(INK), FadeOut(high), row[4][0].animate.set_color(LEAF).set_fill(LEAF, 0.5))
        self.beat(3)
        self.by(3, 0.2, *[card.animate.set_opacity(1) for card in row], *[line.animate.set_opacity(0.35) for line in lines])
        for card in row:
            card[0].set_fill(SKY, 0.14)
        shuffled = [row[n].get_center() for n in (3, 0, 5, 2, 6, 1, 4)]
        self.by(3, 0.38, *[card.animate(path_arc=0.6).move_to(spot) for card, spot in zip(row, shuffled)])
        ordered = sorted(shuffled, key=lambda spot: spot[0])
        done = label("sorted", 30, LEAF, weight=BOLD).next_to(row, UP, buff=0.2)
        self.by(3, 0.65, *[card.animate(path_arc=-0.6).move_to(spot) for card, spot in zip(row, ordered)])
        self.by(3, 0.98, FadeIn(done), LaggedStart(*[card[0].animate.set_color(LEAF) for card in row], lag_ratio=0.2))
