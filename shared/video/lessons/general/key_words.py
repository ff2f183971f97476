from qsketch_style import *
from words import *


class KeyWords(Lesson):
    TITLE = SCENE["title"]

    def story(self):
        words = SCENE["words"]
        centre = np.array([0, -0.35, 0])
        heart = block(SCENE["about"], 36, 20, 3.0, 1.3, weight=BOLD, centred=True).move_to(centre)
        ring = Ellipse(width=4.5, height=2.3, color=SUN, stroke_width=5, fill_color=SUN, fill_opacity=0.08).move_to(centre)
        self.by(0, 0.9, Create(ring), FadeIn(heart))
        colors = [SKY, LEAF, PLUM, ROSE, SKY, LEAF]
        spots = {3: [90, 205, 335], 4: [145, 35, 215, 325], 5: [150, 90, 30, 215, 325], 6: [150, 90, 30, 210, 270, 330]}[len(words)]
        for n, (word, angle) in enumerate(zip(words, spots)):
            way = np.array([math.cos(angle * DEGREES), math.sin(angle * DEGREES), 0])
            node = centre + np.array([5.0 * way[0], 2.35 * way[1], 0])
            text = label(word, 32, colors[n], width=3.4, weight=BOLD)
            frame = RoundedRectangle(width=text.width + 0.6, height=0.85, corner_radius=0.2, color=colors[n], stroke_width=3, fill_color=PAPER, fill_opacity=1)
            leaf = VGroup(frame, text.move_to(frame)).move_to(node)
            edge = Line(ring.point_from_proportion((angle % 360) / 360), node, color=colors[n], stroke_width=3)
            self.beat(1, n / len(words))
            self.by(1, (n + 0.55) / len(words), Create(edge), FadeIn(leaf, scale=0.6))
        self.by(1, 1.0, Indicate(ring, color=SUN, scale_factor=1.04))
