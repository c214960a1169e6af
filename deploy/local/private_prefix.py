"""PostgreSQL 17 with TimescaleDB in a folder of our own, for Debian releases that have no package of it.

The packages come from the next Debian release by apt itself, which checks their signatures, but are only unpacked: nothing of
the system changes and no right is needed. They bring their own C library; each program is pointed at it, so that the system's
older one is no matter.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from deploy.local.problems import Problem

RELEASE = "trixie"
PACKAGE = "postgresql-17-timescaledb"
KEYRINGS = ("/usr/share/keyrings/debian-archive-keyring.gpg", "/usr/share/keyrings/debian-archive-trixie-stable.gpg")
LEFT_OUT = ("libllvm", "libz3", "perl", "libperl", "python3", "libpython3", "debconf", "cdebconf", "dpkg", "tar_")
"""Packages that are not unpacked: the compiler for queries (most of the size), and what only their installation scripts use."""
ELF_MAGIC = b"\x7fELF"
APT = Path("/etc/apt")
OPTIONS = re.compile(r"\[[^]]*\]")
"""What may stand between "deb" and the address."""


def install(software: Path, progress: Callable[[str], None]) -> Path:
    """Make the prefix, or find it made.

    Args:
        software: the folder to make it in.
        progress: told what is being done.

    Returns:
        The folder of its programs.

    Raises:
        Problem: a tool is missing, or the download failed.
    """
    prefix = software / "postgres-17"
    programs = prefix / "usr/lib/postgresql/17/bin"
    stamp = prefix / ".complete"
    if stamp.exists() and stamp.read_text() == str(prefix):  # programs know their absolute path: a moved folder is made anew
        return programs
    for tool, package in (("apt-get", "apt"), ("dpkg-deb", "dpkg"), ("patchelf", "patchelf")):
        if not shutil.which(tool):
            raise Problem(f"{tool} is not installed", f"sudo apt-get install --no-install-recommends {package}")
    shutil.rmtree(prefix, ignore_errors=True)
    prefix.mkdir(mode=0o755)
    progress("PostgreSQL 17 with TimescaleDB: downloading (about 100 MB)")
    packages = _download(prefix)
    progress("PostgreSQL 17 with TimescaleDB: unpacking")
    for archive in packages:
        if not archive.name.startswith(LEFT_OUT):
            _run(["dpkg-deb", "-x", str(archive), str(prefix)])
    shutil.rmtree(prefix / "apt")
    _point_programs(prefix, programs)
    stamp.write_text(str(prefix))
    return programs


def _download(prefix: Path) -> list[Path]:
    apt = prefix / "apt"
    for folder in ("lists/partial", "cache/archives/partial", "parts"):
        (apt / folder).mkdir(parents=True)
    sources = apt / "debian.list"
    sources.write_text(f"deb [signed-by={_keyring()}] {_mirror()} {RELEASE} main\n")
    options = {
        "Dir::State::Lists": apt / "lists",
        "Dir::Cache": apt / "cache",
        "Dir::State::Status": "/dev/null",
        "Dir::Etc::SourceList": sources,
        "Dir::Etc::SourceParts": "/dev/null",
        "Dir::Etc::PreferencesParts": "/dev/null",
        "Dir::Etc::Preferences": "/dev/null",
        "Debug::NoLocking": "1",
        "APT::Sandbox::User": "root",
    }
    arguments = [f"-o{key}={value}" for key, value in options.items()]
    _run(["apt-get", *arguments, "-qq", "update"])
    _run(["apt-get", *arguments, "-qq", "-y", "--download-only", "--no-install-recommends", "install", PACKAGE])
    return sorted((apt / "cache/archives").glob("*.deb"))


def _point_programs(prefix: Path, programs: Path) -> None:
    """Set loader and library path of every program; as RPATH, which unlike RUNPATH also holds for what a library needs."""
    loaders = sorted(path for path in prefix.glob("usr/lib*/**/ld-linux-*.so.*") if path.is_file())
    if not loaders:
        raise Problem("the unpacked PostgreSQL has no program loader", f"Remove {prefix} and try again.")
    loader = loaders[0]
    libraries = _library_folder(prefix)
    for program in programs.iterdir():
        if program.is_file() and not program.is_symlink() and _is_elf(program):
            _run(["patchelf", "--set-interpreter", str(loader), "--force-rpath", "--set-rpath", str(libraries), str(program)])


def _is_elf(program: Path) -> bool:
    with program.open("rb") as file:
        return file.read(len(ELF_MAGIC)) == ELF_MAGIC


def _library_folder(prefix: Path) -> Path:
    return next(path.parent for path in sorted(prefix.glob("usr/lib/*/libc.so.6")))


def _keyring() -> str:
    for keyring in KEYRINGS:
        if Path(keyring).exists():
            return keyring
    raise Problem("Debian's keyring is missing", "sudo apt-get install debian-archive-keyring")


def _mirror() -> str:
    """Give the address from which this system gets its own packages."""
    codename = _codename()
    for address, suites in sources():
        if codename in suites:
            return address
    raise Problem(
        "this system's package source was not found, and only Debian's can be used",
        "Install PostgreSQL 17 with TimescaleDB, or give the address of a server: AGORA_DATABASE_HOST (docs/operating.md).",
    )


def _codename() -> str:
    lines = Path("/etc/os-release").read_text().splitlines()
    values = dict(line.split("=", 1) for line in lines if "=" in line)
    return values.get("VERSION_CODENAME", "").strip('"') if values.get("ID", "").strip('"') == "debian" else "unknown"


def sources(apt: Path = APT) -> list[tuple[str, list[str]]]:
    """List the addresses of apt's sources with their suites, in both of its formats.

    Args:
        apt: the folder of apt's configuration.
    """
    found = []
    for path in sorted((apt / "sources.list.d").glob("*.sources")):
        for paragraph in path.read_text().split("\n\n"):
            fields = dict(
                line.split(":", 1) for line in paragraph.splitlines() if ":" in line and not line.startswith(("#", " "))
            )
            found += [(address, fields.get("Suites", "").split()) for address in fields.get("URIs", "").split()]
    for path in [apt / "sources.list", *sorted((apt / "sources.list.d").glob("*.list"))]:
        lines = path.read_text().splitlines() if path.exists() else []
        entries = (OPTIONS.sub("", line).split() for line in lines)
        found += [(words[1], [words[2]]) for words in entries if len(words) > 2 and words[0] == "deb"]
    return found


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    if done.returncode:
        said = "\n  ".join(done.stderr.strip().splitlines()[-5:])
        raise Problem(f"{command[0]} failed while getting PostgreSQL with TimescaleDB:\n  {said}")
