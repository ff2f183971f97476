"""Renders one scene with Manim and tells how many frames there are so far.

Usage: driver.py CLASS_NAME [options of `manim render`...] FILE

It stands between the renderer and Manim's own command for three things that the command does not do:
- it renders the class of that name or nothing (`manim render` takes the only class there is, whatever its name);
- it writes tracebacks plainly, so that the last line is the error;
- it writes lines such as {"qsketch_frames": 42} to standard output. The scene's code runs in this process and can forge them: they are a hint.

Exit codes: 0 as Manim's, 1 when the scene raised, 3 when the file has no such scene.
"""
import sys
import time
import traceback

NO_SCENE = 3
# Between two lines, in seconds: a heartbeat carries one every few seconds.
QUIET = 0.5


def count_frames(writer):
    """Wraps the method that every frame passes through."""
    write, state = writer.write_frame, {"frames": 0, "next": 0.0}

    def write_frame(self, pixels, *, repeat=1):
        write(self, pixels, repeat=repeat)
        state["frames"] += repeat
        now = time.monotonic()
        if now >= state["next"]:
            state["next"] = now + QUIET
            print('{"qsketch_frames": %d}' % state["frames"], flush=True)

    writer.write_frame = write_frame


def only(name, find):
    """Finds the class of this name in a file, or ends the program."""

    def scene_classes(file):
        found = [scene for scene in find(file, full_list=True) if scene.__name__ == name]
        if not found:
            print(f"{file} has no scene class {name}", file=sys.stderr, flush=True)
            sys.exit(NO_SCENE)
        return found

    return scene_classes


def main(name, arguments):
    from manim.__main__ import main as manim
    from manim.cli.render import commands
    from manim.scene.scene_file_writer import SceneFileWriter

    count_frames(SceneFileWriter)
    commands.scene_classes_from_file = only(name, commands.scene_classes_from_file)
    commands.error_console.print_exception = lambda *_, **__: traceback.print_exc()
    manim(["--hide-splash", "render", *arguments], prog_name="manim")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
