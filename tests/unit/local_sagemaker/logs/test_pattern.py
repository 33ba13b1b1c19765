"""Filter patterns of CloudWatch Logs."""

from __future__ import annotations

from local_sagemaker.logs.pattern import matches


def test_log_patterns() -> None:
    assert matches("Loss 0.5", "Train Loss: 0.5")
    assert not matches("Loss -Train", "Train Loss: 0.5")
    assert matches("?a ?b", "only b")
    assert matches("", "anything")
