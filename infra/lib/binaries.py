"""The binaries: built by cargo, packed for Lambda, copied for the workers."""

import hashlib
import io
import os
import re
import shutil
import subprocess
import zipfile
from pathlib import Path

from stack import FUNCTIONS, ROOT, Failure, say

# The C library of provided.al2023.
GLIBC_MAX = (2, 34)
# Stacks share the zips, and several may be at work at once.
ZIPS_KEPT = 8


def folder(profile):
    """Where cargo leaves the binaries of a profile."""
    target = Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target")
    return (target if target.is_absolute() else ROOT / target) / ("debug" if profile == "dev" else profile)


def build(profile):
    """Builds all binaries; cargo knows what is up to date."""
    say(f"building the binaries (profile {profile}; minutes from nothing, seconds after a change)")
    command = ["cargo", "build", "--quiet", "--locked", "--workspace", "--bins", "--profile", profile]
    if profile == "dev":
        # With --examples cargo chooses features as it does for tests, so that `make test` builds nothing twice.
        command.append("--examples")
    done = subprocess.run(command, cwd=ROOT)
    if done.returncode:
        raise Failure("cargo build failed, see above")


def binary(profile, name):
    """The path of a built binary."""
    path = folder(profile) / name
    if not path.is_file():
        raise Failure(f"{path} is missing: build it first, or leave out --no-build")
    return path


def digest(path):
    """SHA-256 of a file's content."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def packages(profile):
    """For each function: (key of its zip, the zip). The key holds the hash of the content: the same key again would be no update."""
    cache = ROOT / ".local" / "_code"
    cache.mkdir(parents=True, exist_ok=True)
    found = {}
    for name in FUNCTIONS:
        source = binary(profile, name)
        kept = cache / f"{name}-{digest(source)[:16]}.zip"
        if not kept.exists():
            fresh = kept.with_suffix(f".{os.getpid()}")
            fresh.write_bytes(zip_of(_stripped(source, fresh)))
            fresh.replace(kept)
            for old in sorted(cache.glob(f"{name}-*.zip"), key=lambda path: path.stat().st_mtime)[:-ZIPS_KEPT]:
                old.unlink(missing_ok=True)
        found[name] = (f"{name}/{digest(kept)[:32]}.zip", kept)
    return found


def _stripped(source, to):
    subprocess.run(["strip", "-o", str(to), str(source)], check=True)
    content = to.read_bytes()
    to.unlink()
    return content


def zip_of(bootstrap):
    """A zip whose bytes depend on nothing but the binary."""
    buffer = io.BytesIO()
    entry = zipfile.ZipInfo("bootstrap", (1980, 1, 1, 0, 0, 0))
    entry.external_attr = 0o100755 << 16
    entry.create_system = 3
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(entry, bootstrap, zipfile.ZIP_DEFLATED, 6)
    return buffer.getvalue()


def ensure_runs_on_lambda(profile):
    """Refuses binaries that ask for a newer C library than provided.al2023 has: they would fail at their first invocation."""
    for name in FUNCTIONS:
        listing = subprocess.run(["readelf", "-V", str(binary(profile, name))], capture_output=True, text=True, check=True).stdout
        newest = max((tuple(map(int, found.split("."))) for found in re.findall(r"GLIBC_(\d+\.\d+)", listing)), default=(0, 0))
        if newest > GLIBC_MAX:
            raise Failure(f"{name} needs glibc {newest[0]}.{newest[1]}, Lambda's provided.al2023 has {GLIBC_MAX[0]}.{GLIBC_MAX[1]}: "
                          "build on an older system, or with cargo-zigbuild for a target that ends in .2.34")


def architecture(profile):
    """The architecture of the binaries, in Lambda's words."""
    machine = int.from_bytes(binary(profile, FUNCTIONS[0]).read_bytes()[18:20], "little")
    names = {62: "x86_64", 183: "arm64"}
    if machine not in names:
        raise Failure(f"Lambda has no machine of ELF type {machine}")
    return names[machine]


def copy_worker(profile, name, to):
    """Copies a worker into the stack's own folder, so that the next build does not change a running one. Returns its path and hash."""
    source = binary(profile, name)
    content = digest(source)
    path = to / content[:16] / name
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_suffix(".tmp")
        shutil.copy2(source, fresh)
        fresh.replace(path)
        for old in to.glob(f"*/{name}"):
            if old != path:
                old.unlink()
                if not any(old.parent.iterdir()):
                    old.parent.rmdir()
    return path, content
