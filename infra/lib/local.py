"""The local stack: MiniStack, the templates deployed to it, and the workers as processes."""

import fcntl
import hashlib
import http.client
import json
import os
import shlex
import shutil
import socket
import time

import binaries
import process
from stack import ROOT, VENVS, WORKERS, Failure, lease_secs, rate_limit, say, write_atomically

PORT_FIRST, PORTS = 14566, 400
READY_SECS = 60
WORKERS_READY_SECS = 15
# The module that logs that a worker is ready.
READY_TARGET = "qsketch_aws::host"


def up(stack, profile, deploy):
    """Starts what is missing, deploys and restarts what changed. `deploy(endpoint)` returns the outputs."""
    began = time.monotonic()
    emulator = _ministack(stack)
    outputs = deploy(stack.endpoint)
    _commands(stack, profile)
    stack.write_env(outputs)
    _workers(stack, profile, outputs, emulator)
    say(f"stack {stack.name} is up at {stack.endpoint} ({time.monotonic() - began:.1f} s): . .local/{stack.name}/env")


def down(stack):
    """Ends what `up` started, workers first, and forgets the stack's content, which only MiniStack's memory held."""
    stopped = [name for name in (*WORKERS, "ministack") if process.stop(stack, name)]
    left = process.stop_leftovers(stack)
    if left:
        say(f"killed what outlived its parent: {', '.join(map(str, left))}")
    stack.env_file.unlink(missing_ok=True)
    for name in ("run", "ministack", "work", "bin"):
        shutil.rmtree(stack.dir / name, ignore_errors=True)
    say(f"stack {stack.name} is down (stopped: {', '.join(stopped) or 'nothing'})")


def _ministack(stack):
    """Starts MiniStack unless it runs. Returns what tells this one from the next."""
    record = process.record_of(stack, "ministack")
    if record is None:
        for name in WORKERS:
            process.stop(stack, name)
        process.stop_leftovers(stack)
        # The lock covers the time between "this port is free" and "MiniStack listens there".
        with open(ROOT / ".local" / "_ports.lock", "w") as ports:
            fcntl.flock(ports, fcntl.LOCK_EX)
            port = _free_port(stack)
            write_atomically(stack.port_file, f"{port}\n")
            shutil.rmtree(stack.dir / "ministack", ignore_errors=True)
            command = [str(ROOT / "infra" / "ministack"), "--port", str(port), "--dir", str(stack.dir / "ministack")]
            process.log_bytes(stack, "ministack")
            child = process.start(stack, "ministack", command, {"PATH": os.environ.get("PATH", os.defpath)})
            _until_healthy(stack, child)
        record = process.record_of(stack, "ministack")
        if record is None:
            process.ensure_alive(stack, "ministack", child)
            raise Failure("MiniStack ended at once")
        say(f"MiniStack listens on 127.0.0.1:{port}")
    return f"{record['boot']}/{record['pid']}/{record['started']}"


def _free_port(stack):
    """The kept port while it is free, else the first free one that no other stack keeps."""
    kept = {path.read_text().strip() for path in (ROOT / ".local").glob("*/port") if path != stack.port_file}
    wanted = ([stack.port] if stack.port else []) + [port for port in range(PORT_FIRST, PORT_FIRST + PORTS) if str(port) not in kept]
    for port in wanted:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise Failure(f"no free port on 127.0.0.1 from {PORT_FIRST} to {PORT_FIRST + PORTS - 1}")


def _until_healthy(stack, child):
    """Waits until MiniStack answers, and it is ours that answers."""
    until = time.monotonic() + READY_SECS
    while time.monotonic() < until:
        process.ensure_alive(stack, "ministack", child)
        connection = http.client.HTTPConnection("127.0.0.1", stack.port, timeout=2)
        try:
            connection.request("GET", "/_ministack/health")
            if connection.getresponse().status == 200 and ("127.0.0.1", stack.port) in process.listening(child.pid):
                return
        except (OSError, http.client.HTTPException):
            pass
        finally:
            connection.close()
        time.sleep(0.05)
    raise Failure(f"MiniStack did not answer within {READY_SECS} s; the end of its log:\n{process.tail(stack, 'ministack')}")


def _commands(stack, profile):
    """`qsketch` and `aws` for a shell that sourced the env file."""
    venv = VENVS / "ministack" / "bin"
    for name, command in {"qsketch": [binaries.folder(profile) / "qsketch"], "aws": [venv / "python", venv / "aws"]}.items():
        write_atomically(stack.dir / "bin" / name, f"#!/bin/sh\nexec {shlex.join(map(str, command))} \"$@\"\n", 0o755)


def _workers(stack, profile, outputs, emulator):
    """Starts each worker that does not run, and restarts those whose binary, settings or MiniStack changed; waits until all are ready."""
    started, logged = {}, {}
    for name, concurrency in WORKERS.items():
        path, content = binaries.copy_worker(profile, name, stack.dir / "workers")
        env = _worker_env(stack, name, concurrency, outputs)
        print_of_all = hashlib.sha256(json.dumps([content, emulator, env], sort_keys=True).encode()).hexdigest()
        record = process.record_of(stack, name)
        if record and record["fingerprint"] == print_of_all:
            continue
        restarted = process.stop(stack, name)
        (stack.dir / "work" / name).mkdir(parents=True, exist_ok=True)
        logged[name] = process.log_bytes(stack, name)
        started[name] = process.start(stack, name, [str(path)], env, print_of_all)
        say(f"{name}: {'restarted' if restarted else 'started'} ({concurrency} at once)")
    until = time.monotonic() + WORKERS_READY_SECS
    while started and time.monotonic() < until:
        for name in list(started):
            process.ensure_alive(stack, name, started[name])
            if b'"ready"' in process.log_since(stack, name, logged[name]):
                del started[name]
        time.sleep(0.05)
    for name in started:
        say(f"{name}: runs, but has not logged that it is ready within {WORKERS_READY_SECS} s; see infra/logs {name}")


def _worker_env(stack, name, concurrency, outputs):
    """All that a worker's environment holds: the caller's own does not reach it, apart from the log filter, lease, rate and backtraces."""
    passed = {key: os.environ[key] for key in ("QSKETCH_LOG", "RUST_BACKTRACE") if os.environ.get(key)}
    if name == "generate-tts" and rate_limit("QSKETCH_SPEECH_RATE"):
        passed["QSKETCH_SPEECH_RATE"] = rate_limit("QSKETCH_SPEECH_RATE")
    if "QSKETCH_LOG" in passed:
        # `up` waits for the line that says a worker is ready, whatever else the filter leaves out.
        passed["QSKETCH_LOG"] += f",{READY_TARGET}=info"
    return {
        "PATH": os.environ.get("PATH", os.defpath), "HOME": str(stack.dir / "work"), "LANG": "C.UTF-8",
        **stack.environment(outputs), **passed, "QSKETCH_LEASE_SECS": lease_secs(),
        "QSKETCH_CONCURRENCY": str(concurrency), "QSKETCH_DIR": str(stack.dir / "work" / name),
    }
