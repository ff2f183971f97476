from qsketch_style import *


class TheLimit(Lesson):
    TITLE = "The limit, worked out"

    def story(self):
        # The square of side x + h: what is more than x squared is two strips and a corner.
        origin, x, h = np.array([-5.7, -2.55, 0]), 2.9, 0.85

        def at(u, v):
            return origin + np.array([u, v, 0])

        def box(u, v, width, height, color):
            return Rectangle(width=width, height=height, color=color, stroke_width=4, fill_color=color, fill_opacity=0.35).move_to(at(u + width / 2, v + height / 2))

        square = box(0, 0, x, x, SKY)
        strips = VGroup(box(x, 0, h, x, LEAF), box(0, x, x, h, LEAF))
        corner = box(x, x, h, h, ROSE)
        inside = VGroup(formula("x^2", 56, SKY).move_to(square), formula("xh", 40, LEAF).move_to(strips[0]),
                        formula("xh", 40, LEAF).move_to(strips[1]), formula("h^2", 38, ROSE).move_to(corner))
        marks = VGroup(formula("x", 40, DIM).next_to(at(x / 2, 0), DOWN, buff=0.14), formula("h", 40, DIM).next_to(at(x + h / 2, 0), DOWN, buff=0.14))
        self.by(0, 0.6, DrawBorderThenFill(square))
        self.by(0, 1.0, Write(inside[0]), FadeIn(marks[0]))

        lines = VGroup(
            formula("(x+h)^2 - x^2", 54),
            formula("= 2xh + h^2", 54),
            formula(r"\frac{2xh + h^2}{h} = 2x + h", 54),
            formula("2x", 72, SUN),
        )
        lines[0].move_to([2.9, 1.9, 0])
        lines[1].next_to(lines[0], DOWN, buff=0.35)
        lines[2].next_to(lines[1], DOWN, buff=0.5)
        lines[3].next_to(lines[2], DOWN, buff=0.6)
        lines[1][1:4].set_color(LEAF), lines[1][5:].set_color(ROSE)
        self.beat(1)
        self.by(1, 0.22, FadeIn(strips, corner), FadeIn(marks[1]))
        self.by(1, 0.5, Write(lines[0]))
        self.by(1, 0.8, FadeIn(inside[1:3]), Write(lines[1][0:4]))
        self.by(1, 0.98, FadeIn(inside[3]), Write(lines[1][4:]))
        self.beat(2)
        self.by(2, 0.8, Write(lines[2]))
        self.beat(3)
        rest = VGroup(strips, corner, inside[1:], marks[1])
        thin = VGroup(Line(at(x, 0), at(x, x), color=LEAF, stroke_width=7), Line(at(0, x), at(x, x), color=LEAF, stroke_width=7))
        self.by(3, 0.55, FadeOut(inside[1:], marks[1], corner), ReplacementTransform(strips, thin), lines[2][-2:].animate.set_opacity(0.25))
        target = lines[3]
        self.by(3, 0.95, TransformFromCopy(lines[2][-4:-2], target))
        self.beat(4)
        name = formula(r"f'(x) = 2x", 66, SUN).move_to(target)
        self.by(4, 0.6, ReplacementTransform(target, name))
        self.by(4, 1.0, Create(SurroundingRectangle(name, color=SUN, buff=0.22, corner_radius=0.14)))
