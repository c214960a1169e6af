"""What is wrong with a search."""

from __future__ import annotations

from contracts.errors import AgoraError
from sharing.fhir.outcome import Issue


class SearchProblem(AgoraError):
    """A search cannot be carried out as it was asked.

    Args:
        words: what is wrong and what would be right; never the value that came.
        issue: FHIR's code for it.
    """

    def __init__(self, words: str, issue: Issue = Issue.INVALID) -> None:
        self.words = words
        self.issue = issue
        super().__init__(words)
