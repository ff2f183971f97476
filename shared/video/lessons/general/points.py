from qsketch_style import *
from words import *


class Points(Lesson):
    TITLE = SCENE["title"]

    def story(self):
        texts = SCENE["points"]
        rtl = is_rtl(texts[0])
        colors = [SKY, LEAF, PLUM]
        height = 5.2 / max(2, len(texts))
        rows = VGroup()
        for n, text in enumerate(texts):
            body = block(text, 34, 56, 10.3, height - 0.55)
            card = RoundedRectangle(width=12.4, height=height - 0.22, corner_radius=0.16, stroke_width=3, color=colors[n],
                                    fill_color=colors[n], fill_opacity=0.1)
            badge = VGroup(Circle(0.36, color=colors[n], stroke_width=4), label(str(SCENE["first"] + n), 30, colors[n], weight=BOLD))
            badge.move_to(card.get_edge_center(RIGHT if rtl else LEFT) + (0.8 * LEFT if rtl else 0.8 * RIGHT))
            body.next_to(badge, LEFT if rtl else RIGHT, buff=0.45)
            rows.add(VGroup(card, badge, body))
        rows.arrange(DOWN, buff=0.22).move_to([0, -0.3, 0])
        for n, row in enumerate(rows):
            card, badge, body = row
            self.beat(n)
            calm = [r[0].animate.set_stroke(opacity=0.35).set_fill(opacity=0.04) for r in rows[:n]]
            self.by(n, 0.18, Create(card), FadeIn(badge, scale=0.6), *calm)
            self.by(n, 0.75, LaggedStart(*[FadeIn(line, shift=0.2 * (LEFT if rtl else RIGHT)) for line in body], lag_ratio=0.5))
            self.by(n, 1.0, Indicate(badge, color=colors[n], scale_factor=1.15))
