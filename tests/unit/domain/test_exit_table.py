"""Exits by hand: a position entered at 100, and for each bar what becomes of it, with every rule and every tie.

Long: stop 98, target 103. Short: stop 102, target 97. `trail` follows the best price at 1.5. A row has the bars after
the entry; the last one leads to the exit, or to none ("-"), at the "open" or the "close" of the bar.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import pytest
from tests.support.builders import MONDAY, OPENING, bar, position

from tradingsignals_server.domain.costs import Charges
from tradingsignals_server.domain.intervals import DEFAULT_INTERVAL
from tradingsignals_server.domain.positions import ExitReason, Position, after_bar
from tradingsignals_server.domain.risk import RiskRules
from tradingsignals_server.domain.signals import Action

TABLE = """
long  | touches nothing                        |              | 100 101 99 100.5                          | -
long  | low just above the stop                |              | 100 101 98.01 99                          | -
long  | low at the stop                        |              | 100 101 98 99                             | STOP_LOSS 98 close
long  | low below the stop                     |              | 100 101 97 99                             | STOP_LOSS 98 close
long  | closes at the stop                     |              | 100 101 98 98                             | STOP_LOSS 98 close
long  | opens at the stop                      |              | 98 99 97.5 98.5                           | STOP_LOSS 98 open
long  | opens below the stop                   |              | 97 99 96 98.5                             | STOP_LOSS 97 open
long  | opens below the stop, closes at target |              | 97 103 96 103                             | STOP_LOSS 97 open
long  | high just below the target             |              | 100 102.99 99 102                         | -
long  | high at the target                     |              | 100 103 99 102                            | TAKE_PROFIT 103 close
long  | high above the target                  |              | 100 104 99 102                            | TAKE_PROFIT 103 close
long  | opens at the target                    |              | 103 104 102 103.5                         | TAKE_PROFIT 103 open
long  | opens above the target                 |              | 105 106 104 105                           | TAKE_PROFIT 103 open
long  | opens above the target, ends at stop   |              | 105 106 97 97                             | TAKE_PROFIT 103 open
long  | touches both                           |              | 100 103 98 101                            | STOP_LOSS 98 close
long  | touches both, closes at the target     |              | 100 103 98 103                            | STOP_LOSS 98 close
long  | opens near the target, touches both    |              | 102.5 103.5 97.5 98                       | STOP_LOSS 98 close
long  | second bar touches the stop            |              | 100 101 99 100.5; 100.5 101 97.5 98       | STOP_LOSS 98 close
long  | second bar opens above the target      |              | 100 102 99 102; 104 104 103.5 104         | TAKE_PROFIT 103 open
long  | last bar of the session                | last         | 100 101 99 100.5                          | SESSION_END 100.5 close
long  | last bar touches the stop              | last         | 100 101 98 99                             | STOP_LOSS 98 close
long  | last bar touches the target            | last         | 100 103 99 102                            | TAKE_PROFIT 103 close
long  | last bar touches both                  | last         | 100 103 98 102                            | STOP_LOSS 98 close
long  | last bar, held over night              | last,keep    | 100 101 99 100.5                          | -
long  | first bar of the next session          | next         | 99 101 98.5 100                           | SESSION_END 99 open
long  | next session opens at the stop         | next         | 98 99 97 98                               | STOP_LOSS 98 open
long  | next session opens below the stop      | next         | 96 99 96 98                               | STOP_LOSS 96 open
long  | next session opens above the target    | next         | 104 105 103 104                           | TAKE_PROFIT 103 open
long  | next session touches stop and target   | next         | 99 104 97 100                             | SESSION_END 99 open
long  | bar outside every session              | night        | 99 101 98.5 100                           | SESSION_END 99 open
long  | next session, held over night          | next,keep    | 99 101 98.5 100                           | -
long  | time limit of one bar                  | limit1       | 100 101 99 100.25                         | TIME_LIMIT 100.25 close
long  | time limit touches the stop            | limit1       | 100 101 98 99                             | STOP_LOSS 98 close
long  | time limit touches the target          | limit1       | 100 103 99 102                            | TAKE_PROFIT 103 close
long  | time limit on the last bar             | limit1,last  | 100 101 99 100.25                         | TIME_LIMIT 100.25 close
long  | time limit of two after one bar        | limit2       | 100 101 99 100.5                          | -
long  | time limit of two after two bars       | limit2       | 100 101 99 100.5; 100.5 101 100 100.75    | TIME_LIMIT 100.75 close
long  | entered within, low at the stop        | within       | 100 101 98 99                             | STOP_LOSS 98 close
long  | entered within, open below the stop    | within       | 97 101 97 100                             | STOP_LOSS 98 close
long  | entered within, high above the target  | within       | 100 104 99 102                            | -
long  | entered within, closes at the target   | within       | 100 103.5 99 103                          | TAKE_PROFIT 103 close
long  | entered within, opens above the target | within       | 104 105 99 101                            | -
long  | entered within the last bar            | within,last  | 100 101 99 100.5                          | SESSION_END 100.5 close
long  | bar that closed at the entry           | before       | 100 104 97 97                             | -
long  | trails, nothing touched                | trail        | 100 101 99.8 100.5                        | -
long  | trailed stop touched by the next bar   | trail        | 100 101 99.8 100.5; 100.5 100.6 99.5 100  | TRAILING_STOP 99.5 close
long  | next bar opens below the trailed stop  | trail        | 100 101 99.8 100.5; 99 99.5 98.9 99.2     | TRAILING_STOP 99 open
long  | trailed stop does not move back        | trail        | 100 101 99.8 100.5; 100.5 100.6 99.51 100; 100 100.2 99.5 99.9 | TRAILING_STOP 99.5 close
long  | trails the stop to its close           | trail        | 100 102 100 100.5                         | TRAILING_STOP 100.5 close
long  | trails the stop past its close         | trail        | 100 102 99 99.5                           | TRAILING_STOP 100.5 close
long  | trails just below its close            | trail        | 100 102 99 100.51                         | -
long  | touches the stop from before it trails | trail        | 100 102 98 101                            | STOP_LOSS 98 close
long  | touches the target and trails          | trail        | 101.5 103 101 101.2                       | TAKE_PROFIT 103 close
long  | trails past its close at the limit     | trail,limit1 | 100 102 99 99.5                           | TRAILING_STOP 100.5 close
long  | trails on the last bar                 | trail,last   | 100 101 99.8 100.5                        | SESSION_END 100.5 close
short | touches nothing                        |              | 100 101 99 99.5                           | -
short | high just below the stop               |              | 100 101.99 99 101                         | -
short | high at the stop                       |              | 100 102 99 101                            | STOP_LOSS 102 close
short | opens at the stop                      |              | 102 102.5 101 101                         | STOP_LOSS 102 open
short | opens above the stop                   |              | 103 104 101 101.5                         | STOP_LOSS 103 open
short | low at the target                      |              | 100 101 97 98                             | TAKE_PROFIT 97 close
short | opens below the target                 |              | 95 96 94 95                               | TAKE_PROFIT 97 open
short | opens below the target, ends at stop   |              | 95 103 95 103                             | TAKE_PROFIT 97 open
short | touches both                           |              | 100 102 97 99                             | STOP_LOSS 102 close
short | last bar of the session                | last         | 100 101 99 99.5                           | SESSION_END 99.5 close
short | first bar of the next session          | next         | 101 101.5 99 100                          | SESSION_END 101 open
short | next session opens above the stop      | next         | 102.5 103 101 101                         | STOP_LOSS 102.5 open
short | time limit of one bar                  | limit1       | 100 101 99 99.75                          | TIME_LIMIT 99.75 close
short | time limit on the last bar             | limit1,last  | 100 101 99 99.75                          | TIME_LIMIT 99.75 close
short | entered within, low below the target   | within       | 100 101 96 98                             | -
short | entered within, closes at the target   | within       | 100 101 96.5 97                           | TAKE_PROFIT 97 close
short | entered within, high at the stop       | within       | 100 102 99 101                            | STOP_LOSS 102 close
short | bar that closed at the entry           | before       | 100 104 95 95                             | -
short | trailed stop touched by the next bar   | trail        | 100 100.2 99 99.5; 99.5 100.5 99.4 100    | TRAILING_STOP 100.5 close
short | next bar opens above the trailed stop  | trail        | 100 100.2 99 99.5; 101 101.5 100.8 101    | TRAILING_STOP 101 open
short | trails the stop to its close           | trail        | 100 100 98 99.5                           | TRAILING_STOP 99.5 close
"""  # noqa: E501 - a row is a line

ROWS = [tuple(cell.strip() for cell in line.split("|")) for line in TABLE.strip().splitlines()]
BARS = sum(len(bars.split(";")) for *_, bars, _ in ROWS)

COSTLY = RiskRules(spread=Charges.flat(0.2), commission=Charges.flat(0.05), slippage=Charges.flat(0.1))
AT_MARKET, AT_TARGET = 0.2 + 2 * 0.05 + 2 * 0.1, 0.2 + 2 * 0.05 + 0.1
"""Costs of a trade: spread, commission of two sides, and slippage of two sides, or of the entry alone."""


def rules_of(setup: str) -> RiskRules:
    limit = next((int(word[-1]) for word in setup.split(",") if word.startswith("limit")), 0)
    trail = 1.5 if "trail" in setup else 0.0
    return replace(COSTLY, trailing_stop_atr=trail, max_holding_bars=limit, close_at_session_end="keep" not in setup)


def entered(side: str, setup: str) -> Position:
    held = position(Action.BUY if side == "long" else Action.SELL, rules_of(setup))
    after = {"within": timedelta(minutes=2), "before": DEFAULT_INTERVAL}
    return replace(held, entry_time=held.entry_time + after.get(setup.partition(",")[0], timedelta()))


def session_of(setup: str) -> date | None:
    if "night" in setup:
        return None
    return MONDAY + timedelta(days=1) if "next" in setup else MONDAY


def test_table_has_sixty_bars_and_more() -> None:
    assert BARS >= 60
    assert len({row[:4] for row in ROWS}) == len(ROWS)
    reasons = {expected.split()[0] for *_, expected in ROWS} - {"-"}
    assert reasons == set(ExitReason) - {ExitReason.REVERSED, ExitReason.MANUAL}, "those two are no rule of a bar"


@pytest.mark.parametrize(
    ("side", "what", "setup", "bars", "expected"), ROWS, ids=[f"{row[0]}-{row[1]}" for row in ROWS]
)
def test_exit_is_the_one_computed_by_hand(side: str, what: str, setup: str, bars: str, expected: str) -> None:
    held, times = entered(side, setup), enumerate(bars.split(";"))
    for number, prices in times:
        assert held.is_open, "only the last bar of a row leads to an exit"
        one = bar(number, *map(float, prices.split()))
        held = after_bar(held, one, rules_of(setup), session_day=session_of(setup), last_of_session="last" in setup)
    if expected == "-":
        assert held.is_open
        return
    reason, price, at = expected.split()
    assert held.exit is not None
    assert (held.exit.reason, held.exit.price) == (ExitReason(reason), float(price))
    assert held.exit.time == (one.time if at == "open" else one.close_time)
    assert held.exit.time >= OPENING
    move = (1.0 if side == "long" else -1.0) * (float(price) - 100.0)
    costs = AT_TARGET if reason == "TAKE_PROFIT" else AT_MARKET
    assert [held.costs, held.pnl] == pytest.approx([costs, move - costs], abs=1e-12)
