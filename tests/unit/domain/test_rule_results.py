"""What the rules said: in the order of `decide`, and with its very sentences."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tradingsignals_server.domain.indicators import Indicators
from tradingsignals_server.domain.risk import DECISION_RULES, RiskRules, TradeTally, choice_of, decide
from tradingsignals_server.domain.rule_results import RuleVerdict, decision_rule_results
from tradingsignals_server.domain.signals import Action, Probabilities

shares = st.tuples(*[st.floats(0.01, 1.0)] * 3)
rules = st.builds(
    RiskRules,
    confidence_threshold=st.floats(0.0, 1.0),
    min_risk_reward=st.floats(0.5, 3.0),
    min_win_probability=st.sampled_from([0.0, 0.5]),
    atr_multiplier_sl=st.floats(0.5, 100.0),
)


@given(shares, rules, st.none() | st.floats(1e-12, 90.0))
def test_results_agree_with_the_decision(three: tuple[float, float, float], in_force: RiskRules, atr: float) -> None:
    hold, buy, sell = (share / sum(three) for share in three)
    probabilities, indicators = Probabilities(hold, buy, sell), Indicators(atr=atr)
    decision = decide("USDCOP", probabilities, 100.0, indicators, in_force, TradeTally())
    results = decision_rule_results(choice_of("USDCOP", probabilities, 100.0, indicators, in_force))

    assert [result.rule for result in results] == [rule.name for rule in DECISION_RULES]
    verdicts = [result.verdict for result in results]
    if decision.action is Action.HOLD:
        (stopped,) = (result for result in results if result.verdict is RuleVerdict.STOPPED)
        assert stopped.sentence in decision.reasoning
        place = results.index(stopped)
        assert set(verdicts[:place]) <= {RuleVerdict.PASSED}
        assert set(verdicts[place + 1 :]) <= {RuleVerdict.NOT_REACHED}
    else:
        assert set(verdicts) == {RuleVerdict.PASSED}


def test_result_has_the_number_and_its_limit() -> None:
    choice = choice_of("USDCOP", Probabilities(0.2, 0.6, 0.2), 100.0, Indicators(atr=1.0), RiskRules())
    by_rule = {result.rule: result for result in decision_rule_results(choice)}
    threshold = by_rule["CONFIDENCE_THRESHOLD"]
    assert (threshold.verdict, threshold.value, threshold.limit) == (RuleVerdict.STOPPED, 0.6, 0.65)
    assert threshold.sentence == "BUY at 60.0% is below the threshold of 65.0%: HOLD"
    assert by_rule["MIN_RISK_REWARD"].verdict is RuleVerdict.NOT_REACHED
    assert by_rule["MIN_RISK_REWARD"].limit == 1.5
