NUMBERS = [3, 8, 12, 17, 23, 29, 34, 38, 45, 52, 60, 71, 80, 88, 95]


def cards(numbers, width=0.82, y=0.3):
    """A row of cards, one per number; each is a VGroup of its frame and its text."""
    row = VGroup()
    for value in numbers:
        frame = RoundedRectangle(width=width * 0.9, height=1.05, corner_radius=0.1, color=SKY, stroke_width=4, fill_color=SKY, fill_opacity=0.14)
        row.add(VGroup(frame, label(str(value), 28).move_to(frame)))
    return row.arrange(RIGHT, buff=width * 0.1).move_to([0, y, 0])


def pointer(text, color, card, direction=DOWN):
    """A small arrow with a word, that points at a card from below or from above."""
    tip = Triangle(color=color, fill_color=color, fill_opacity=1, stroke_width=0).scale(0.13)
    if direction[1] > 0:
        tip.rotate(PI)
    word = label(text, 26, color, weight=BOLD)
    return VGroup(tip, word).arrange(direction, buff=0.1).next_to(card, direction, buff=0.14)
