"""What the checks say: one finding an assertion."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Finding:
    """One named assertion: whether it holds, and what was measured against what was wanted."""

    name: str
    holds: bool
    measured: str

    def __str__(self) -> str:
        return f"{'ok  ' if self.holds else 'FAIL'} {self.name:<26} {self.measured}"


@dataclass
class Report:
    """Findings in the order of looking."""

    findings: list[Finding] = field(default_factory=list)

    def check(self, name: str, holds: bool, measured: object) -> None:
        self.findings.append(Finding(name, bool(holds), str(measured)))

    @property
    def failed(self) -> set[str]:
        """The names of the assertions that do not hold."""
        return {finding.name for finding in self.findings if not finding.holds}

    def __str__(self) -> str:
        return "\n".join(map(str, self.findings))
