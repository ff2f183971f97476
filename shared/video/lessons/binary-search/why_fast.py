from qsketch_style import *


class WhyFast(Lesson):
    TITLE = "Why it is so fast"

    def story(self):
        bar = Rectangle(width=11.2, height=0.62, color=SKY, stroke_width=3, fill_color=SKY, fill_opacity=0.45).move_to([0, 1.75, 0])
        left = bar.get_left()[0]
        self.by(0, 0.3, GrowFromEdge(bar, LEFT))
        bars = [bar]
        for n in range(1, 5):
            width = 11.2 / 2 ** n
            half = Rectangle(width=width, height=0.62, color=SKY, stroke_width=3, fill_color=SKY, fill_opacity=0.45)
            half.move_to([left + width / 2, 1.75 - 0.82 * n, 0])
            gone = Rectangle(width=width, height=0.62, color=FAINT, stroke_width=2, fill_color=FAINT, fill_opacity=0.4).next_to(half, RIGHT, buff=0)
            bars.append(half)
            self.by(0, 0.3 + 0.165 * n, TransformFromCopy(bars[n - 1], half), FadeIn(gone))
        everything = Group(*[m for m in self.mobjects if m is not self.title and m not in self.title])
        table = VGroup()
        for size, looks, power in (("16", "4", "2^4"), ("1,000", "10", r"2^{10}"), ("1,000,000", "20", r"2^{20}")):
            items = VGroup(label(size, 36, INK).move_to([-4.2, 0, 0]), Arrow([-2.2, 0, 0], [-0.6, 0, 0], color=DIM, buff=0, stroke_width=5),
                           label(f"{looks} looks", 38, SUN, weight=BOLD).move_to([1.1, 0, 0]), formula(power, 44, DIM).move_to([4.3, 0, 0]))
            table.add(items)
        for n, items in enumerate(table):
            items.shift((1.5 - 1.25 * n) * UP)
        self.beat(1)
        self.by(1, 0.1, FadeOut(everything))
        for n, share in enumerate((0.38, 0.65, 0.95)):
            self.by(1, share, LaggedStart(FadeIn(table[n][0]), GrowArrow(table[n][1]), FadeIn(table[n][2], scale=1.3), FadeIn(table[n][3]), lag_ratio=0.25))
        axes = Axes(x_range=[0, 32, 8], y_range=[0, 32, 8], x_length=9.4, y_length=4.7, tips=False,
                    axis_config={"color": DIM, "stroke_width": 3, "include_ticks": False}).move_to([-0.9, -0.4, 0])
        straight = axes.plot(lambda x: x, x_range=[0, 31], color=ROSE, stroke_width=6)
        log = axes.plot(lambda x: math.log2(max(x, 1)), x_range=[1, 32], color=LEAF, stroke_width=6)
        words = VGroup(label("one by one", 30, ROSE).next_to(axes.c2p(31, 31), RIGHT, buff=0.2), label("halving", 30, LEAF).next_to(axes.c2p(32, 5), RIGHT, buff=0.2))
        size = label("length of the list", 26, DIM).next_to(axes, DOWN, buff=0.12)
        self.beat(2)
        self.by(2, 0.18, FadeOut(table), FadeIn(axes, size))
        self.by(2, 0.55, Create(straight), FadeIn(words[0]))
        self.by(2, 0.98, Create(log), FadeIn(words[1]))
