from pathlib import Path

import pytest

from deploy.local.accounts import caller, make_folder
from deploy.local.instance import Instance, Ports


@pytest.fixture
def instance(tmp_path: Path) -> Instance:
    """An instance in a folder of its own, all of whose files are the caller's; its path has a blank."""
    made = Instance("unit", Ports(29000), tmp_path / "state folder")
    for folder in (
        made.folder,
        made.credentials,
        made.certificates,
        made.environments,
        made.run,
        made.logs,
        made.config,
        made.broker,
    ):
        make_folder(folder, 0o700, caller())
    make_folder(made.data, 0o700, caller())
    return made
