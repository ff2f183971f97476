"""Background processes that outlive the script which starts them, and are found again for sure.

A pid alone says little: it may belong to another process by now. A record holds the start time and the boot beside it. Each process is
the leader of its own session, and carries its stack's folder in QSKETCH_STACK_DIR, so that what it started is found too.
"""

import json
import os
import signal
import subprocess
import time
from pathlib import Path

from stack import Failure, say, write_atomically

STOP_SECS = 15
LOG_BYTES_MAX = 8 << 20
MARK = "QSKETCH_STACK_DIR"


def _stat(pid):
    """(state, session, start time) of a process, or None."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (OSError, UnicodeDecodeError):
        return None
    fields = text.rpartition(")")[2].split()
    return fields[0], int(fields[3]), int(fields[19])


def _pids():
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def _marked(pid, mark):
    try:
        return mark in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return False


def _boot():
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def record_of(stack, name):
    """What was recorded when `name` was started, if that very process still runs; else None."""
    try:
        record = json.loads((stack.run / f"{name}.json").read_text())
    except (OSError, ValueError):
        return None
    now = _stat(record["pid"])
    alive = now and now[0] not in "ZX" and now[2] == record["started"] and record["boot"] == _boot()
    return record if alive else None


def start(stack, name, command, env, fingerprint=""):
    """Starts `command` in a session of its own, its output appended to `log/<name>.log`."""
    stack.log.mkdir(parents=True, exist_ok=True)
    with open(stack.log / f"{name}.log", "ab") as log:
        child = subprocess.Popen(command, env={**env, MARK: str(stack.dir)}, cwd=stack.dir, stdin=subprocess.DEVNULL,
                                 stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
    now = _stat(child.pid)
    record = {"pid": child.pid, "started": now[2] if now else 0, "boot": _boot(), "fingerprint": fingerprint}
    write_atomically(stack.run / f"{name}.json", json.dumps(record) + "\n")
    return child


def ensure_alive(stack, name, child):
    """Fails with the end of its log when `child` has ended."""
    if child.poll() is not None:
        raise Failure(f"{name} ended with {child.returncode}; the end of {stack.log / f'{name}.log'}:\n{tail(stack, name)}")


def log_bytes(stack, name):
    """How long a log is, before its process starts; a log that has grown long makes room for a new one."""
    path = stack.log / f"{name}.log"
    try:
        size = path.stat().st_size
    except OSError:
        return 0
    if size <= LOG_BYTES_MAX:
        return size
    path.replace(path.with_suffix(".log.1"))
    return 0


def log_since(stack, name, offset):
    """What a log holds from `offset` on."""
    with open(stack.log / f"{name}.log", "rb") as log:
        log.seek(offset)
        return log.read()


def tail(stack, name, lines=15):
    """The last lines of a log."""
    try:
        return "\n".join((stack.log / f"{name}.log").read_text(errors="replace").splitlines()[-lines:])
    except OSError:
        return "(no log)"


def stop(stack, name):
    """Ends what was started as `name`: asks its leader, and after a bounded wait kills its whole session."""
    record = record_of(stack, name)
    if record:
        leader = record["pid"]
        os.kill(leader, signal.SIGTERM)
        wait_for(lambda: record_of(stack, name) is None, STOP_SECS)
        left = [pid for pid in _pids() if (now := _stat(pid)) and now[1] == leader and now[0] not in "ZX"]
        if record_of(stack, name):
            say(f"{name}: did not stop within {STOP_SECS} s, killed")
        _kill(left)
    (stack.run / f"{name}.json").unlink(missing_ok=True)
    return bool(record)


def marked(stack):
    """All processes that carry this stack's mark. (A shell that sourced its env file does not.)"""
    mark = f"{MARK}={stack.dir}".encode()
    return [pid for pid in _pids() if pid != os.getpid() and _marked(pid, mark) and (now := _stat(pid)) and now[0] not in "ZX"]


def stop_leftovers(stack):
    """Kills what still carries the mark: children of a leader that was killed from outside."""
    left = marked(stack)
    _kill(left)
    return left


def _kill(pids):
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    wait_for(lambda: not any((now := _stat(pid)) and now[0] not in "ZX" for pid in pids), 5)


def wait_for(condition, seconds):
    """Waits for a condition, not for a time; gives up after `seconds`."""
    until = time.monotonic() + seconds
    while not condition() and time.monotonic() < until:
        time.sleep(0.02)


def listening(pid):
    """The addresses, as (address, port), that a process listens on over TCP."""
    inodes = set()
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        try:
            target = os.readlink(descriptor)
        except OSError:
            continue
        if target.startswith("socket:["):
            inodes.add(target[len("socket:["):-1])
    found = []
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and fields[9] in inodes:
                host, _, port = fields[1].partition(":")
                host = ".".join(str(byte) for byte in reversed(bytes.fromhex(host))) if table == "tcp" else host
                found.append((host, int(port, 16)))
    return found
