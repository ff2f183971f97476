HEIGHTS = [5, 3, 6, 1, 4, 2]
STEP = 1.45


class Bars(VGroup):
    """Bars that stand on one line; `order` says which bar stands where."""

    def __init__(self, heights, y=-2.6):
        colors = color_gradient([SKY, PLUM, ROSE], 6)
        made = []
        for value in heights:
            bar = Rectangle(width=1.0, height=0.66 * value, color=colors[value - 1], stroke_width=3, fill_color=colors[value - 1], fill_opacity=0.6)
            made.append(VGroup(bar, label(str(value), 30, INK, weight=BOLD).next_to(bar, UP, buff=0.12)))
        super().__init__(*made)
        self.heights, self.y, self.order = list(heights), y, list(range(len(heights)))
        for n, bar in enumerate(made):
            bar.move_to(self.seat(n), aligned_edge=DOWN)

    def seat(self, n):
        return np.array([STEP * (n - (len(self.heights) - 1) / 2), self.y, 0])

    def at(self, n):
        """The bar that stands at place n."""
        return self[self.order[n]]

    def value(self, n):
        return self.heights[self.order[n]]

    def swap(self, n):
        """The animations that swap the bars at n and n + 1."""
        left, right = self.at(n), self.at(n + 1)
        self.order[n], self.order[n + 1] = self.order[n + 1], self.order[n]
        return [left.animate.shift(STEP * RIGHT), right.animate.shift(STEP * LEFT)]


def frame_around(bars, n):
    """The frame around the two places that are compared."""
    middle = (bars.seat(n) + bars.seat(n + 1)) / 2
    return RoundedRectangle(width=2 * STEP - 0.1, height=5.15, corner_radius=0.14, color=SUN, stroke_width=4).move_to(middle + 2.42 * UP)
