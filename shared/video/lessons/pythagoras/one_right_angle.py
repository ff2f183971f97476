from qsketch_style import *


class OneRightAngle(Lesson):
    TITLE = "One right angle"

    def story(self):
        a, b = ValueTracker(3.1), ValueTracker(4.4)
        corner = np.array([-2.9, -2.3, 0])

        def points():
            return corner, corner + b.get_value() * RIGHT, corner + a.get_value() * UP

        def triangle():
            return Polygon(*points(), color=INK, stroke_width=5, fill_color=SKY, fill_opacity=0.16)

        shape = always_redraw(triangle)
        mark = always_redraw(lambda: Square(0.34, color=SUN, stroke_width=4).move_to(corner + 0.17 * (UP + RIGHT)))
        self.by(0, 0.55, Create(drawn := triangle()))
        self.swap(drawn, shape)
        self.by(0, 0.95, Create(mark))
        self.add(mark)

        names = [("a", LEAF), ("b", SKY), ("c", ROSE)]
        glyphs = [formula(name, 52, color) for name, color in names]

        def side(n):
            o, p, q = points()
            return [(o, q), (o, p), (p, q)][n]

        def edge(n):
            return Line(*side(n), color=names[n][1], stroke_width=9)

        def put(glyph, n):
            u, v = side(n)
            away = [LEFT, DOWN, normalize(rotate_vector(v - u, -PI / 2))][n]
            glyph.move_to((u + v) / 2 + 0.42 * away)

        edges = [always_redraw(lambda n=n: edge(n)) for n in range(3)]
        for n, glyph in enumerate(glyphs):
            put(glyph, n)
            glyph.add_updater(lambda g, n=n: put(g, n))
        self.beat(1)
        legs = [edge(0), edge(1)]
        self.by(1, 0.5, *[AnimationGroup(Create(leg), FadeIn(glyph)) for leg, glyph in zip(legs, glyphs)])
        self.swap(*legs, *edges[:2])
        self.by(1, 0.85, Flash(mark.get_center(), color=SUN, line_length=0.2), Indicate(glyphs[0], color=LEAF), Indicate(glyphs[1], color=SKY))
        self.beat(2)
        self.by(2, 0.4, Create(drawn := edge(2)), FadeIn(glyphs[2]))
        self.swap(drawn, edges[2])
        word = label("hypotenuse", 30, ROSE)
        word.next_to(glyphs[2], RIGHT, buff=0.25)
        self.by(2, 0.9, FadeIn(word, shift=0.2 * RIGHT))
        self.beat(3)
        self.by(3, 0.12, FadeOut(word))
        self.by(3, 0.34, a.animate.set_value(4.2), b.animate.set_value(2.8))
        self.by(3, 0.58, a.animate.set_value(1.7), b.animate.set_value(5.4))
        self.by(3, 0.8, a.animate.set_value(3.0), b.animate.set_value(4.0))
        law = formula("a^2 + b^2 = c^2", 56).move_to([3.9, 0.9, 0])
        for at, color in ((0, LEAF), (1, LEAF), (3, SKY), (4, SKY), (6, ROSE), (7, ROSE)):
            law[at].set_color(color)
        self.by(3, 1.0, Write(law))

    def swap(self, *drawn_then_moving):
        """Puts the moving shapes in the place of those that were drawn."""
        half = len(drawn_then_moving) // 2
        self.remove(*drawn_then_moving[:half])
        self.add(*drawn_then_moving[half:])
