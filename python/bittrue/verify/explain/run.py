"""Explains the layers of a result where an error was born, and learns which rule explains most of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bittrue.graph.ir import Graph, Node
from bittrue.report.result import BORN, Cause, TensorResult
from bittrue.targets.override import OverrideRule
from bittrue.verify.explain.case import Hypothesis, LayerCase
from bittrue.verify.explain.search import Budget, explain_layer, proven_cause, proven_sentence, share_mended
from bittrue.verify.metrics import bad_elements
from bittrue.verify.replay import Replay


@dataclass
class Explainer:
    """replay: the graph with the reference's tensors. seconds: time for each layer. second: the same graph with the
    tensors of another sample, which must agree with every cause."""

    replay: Replay
    seconds: float = 30.0
    second: Replay | None = None

    @property
    def graph(self) -> Graph:
        return self.replay.graph

    def case(self, name: str, replay: Replay | None = None) -> LayerCase | None:
        """The layer of a tensor with the reference's inputs; None if the reference lacks one of them."""
        replay = replay or self.replay
        if not replay.usable(name):
            return None
        played = replay.run(name)
        if played is None or len(played[1]) > 1:
            return None
        simulated, (node,), inputs = played
        return LayerCase(
            self.graph,
            node,
            name,
            {i: replay.known[i] for i in inputs},
            simulated,
            replay.known[name],
            replay.known,
            replay.path,
            replay.threads,
        )

    def explain(self, tensors: Sequence[TensorResult], only: str | None = None) -> list[OverrideRule]:
        """Sets `causes` of the tensors where an error was born (or of the one named), and returns the rules that were
        proven. A rule proven on one layer is tried first on the later ones."""
        learned: list[OverrideRule] = []
        done: dict[str, list[Cause]] = {}
        wanted = [t for t in tensors if t.n and (t.origin in BORN if only is None else only in (t.name, t.layer))]
        for t in wanted:
            if t.name in done:
                t.causes = done[t.name]  # a network output that is a layer's result as well
                continue
            case = self.case(t.name)
            if case is None:
                continue
            known = self._by_learned(case, learned)
            if known:
                t.causes = done[t.name] = [known]
                continue
            second = self.case(t.name, self.second) if self.second else None
            t.causes = explain_layer(case, Budget(self.seconds), second)
            self._prefer_common(t, case, [o for o in wanted if o.name != t.name and o.name not in done])
            done[t.name] = t.causes
            first = t.causes[0] if t.causes else None
            if first and first.status == "PROVEN" and first.change:
                rule = rule_of(case.node, first)
                learned.append(rule)
                first.sentence += self._spread(rule, tensors)
                old = ", ".join(f"{k} {v}" for k, v in rule.when.items())
                evidence = case.node.attrs.get("evidence", "no evidence label")
                first.sentence += f"; today's rule of the model: {old} ({evidence})"
        return learned

    def _prefer_common(self, t: TensorResult, case: LayerCase, others: Sequence[TensorResult]) -> None:
        """Of several proven rules the one first that also explains most of the other layers where an error was born."""
        candidates = [c for c in t.causes if c.status == "PROVEN" and c.change]
        if len(candidates) < 2:
            return
        cases = [self.case(o.name) for o in others if o.op == case.node.op]
        cases = [c for c in cases if c is not None and c.bad.any()]
        if not cases:
            return
        mended = {
            id(cause): sum(
                share_mended(c, c.run(cause.change), int(c.bad.sum())) == 1.0
                for c in cases
                if c is not None and rule_of(case.node, cause).matches(c.node)
            )
            for cause in candidates
        }
        ranked = sorted(candidates, key=lambda c: -mended[id(c)])
        best = ranked[0]
        rest = [c for c in t.causes if c is not best]
        equally_good = [c for c in ranked[1:] if mended[id(c)] == mended[id(best)]]
        best.sentence = proven_sentence(best.hypothesis, best.elements, [c.hypothesis for c in equally_good])
        best.sentence += f"; it explains {mended[id(best)]} of {len(cases)} further layers where an error is born"
        t.causes = [best, *equally_good, *(c for c in rest if c not in equally_good)]

    def _by_learned(self, case: LayerCase, learned: Sequence[OverrideRule]) -> Cause | None:
        for rule in learned:
            if not rule.matches(case.node):
                continue
            if share_mended(case, case.run(rule.set), int(case.bad.sum())) == 1.0:
                text = f"{rule.text}, as in an earlier layer"
                return proven_cause(case, Hypothesis(rule.cls, rule.label, text, None, rule.set))
        return None

    def _spread(self, rule: OverrideRule, tensors: Sequence[TensorResult]) -> str:
        """What the rule does to all layers it is for. A rule that breaks equal layers is kept to those it mends."""
        mended: list[str] = []
        broken = kept = left = 0
        for t in tensors:
            node = self.replay.producer.get(t.name)
            if t.role == "output" or node is None or not rule.matches(node):
                continue
            case = self.case(t.name)
            if case is None:
                continue
            result = case.run(rule.set)
            equal = result is not None and not bad_elements(result, case.observed).any()
            if not case.bad.any():
                kept, broken = kept + equal, broken + (not equal)
            elif equal:
                mended.append(node.name)
            else:
                left += 1
        total = len(mended) + left + broken + kept
        if broken:
            rule.layers = mended
        if total < 2:
            return ""
        return (
            f"; of {total} {rule.op} layers the rule mends {len(mended)}, leaves {left} wrong, keeps {kept} equal and "
            f"breaks {broken}"
        )


def rule_of(node: Node, cause: Cause) -> OverrideRule:
    """The change of one layer as a rule for all layers with the same op and the same old values."""
    old = {k: node.attrs[k] for k in cause.change if k in node.attrs and not isinstance(node.attrs[k], list)}
    return OverrideRule(op=node.op, when=old, set=cause.change, cls=cause.cls, label=cause.label, text=cause.hypothesis)
