from qsketch_style import *
from words import *


class InShort(Lesson):
    TITLE = SCENE["title"]

    def story(self):
        text = block(SCENE["text"], 42, 34, 9.6, 3.2, weight=BOLD, centred=True).move_to([0, -0.25, 0])
        frame = RoundedRectangle(width=text.width + 1.6, height=text.height + 1.3, corner_radius=0.25, color=SUN, stroke_width=5).move_to(text)
        beads = VGroup(*[Dot(radius=0.09, color=color) for color in (SKY, LEAF, PLUM, ROSE, SUN)])
        spread = [0.0, 0.2, 0.4, 0.6, 0.8]
        for bead, at in zip(beads, spread):
            bead.move_to(frame.point_from_proportion(at))
        self.by(0, 0.7, LaggedStart(*[FadeIn(line, shift=0.2 * UP) for line in text], lag_ratio=0.4), Create(frame))
        self.play(FadeIn(beads), run_time=QUICK)
        path = ValueTracker(0.0)
        for bead, at in zip(beads, spread):
            bead.add_updater(lambda b, at=at: b.move_to(frame.point_from_proportion((at + path.get_value()) % 1.0)))
        self.play(path.animate.set_value(0.4), run_time=max(QUICK, self.total - self.now() - 0.05), rate_func=smooth)
