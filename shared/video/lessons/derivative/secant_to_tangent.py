from qsketch_style import *


class SecantToTangent(Lesson):
    TITLE = "From secant to tangent"

    def story(self):
        axes = Axes(x_range=[0, 5, 1], y_range=[0, 5, 1], x_length=6.8, y_length=5.0, tips=False,
                    axis_config={"color": DIM, "stroke_width": 3, "include_ticks": False}).move_to([-3.1, -0.5, 0])

        def f(x):
            return 0.55 + 0.22 * x * x

        a, h = 1.3, ValueTracker(2.5)
        curve = axes.plot(f, x_range=[0, 4.4], color=SKY, stroke_width=6)

        def first():
            return axes.c2p(a, f(a))

        def second():
            return axes.c2p(a + h.get_value(), f(a + h.get_value()))

        def corner():
            return axes.c2p(a + h.get_value(), f(a))

        def slope():
            return (f(a + h.get_value()) - f(a)) / h.get_value()

        def secant():
            def y(x):
                return f(a) + slope() * (x - a)
            return Line(axes.c2p(0.1, y(0.1)), axes.c2p(4.5, y(4.5)), color=SUN, stroke_width=5)

        self.by(0, 0.35, Create(axes), Create(curve))
        p = Dot(first(), 0.11, color=INK)
        q = always_redraw(lambda: Dot(second(), 0.11, color=INK))
        run = always_redraw(lambda: Line(first(), corner(), color=LEAF, stroke_width=6))
        rise = always_redraw(lambda: Line(corner(), second(), color=ROSE, stroke_width=6))
        step = formula("h", 44, LEAF).add_updater(lambda m: m.next_to(run, DOWN, buff=0.16))
        self.by(0, 0.65, FadeIn(p, scale=2), FadeIn(q, scale=2))
        self.by(0, 0.98, Create(run), FadeIn(step))
        self.beat(1)
        line = always_redraw(secant)
        self.by(1, 0.3, Create(drawn := secant()))
        self.remove(drawn)
        self.add(line, p, q)

        ratio = VGroup(label("rise", 32, ROSE), Line(LEFT, RIGHT, color=INK, stroke_width=4).scale(0.55), label("run", 32, LEAF)).arrange(DOWN, buff=0.16)
        equals = formula("=", 48)
        number_seat = np.array([5.35, 0.9, 0])
        shown = always_redraw(lambda: number(slope(), 2, 44, SUN).move_to(number_seat))
        head = label("slope", 36, SUN).move_to([1.65, 0.9, 0])
        first_equals = formula("=", 48).next_to(head, RIGHT, buff=0.2)
        ratio.next_to(first_equals, RIGHT, buff=0.22)
        equals.next_to(ratio, RIGHT, buff=0.22)
        number_seat[0] = equals.get_right()[0] + 0.75
        self.by(1, 0.65, Create(rise), FadeIn(head, first_equals))
        self.by(1, 0.85, FadeIn(ratio))
        self.by(1, 1.0, FadeIn(equals), FadeIn(shown))
        steps = always_redraw(lambda: VGroup(formula("h =", 44, LEAF), number(h.get_value(), 2, 44, LEAF)).arrange(RIGHT, buff=0.2).move_to([3.4, -0.9, 0]))
        self.beat(2)
        self.by(2, 0.35, FadeIn(steps))
        self.by(2, 1.0, h.animate.set_value(1.2))
        self.by(3, 0.72, h.animate.set_value(0.02), FadeOut(step, run_time=0.6), rate_func=smooth)
        tangent = line.copy().clear_updaters().set_color(ROSE).set_stroke(width=8)
        word = label("tangent", 34, ROSE, weight=BOLD).next_to(tangent.get_end(), DOWN, buff=0.25)
        self.by(3, 0.95, Create(tangent), FadeIn(word))
