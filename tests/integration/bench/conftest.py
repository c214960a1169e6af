import pytest

from deploy.local.stack import Stack


@pytest.fixture
def bench_stack(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Stack:
    """The folder's servers, sized for the benchmark: its database notes when transactions commit."""
    monkeypatch.setenv("AGORA_PROFILE", "bench")
    stack: Stack = request.getfixturevalue("stack")
    return stack
