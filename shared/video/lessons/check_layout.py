"""Checks the layout of scenes: `python check_layout.py FILE CLASS [FILE CLASS ...]`, with the Python of the Manim venv.

It runs each scene without drawing it and looks at it whenever an animation has ended:
- every text and every visible shape is inside the frame,
- no two visible texts' boxes overlap,
- the scene ends with its narration, within END_SECS.

It prints one line per fault and ends with 1 if there was any.
"""
import importlib.util
import logging
import sys
import tempfile
import warnings

warnings.filterwarnings("ignore")
from manim import VMobject, config, logger, tempconfig

# How much boxes may overlap before texts touch, in units; boxes are wider than their ink.
TOUCH = 0.02
# What must stay free between a text and the frame's edge, in units.
MARGIN = 0.12
# Fainter text may lie under other text: it is on its way out.
FAINT = 0.2
# How far a scene's end may lie from its narration's, in seconds.
END_SECS = 0.5
# More faults than this of one scene say nothing new.
FAULTS_MAX = 12


def opacity(mobject):
    parts = [m for m in mobject.family_members_with_points() if isinstance(m, VMobject)]
    return max((max(m.get_fill_opacity(), m.get_stroke_opacity() if m.get_stroke_width() > 0 else 0) for m in parts), default=0.0)


def box(mobject):
    points = mobject.get_all_points()
    return points.min(axis=0), points.max(axis=0)


def texts_of(scene):
    found = []

    def walk(mobject):
        if hasattr(mobject, "words"):
            if len(mobject.get_all_points()) and opacity(mobject) > FAINT:
                found.append(mobject)
            return
        for child in mobject.submobjects:
            walk(child)

    seen = set()
    for mobject in scene.mobjects:
        walk(mobject)
    return [m for m in found if not (id(m) in seen or seen.add(id(m)))]


def faults_of(scene):
    wide, high = config.frame_width / 2, config.frame_height / 2
    texts = texts_of(scene)
    boxes = [(m.words, *box(m)) for m in texts]
    for words, low, up in boxes:
        if low[0] < MARGIN - wide or up[0] > wide - MARGIN or low[1] < MARGIN - high or up[1] > high - MARGIN:
            yield f"text {words!r} leaves the frame: x {low[0]:.2f}..{up[0]:.2f}, y {low[1]:.2f}..{up[1]:.2f}"
    for n, (words, low, up) in enumerate(boxes):
        for other, low2, up2 in boxes[n + 1 :]:
            if all(min(up[k], up2[k]) - max(low[k], low2[k]) > TOUCH for k in (0, 1)):
                yield f"texts {words!r} and {other!r} overlap"
    for mobject in scene.get_mobject_family_members():
        if isinstance(mobject, VMobject) and len(mobject.points) and not hasattr(mobject, "words") and opacity(mobject) > FAINT:
            low, up = box(mobject)
            if low[0] < -wide or up[0] > wide or low[1] < -high or up[1] > high:
                yield f"a {type(mobject).__name__} leaves the frame: x {low[0]:.2f}..{up[0]:.2f}, y {low[1]:.2f}..{up[1]:.2f}"


def check(path, name):
    spec = importlib.util.spec_from_file_location(f"scene_{abs(hash(path))}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    scene_class = getattr(module, name)
    faults, clock = {}, [0.0]

    class Checked(scene_class):
        def play(self, *animations, **how):
            super().play(*animations, **how)
            clock[0] += self.duration
            for fault in faults_of(self):
                faults.setdefault(fault, clock[0])

        def now(self):
            return clock[0]

    scene = Checked()
    scene.render()
    total = getattr(scene, "total", clock[0])
    if abs(clock[0] - total) > END_SECS:
        faults.setdefault(f"ends at {clock[0]:.2f} s, its narration at {total:.2f} s", clock[0])
    for fault, at in list(faults.items())[:FAULTS_MAX]:
        print(f"{name} at {at:.1f} s: {fault}")
    print(f"{name}: {clock[0]:.1f} s, {len(faults)} faults", file=sys.stderr)
    return not faults


def main():
    logger.setLevel(logging.ERROR)
    arguments = sys.argv[1:]
    if not arguments or len(arguments) % 2:
        sys.exit(__doc__)
    with tempfile.TemporaryDirectory() as media:
        settings = {"media_dir": media, "quality": "low_quality", "dry_run": True, "save_last_frame": True, "progress_bar": "none", "disable_caching": True}
        with tempconfig(settings):
            good = [check(path, name) for path, name in zip(arguments[::2], arguments[1::2])]
    sys.exit(0 if all(good) else 1)


if __name__ == "__main__":
    main()
