from qsketch_style import *


class WhyAlways(Lesson):
    TITLE = "Why it is always so"

    def story(self):
        a, b, origin = 1.55, 3.05, np.array([-5.3, -2.85, 0])
        s = a + b

        def at(x, y):
            return origin + np.array([x, y, 0])

        frame = Square(s, color=INK, stroke_width=5).move_to(at(s / 2, s / 2))
        # Right angles in the four corners of the frame; legs a and b in turn.
        spots = [
            (at(0, 0), at(a, 0), at(0, b)),
            (at(s, 0), at(s, a), at(a, 0)),
            (at(s, s), at(s - a, s), at(s, a)),
            (at(0, s), at(0, b), at(s - a, s)),
        ]
        colors = [SKY, LEAF, PLUM, SUN]
        triangles = VGroup(*[Polygon(*spot, color=c, stroke_width=3, fill_color=c, fill_opacity=0.5) for spot, c in zip(spots, colors)])
        hole = Polygon(at(a, 0), at(s, a), at(s - a, s), at(0, b), color=ROSE, stroke_width=5, fill_color=ROSE, fill_opacity=0.28)
        self.by(0, 0.35, Create(frame))
        self.by(0, 0.8, LaggedStart(*[FadeIn(t, scale=0.7) for t in triangles], lag_ratio=0.3))
        sides = VGroup(
            formula("a", 40, DIM).next_to(at(a / 2, 0), DOWN, buff=0.12),
            formula("b", 40, DIM).next_to(at(a + b / 2, 0), DOWN, buff=0.12),
        )
        self.by(0, 0.98, FadeIn(sides))
        area = formula("c^2", 64, ROSE).move_to(hole)
        edge = formula("c", 44, ROSE).move_to((at(0, b) + at(a, 0)) / 2 + 0.34 * normalize(np.array([b, a, 0])))
        self.beat(1)
        self.by(1, 0.35, DrawBorderThenFill(hole))
        self.by(1, 0.55, FadeIn(edge))
        self.by(1, 0.9, Write(area))
        self.beat(2)
        self.by(2, 0.25, FadeOut(area, edge, hole))

        # Two rectangles: one lies below on the right, one stands above on the left.
        target = [
            (at(0, s), at(a, s), at(0, a)),
            (at(s, 0), at(s, a), at(a, 0)),
            (at(a, a), at(0, a), at(a, s)),
            (at(a, a), at(a, 0), at(s, a)),
        ]
        moved = [Polygon(*spot, color=c, stroke_width=3, fill_color=c, fill_opacity=0.5) for spot, c in zip(target, colors)]
        self.by(2, 1.0, *[Transform(t, m) for t, m in zip(triangles, moved)])
        small = Square(a, color=ROSE, stroke_width=5, fill_color=ROSE, fill_opacity=0.3).move_to(at(a / 2, a / 2))
        large = Square(b, color=ROSE, stroke_width=5, fill_color=ROSE, fill_opacity=0.3).move_to(at(a + b / 2, a + b / 2))
        texts = VGroup(formula("a^2", 56, ROSE).move_to(small), formula("b^2", 64, ROSE).move_to(large))
        self.beat(3)
        same = VGroup(label("same frame", 32, INK), label("same triangles", 32, INK)).arrange(DOWN, buff=0.3, aligned_edge=LEFT)
        same.move_to([3.1, 1.2, 0])
        self.by(3, 0.18, FadeIn(same[0], shift=0.2 * RIGHT))
        self.by(3, 0.36, FadeIn(same[1], shift=0.2 * RIGHT))
        self.by(3, 0.62, DrawBorderThenFill(small), DrawBorderThenFill(large))
        self.by(3, 0.95, Write(texts))
        law = formula("a^2 + b^2 = c^2", 72).move_to([3.1, -0.9, 0])
        for n in (0, 1, 3, 4, 6, 7):
            law[n].set_color(ROSE)
        self.beat(4)
        self.by(4, 0.8, TransformFromCopy(texts[0], law[0:2]), TransformFromCopy(texts[1], law[3:5]), FadeIn(law[2], law[5:]))
        self.by(4, 1.0, Create(SurroundingRectangle(law, color=SUN, buff=0.3, corner_radius=0.15)))
