"""Whose the servers and the files are.

PostgreSQL refuses to run as root, and root's home is closed to others. So when root starts the platform, all servers run as one
ordinary system user with their data under ``/var/lib/agora``; our own processes stay with the caller, who can read the checkout.
"""

from __future__ import annotations

import hashlib
import os
import pwd
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from deploy.local.instance import CHECKOUT, Instance
from deploy.local.problems import Problem

SYSTEM_USER = "agora"
SYSTEM_FOLDER = Path("/var/lib/agora")


@dataclass(frozen=True)
class Account:
    """An operating system user.

    Attributes:
        uid: user id.
        gid: its group id.
    """

    uid: int
    gid: int

    def give(self, path: Path) -> None:
        """Hand a file or folder to this account; a no-op for the caller's own."""
        if os.geteuid() == 0:
            os.chown(path, self.uid, self.gid)


def caller() -> Account:
    """Give the account that started us."""
    return Account(os.geteuid(), os.getegid())


def server_account(instance: Instance) -> Account:
    """Give the account the servers run as, made when it is missing.

    For an ordinary caller it is the caller. For root it is the owner of the state folder, where an ordinary user made that folder
    earlier, else the system user ``agora``.

    Raises:
        Problem: the system user cannot be made.
    """
    if os.geteuid() != 0:
        return caller()
    owner = instance.state.stat()
    if owner.st_uid != 0:
        return Account(owner.st_uid, owner.st_gid)
    try:
        entry = pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        command = [
            "useradd",
            "--system",
            "--user-group",
            "--no-create-home",
            "--home-dir",
            str(SYSTEM_FOLDER),
            "--shell",
            "/usr/sbin/nologin",
            SYSTEM_USER,
        ]
        made = subprocess.run(command, capture_output=True, text=True, check=False)
        if made.returncode:
            raise Problem(
                f"the system user {SYSTEM_USER!r} could not be made: {made.stderr.strip()}", " ".join(command)
            ) from None
        entry = pwd.getpwnam(SYSTEM_USER)
    return Account(entry.pw_uid, entry.pw_gid)


def make_state_folder(instance: Instance) -> None:
    """Make the folder of all local state; for root it is a link to a place which the servers' user can reach.

    Raises:
        Problem: the folder belongs to somebody else, or is in the way.
    """
    state = instance.state
    if os.geteuid() == 0:
        _make_linked_folder(state)
    elif not state.exists() and not state.is_symlink():
        state.mkdir(mode=0o755)
    if not os.access(state, os.W_OK):
        raise Problem(
            f"{state} belongs to another user", f"Start as that user, or remove it: sudo rm -r '{state.resolve()}' '{state}'"
        )


def _make_linked_folder(state: Path) -> None:
    if state.is_dir() and not state.is_symlink() and state.stat().st_uid != 0:
        return  # an ordinary user's; its servers run as that user
    mark = hashlib.sha256(str(CHECKOUT).encode()).hexdigest()[:8]
    place = SYSTEM_FOLDER / f"{CHECKOUT.name.replace(' ', '-')}-{mark}"
    if not state.is_symlink():
        place.mkdir(parents=True, exist_ok=True)
        if state.is_dir():  # made by root, where the servers' user cannot reach it
            for entry in state.iterdir():
                shutil.move(entry, place / entry.name)
            state.rmdir()
        state.symlink_to(place)
    target = state.resolve()
    target.mkdir(parents=True, exist_ok=True)
    for folder in (target, target.parent):
        if folder.stat().st_uid == 0:
            folder.chmod(0o755)  # whatever the umask: the servers' user has to pass


def make_folder(path: Path, mode: int, owner: Account) -> Path:
    """Make a folder with exactly these rights, or give them to the one that is there."""
    path.mkdir(parents=True, exist_ok=True)
    owner.give(path)
    path.chmod(mode)  # after the change of owner, which clears the set-group-id bit
    return path


def empty_folder(path: Path) -> None:
    """Remove all that is in a folder, but not the folder: a disk may be mounted there, or a link lead to one."""
    for entry in path.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def write_file(path: Path, content: str | bytes, owner: Account, mode: int = 0o600) -> Path:
    """Write a file that is never, not even for a moment, half-written or readable by more than its mode says."""
    partial = path.with_name(f".{path.name}.partial")
    partial.unlink(missing_ok=True)
    data = content.encode() if isinstance(content, str) else content
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
    owner.give(partial)
    partial.chmod(mode)
    partial.replace(path)
    return path


def make_instance_folders(instance: Instance, servers: Account) -> None:
    """Make the folders of an instance, each open to no more than who needs it."""
    make_state_folder(instance)
    me = caller()
    for folder in (instance.software, instance.folder, instance.data, instance.certificates, instance.config):
        make_folder(folder, 0o755, me)
    for folder in (instance.credentials, instance.environments, instance.run, instance.logs, instance.data / "streams"):
        make_folder(folder, 0o700, me)
    # The group id is inherited by what the keeper writes here, so that the broker can read it.
    make_folder(instance.broker, 0o2750, Account(me.uid, servers.gid))


def remove_instance(instance: Instance, *, keep_software: bool = False) -> list[Path]:
    """Remove an instance with all its data; with the last one also the downloaded software and the state folder.

    Args:
        instance: which.
        keep_software: keep the downloads, also when it is the last one: the next of its kind needs them again.

    Returns:
        What was removed.
    """
    removed = []
    if instance.folder.exists():
        shutil.rmtree(instance.folder)
        removed.append(instance.folder)
    place = instance.place
    folders = (entry for entry in place.iterdir() if entry.is_dir()) if place.exists() else ()
    others = [entry for entry in folders if entry != instance.software]
    if others or keep_software:
        return removed
    if place.exists():
        shutil.rmtree(place)
        removed.append(place)
    if instance.state.is_symlink():
        instance.state.unlink()
    return removed
