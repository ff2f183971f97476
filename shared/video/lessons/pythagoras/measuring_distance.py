from qsketch_style import *


class MeasuringDistance(Lesson):
    TITLE = "Measuring distance"

    def story(self):
        u = 0.86
        origin = np.array([-5.6, -2.75, 0])

        def at(x, y):
            return origin + u * np.array([x, y, 0])

        grid = VGroup(*[Line(at(x, 0), at(x, 6), color=FAINT, stroke_width=2) for x in range(8)],
                      *[Line(at(0, y), at(7, y), color=FAINT, stroke_width=2) for y in range(7)])
        here, there = at(1, 1), at(5, 4)
        start, end = Dot(here, 0.12, color=SUN), Dot(there, 0.12, color=SUN)
        self.by(0, 0.7, Create(grid, lag_ratio=0.02))
        self.by(0, 1.0, FadeIn(start, scale=2), FadeIn(end, scale=2))
        names = VGroup(label("here", 26, SUN).next_to(start, DOWN, buff=0.14), label("there", 26, SUN).next_to(end, UP, buff=0.14))
        self.beat(1)
        self.by(1, 0.2, FadeIn(names))

        walker = Dot(here, 0.09, color=INK)
        self.add(walker)
        right, up = Line(here, at(5, 1), color=SKY, stroke_width=8), Line(at(5, 1), there, color=LEAF, stroke_width=8)
        four = label("4", 34, SKY, weight=BOLD).next_to(right, DOWN, buff=0.16)
        three = label("3", 34, LEAF, weight=BOLD).next_to(up, RIGHT, buff=0.18)
        self.by(1, 0.62, Create(right), walker.animate.move_to(at(5, 1)), FadeIn(four), rate_func=linear)
        self.by(1, 0.98, Create(up), walker.animate.move_to(there), FadeIn(three), rate_func=linear)

        lines = VGroup(
            formula("4^2 + 3^2", 56),
            formula("= 16 + 9", 56),
            formula("= 25", 56),
            formula(r"\sqrt{25} = 5", 60, ROSE),
        ).arrange(DOWN, buff=0.45, aligned_edge=LEFT).move_to([3.9, -0.2, 0])
        lines[0][0:2].set_color(SKY), lines[0][3:5].set_color(LEAF)
        self.beat(2)
        self.by(2, 0.3, Write(lines[0]))
        self.by(2, 0.45, Write(lines[1]))
        self.by(2, 0.62, Write(lines[2]))
        straight = Line(here, there, color=ROSE, stroke_width=8)
        five = label("5", 38, ROSE, weight=BOLD).move_to(straight.get_center() + 0.42 * normalize(np.array([-3, 4, 0])))
        self.by(2, 0.97, Write(lines[3]), Create(straight), FadeIn(five))
        self.beat(3)
        triangle = Polygon(here, at(5, 1), there, stroke_width=0, fill_color=ROSE, fill_opacity=0.2)
        self.by(3, 0.3, FadeIn(triangle), Indicate(five, color=SUN))
        self.bring_to_back(triangle)
        pulse = [Circle(0.2, color=SUN, stroke_width=3).move_to(p) for p in (here, there)]
        self.by(3, 0.95, *[c.animate(rate_func=rush_from).scale(6).set_stroke(opacity=0) for c in pulse],
                Create(SurroundingRectangle(lines[3], color=SUN, buff=0.16, corner_radius=0.12)))
