"""One stack of qsketch: its name, its folder, and what a shell needs to know of it."""

import contextlib
import fcntl
import os
import re
import shlex
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
VENVS = ROOT / ".local" / "_venv"
# Each consumes the queue of its name; the reconciler is begun by a schedule.
CONSUMERS = ("intake", "generate-script", "render-manim", "generate-tts", "merge-upload", "notify")
SERVICES = (*CONSUMERS, "reconciler")
FUNCTIONS = ("intake", "generate-script", "notify", "reconciler")
# Worker -> how many tasks at once on one machine: renders are bound by the cores (two), a merge fills them alone.
WORKERS = {"render-manim": 2, "generate-tts": 2, "merge-upload": 1}
REGION = "us-east-1"


class Failure(Exception):
    """What a person has to read; the script prints it and exits with 1."""


def say(text):
    """Talk goes to stderr, so that stdout holds data alone."""
    print(text, file=sys.stderr, flush=True)


def main(run, parser):
    """Runs a script: parses its arguments, and turns a `Failure` into one clear message."""
    arguments = parser.parse_args()
    try:
        sys.exit(run(arguments))
    except Failure as failure:
        say(f"{parser.prog}: {failure}")
        sys.exit(1)
    except KeyboardInterrupt:
        say(f"{parser.prog}: interrupted; run it again to go on")
        sys.exit(130)
    except BrokenPipeError:
        sys.exit(0)
    except Exception as error:
        # Not imported here: infra/down does without botocore.
        if not type(error).__module__.startswith("botocore"):
            raise
        say(f"{parser.prog}: {error}")
        sys.exit(1)


def add_stack_option(parser):
    """`--stack NAME`, or STACK from the environment, or `dev`."""
    parser.add_argument("--stack", default=os.environ.get("STACK") or "dev", metavar="NAME",
                        help="which stack (default: $STACK, or dev)")


def on_venv():
    """Goes on under the Python of the MiniStack venv, which has botocore."""
    python = VENVS / "ministack" / "bin" / "python"
    if Path(sys.prefix) == python.parents[1]:
        return
    if not (VENVS / "ministack" / "complete").exists():
        say(f"{Path(sys.argv[0]).name}: MiniStack is not installed: run infra/setup stack")
        sys.exit(1)
    os.execv(python, [str(python), *sys.argv])


class Stack:
    """Names and paths of one stack. The same name always means the same folder, so two never share one."""

    def __init__(self, name):
        if not re.fullmatch(r"[a-z][a-z0-9-]{0,19}", name):
            raise Failure(f"not a stack's name: {name!r}; take a to z, 0 to 9 and -, up to 20, a letter first")
        self.name = name
        self.dir = ROOT / ".local" / name
        self.run = self.dir / "run"
        self.log = self.dir / "log"
        self.env_file = self.dir / "env"
        self.port_file = self.dir / "port"

    def cloud_name(self, part):
        """The CloudFormation stack that holds `part`."""
        return f"qsketch-{self.name}-{part}"

    @property
    def port(self):
        """The kept port, or None."""
        try:
            return int(self.port_file.read_text())
        except (OSError, ValueError):
            return None

    @property
    def endpoint(self):
        """Where its MiniStack answers. It need not run."""
        if self.port is None:
            raise Failure(f"stack {self.name} is not up: run make up STACK={self.name}")
        return f"http://127.0.0.1:{self.port}"

    @contextlib.contextmanager
    def locked(self):
        """One script at a time changes a stack."""
        self.dir.mkdir(parents=True, exist_ok=True)
        with open(self.dir / "lock", "w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                say(f"stack {self.name}: another script is at work on it, waiting")
                fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def environment(self, outputs):
        """What the services, the CLI and a shell need to reach this stack."""
        prefix = outputs["QueueUrlPrefix"]
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ACCESS_KEY_ID": "local",
            "AWS_SECRET_ACCESS_KEY": "local",
            "QSKETCH_TABLE": outputs["Table"],
            "QSKETCH_BUCKET": outputs["Bucket"],
            "QSKETCH_QUEUE_URL_PREFIX": prefix,
            "QSKETCH_INTAKE_QUEUE_URL": outputs["IntakeQueueUrl"],
            "QSKETCH_NOTIFICATIONS_QUEUE_URL": outputs["NotificationsQueueUrl"],
            "QSKETCH_POLL_WAIT_SECS": "2",
            "QSKETCH_MANIM_PYTHON": str(VENVS / "manim" / "bin" / "python"),
            "QSKETCH_FFMPEG": shutil.which("ffmpeg") or "ffmpeg",
            "QSKETCH_FFPROBE": shutil.which("ffprobe") or "ffprobe",
            "QSKETCH_ESPEAK": shutil.which("espeak-ng") or "espeak-ng",
        }

    def write_env(self, outputs):
        """Writes `.local/<stack>/env`, whole or not at all."""
        lines = [f"# Written by infra/up; removed by infra/down. To use it: . .local/{self.name}/env"]
        lines += [f"export {key}={shlex.quote(value)}" for key, value in self.environment(outputs).items()]
        # `qsketch` and `aws` by name; last, so that what reads only the plain values can stop before it.
        lines.append(f'case ":$PATH:" in *:{shlex.quote(str(self.dir / "bin"))}:*) ;; '
                     f'*) export PATH={shlex.quote(str(self.dir / "bin"))}:"$PATH" ;; esac')
        write_atomically(self.env_file, "\n".join(lines) + "\n")


def lease_secs():
    """How long a lease holds, from the caller's QSKETCH_LEASE_SECS, as text; the services check it as well."""
    text = os.environ.get("QSKETCH_LEASE_SECS") or "30"
    if not re.fullmatch(r"[1-9][0-9]{0,3}", text) or not 3 <= int(text) <= 3600:
        raise Failure(f"QSKETCH_LEASE_SECS is {text!r}: use whole seconds from 3 to 3600")
    return text


def rate_limit(variable):
    """How often all workers together may ask a provider, from this variable of the caller's, as text; empty for no limit."""
    text = os.environ.get(variable) or ""
    if text and not re.fullmatch(r"[1-9][0-9]{0,7}/(s|min|h)( burst [1-9][0-9]{0,7})?", text):
        raise Failure(f"{variable} is {text!r}: use a number of requests per s, min or h, as in 60/min or 600/min burst 20")
    return text


def tenant_jobs_max():
    """How many jobs of one tenant may run at once, from the caller's QSKETCH_TENANT_JOBS_MAX, as text; empty for no cap."""
    text = os.environ.get("QSKETCH_TENANT_JOBS_MAX") or ""
    if text and not (re.fullmatch(r"[1-9][0-9]{0,2}", text) and int(text) <= 500):
        raise Failure(f"QSKETCH_TENANT_JOBS_MAX is {text!r}: use 1 to 500, or nothing for no cap")
    return text


def write_atomically(path, text, mode=0o644):
    """Readers see the old text or the new, never a half."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fresh.write_text(text)
    fresh.chmod(mode)
    os.replace(fresh, path)
