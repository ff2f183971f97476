"""Writes next to each sentence of the lessons how long espeak-ng takes to say it.

Run it when a narration changed: `python3 measure_narration.py`. It needs espeak-ng and writes <lesson>/seconds.json.
"""
import io
import json
import pathlib
import subprocess
import tempfile
import wave

VOICE, SPEED = "en-us", "150"


def seconds(sentence):
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder) / "out.wav"
        subprocess.run(["espeak-ng", "-v", VOICE, "-s", SPEED, "-w", out, "--stdin"], input=sentence.encode(), check=True)
        with wave.open(io.BytesIO(out.read_bytes())) as sound:
            return round(sound.getnframes() / sound.getframerate(), 2)


def main():
    for path in sorted(pathlib.Path(__file__).parent.glob("*/lesson.json")):
        lesson = json.loads(path.read_text(encoding="utf-8"))
        scenes = [[seconds(sentence) for sentence in scene["narration"]] for scene in lesson["scenes"]]
        text = "[\n" + ",\n".join("  " + json.dumps(scene) for scene in scenes) + "\n]\n"
        (path.parent / "seconds.json").write_text(text, encoding="utf-8")
        print(lesson["name"], [round(sum(scene) + 0.3 * len(scene), 1) for scene in scenes])


if __name__ == "__main__":
    main()
