CENTRE = np.array([-4.35, -0.35, 0])
WAVE_LEFT = -1.9
WAVE_WIDTH = 8.3


def joints(terms, t):
    """The joints of the chain of arrows at angle t; a term is (speed, length)."""
    at = [CENTRE]
    for speed, length in terms:
        at.append(at[-1] + length * np.array([math.cos(speed * t), math.sin(speed * t), 0]))
    return at


def chain(terms, t, colors):
    """Circles and arrows, each on the tip of the one before."""
    drawn, at = VGroup(), joints(terms, t)
    for n, (_, length) in enumerate(terms):
        drawn.add(Circle(length, color=DIM, stroke_width=2).move_to(at[n]).set_stroke(opacity=0.6))
    for n in range(len(terms)):
        drawn.add(Line(at[n], at[n + 1], color=colors[n % len(colors)], stroke_width=6))
    return drawn.add(Dot(at[-1], 0.09, color=SUN))


def trace(terms, t, turn):
    """The tip's height over time, the newest at the left; `turn` is the angle that fills the width."""
    steps = 150
    points = []
    for n in range(steps + 1):
        past = n / steps * min(t, turn)
        points.append([WAVE_LEFT + WAVE_WIDTH * past / turn, joints(terms, t - past)[-1][1], 0])
    wave = VMobject(color=SUN, stroke_width=5)
    return wave.set_points_as_corners(points if len(points) > 1 else points * 2)


def thread(terms, t):
    """The dashed line from the tip to the wave's newest point."""
    tip = joints(terms, t)[-1]
    return Line(tip, [WAVE_LEFT, tip[1], 0], color=DIM, stroke_width=2)
