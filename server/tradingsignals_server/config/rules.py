"""The settings of the model and of the rules by which its choices become signals and positions."""

from __future__ import annotations

from dataclasses import fields
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, model_validator
from pydantic_settings import BaseSettings

from ..domain.costs import NO_CHARGES, Charge, Charges
from ..domain.protections import Protections
from ..domain.risk import RiskRules, Sizing
from .field_types import (
    DEFAULT_SLIPPAGE,
    DEFAULT_SPREAD,
    CommissionCharges,
    CurrencyCode,
    Fraction,
    Multiple,
    NotNegative,
    Share,
    SlippageCharges,
    SpreadCharges,
)

RULE_SETTINGS = (
    "bar_interval",
    "session_calendar",
    "confidence_threshold",
    "min_win_probability",
    "min_risk_reward",
    "atr_multiplier_sl",
    "atr_multiplier_tp",
    "position_sizing",
    "position_size_pct",
    "max_position_size_pct",
    "risk_per_trade_pct",
    "kelly_fraction",
    "trailing_stop_atr",
    "max_holding_bars",
    "close_at_session_end",
    "spread",
    "commission",
    "commission_pct",
    "slippage",
    "max_daily_loss_pct",
    "max_drawdown_pct",
    "cooldown_after_stops",
    "cooldown_minutes",
    "max_open_positions",
    "max_exposure_pct",
    "trading_halted",
    "initial_equity",
    "max_price_jump",
    "outcome_expiry_bars",
)
"""The settings that a decision on a bar, a position or an amount depends on, besides the model."""


class RuleSettings(BaseSettings):
    """The settings of the model and the rules. They are set as those of config.Settings, of which this is a base."""

    # How to decide
    model_path: Path | None = Field(
        None,
        description="The policy: an ONNX file, or a folder of versions (<version>/model.onnx), of which the newest is "
        "taken, also when it comes later. Absent: the policy that is shipped. placeholder: made-up predictions.",
    )
    shadow_model_path: Path | None = Field(
        None, description="A second policy on the same bars, in the same forms: scored, never traded."
    )
    features: str | None = Field(
        None,
        description="Features of your own, as module:attribute such as myfeatures:features, for models that were "
        "trained on them. The module is imported from the working folder or from what is installed, and runs in the "
        "service. Absent: none.",
    )
    max_bar_age: Annotated[float, Field(ge=0, le=31_536_000)] | None = Field(
        None,
        description="Seconds of trading time, nights and weekends left out: a signal that is asked for on older bars "
        "trades nothing. 0: no limit. Absent: three bars of the symbol's interval.",
    )
    confidence_threshold: Annotated[float, Field(ge=0, le=1)] = Field(
        0.65, description="A choice below this probability becomes HOLD."
    )
    min_win_probability: Annotated[float, Field(ge=0, le=1)] = Field(
        0.0,
        description="A choice whose calibrated chance to win is below this, or not known because the model is not "
        "calibrated, becomes HOLD. 0: none does.",
    )
    min_risk_reward: NotNegative = Field(1.5, description="A choice below this ratio of target to stop becomes HOLD.")
    atr_multiplier_sl: Multiple = Field(2.0, description="Distance of the stop, in ATR.")
    atr_multiplier_tp: Multiple = Field(3.0, description="Distance of the target, in ATR.")

    # How much to take, and when to leave
    position_sizing: Sizing = Field(
        Sizing.FIXED,
        description="fixed (POSITION_SIZE_PCT), confidence (POSITION_SIZE_PCT times confidence), risk "
        "(RISK_PER_TRADE_PCT lost at the stop) or kelly (KELLY_FRACTION of Kelly, from the win probability; without "
        "one from the closed positions of the last 30 days, at most 100).",
    )
    position_size_pct: Fraction = Field(0.02, description="Base size, as a fraction of equity.")
    max_position_size_pct: Fraction = Field(0.05, description="Largest size, as a fraction of equity.")
    risk_per_trade_pct: Fraction = Field(0.001, description="Fraction of equity lost at the stop, for sizing by risk.")
    kelly_fraction: Fraction = Field(0.25, description="Part of the Kelly fraction taken, for sizing by Kelly.")
    trailing_stop_atr: Annotated[float, Field(ge=0, le=1000)] = Field(
        0.0, description="Trail the stop by this many ATR; 0: a fixed stop."
    )
    max_holding_bars: Annotated[int, Field(ge=0)] = Field(0, description="Close after this many bars; 0: no limit.")
    close_at_session_end: bool = Field(True, description="Close at the last bar of the session.")
    spread: SpreadCharges = Field(
        Charges(DEFAULT_SPREAD),
        description="Bid-ask spread by symbol, half of it paid on each side, such as USDCOP=1.0,EURUSD=0.9pip,*=2bp: "
        "in price, pips or basis points of the price; * is every other symbol, 2bp if it is not named.",
    )
    commission: CommissionCharges = Field(
        NO_CHARGES, description="Commission by symbol, paid on each side, in the form of SPREAD."
    )
    commission_pct: Annotated[float, Field(ge=0, le=10, allow_inf_nan=False)] | None = Field(
        None, description="Commission in percent of the price for all symbols, in place of COMMISSION."
    )
    slippage: SlippageCharges = Field(
        Charges(DEFAULT_SLIPPAGE),
        description="How far from its price a market order is filled, by symbol, in the form of SPREAD: paid at each "
        "entry and at each exit but at a target; * is 0.5bp if it is not named.",
    )
    initial_equity: Annotated[float, Field(gt=0, le=1e15)] = Field(
        100_000.0, description="Account size that profit and loss is counted on."
    )
    outcome_expiry_bars: Annotated[int, Field(ge=1, le=100_000)] = Field(
        288, description="Bars after which a signal that is still open is resolved as EXPIRED; a position never is."
    )
    account_currency: CurrencyCode = Field(
        "USD",
        description="Currency of the account, such as USD: see docs/outcomes.md for what a pair's profit is in it.",
    )
    max_price_jump: Annotated[float, Field(ge=0, le=1000)] = Field(
        0.5,
        description="A price further from the last one known of its symbol than this fraction of it is refused: of a "
        "bar within an hour of the one before, of a quote or a closing price always. A later bar is refused beyond a "
        "factor of 20, if a position is held. 0: none is.",
    )

    # When to open nothing
    max_daily_loss_pct: Share = Field(
        0.0,
        description="Open nothing more on a day (UTC) that has lost this fraction of the equity at its start. 0: no "
        "limit.",
    )
    max_drawdown_pct: Share = Field(
        0.0,
        description="Open nothing while equity is this fraction below its peak, until trading is resumed by hand. 0: "
        "no limit.",
    )
    cooldown_after_stops: Annotated[int, Field(ge=0, le=1000)] = Field(
        0,
        description="Open nothing for COOLDOWN_MINUTES after this many positions in a row ended at their stop with a "
        "loss, and after each further one. 0: no cool-down.",
    )
    cooldown_minutes: Annotated[float, Field(ge=0, le=525_600, allow_inf_nan=False)] = Field(
        60.0, description="Length of the cool-down, in minutes of market time."
    )
    max_open_positions: Annotated[int, Field(ge=0, le=1_000_000)] = Field(
        0, description="Open nothing while this many positions are open, of all symbols. 0: no limit."
    )
    max_exposure_pct: Annotated[float, Field(ge=0, le=10)] = Field(
        0.0,
        description="Open nothing that brings the sum of the sizes of all open positions above this fraction of "
        "INITIAL_EQUITY. 0: no limit.",
    )
    trading_halted: bool = Field(
        False,
        description="Open nothing, also if trading was not halted by hand. Signals are made as before, and positions "
        "kept and left.",
    )

    @model_validator(mode="after")
    def _rules_agree(self) -> Self:
        if self.position_size_pct > self.max_position_size_pct:
            raise ValueError("POSITION_SIZE_PCT must not be above MAX_POSITION_SIZE_PCT")
        if self.commission_pct is not None and self.commission != NO_CHARGES:
            raise ValueError(
                "COMMISSION and COMMISSION_PCT must not both be set; COMMISSION=*=1bp is COMMISSION_PCT=0.01"
            )
        return self

    @property
    def charged_commission(self) -> Charges:
        """The commission by symbol, in whichever of the two forms it was set."""
        if self.commission_pct is None:
            return self.commission
        return Charges(Charge(100.0 * self.commission_pct, in_bp=True))

    @property
    def risk_rules(self) -> RiskRules:
        """The part of the settings that the domain works by."""
        return RiskRules(
            confidence_threshold=self.confidence_threshold,
            min_win_probability=self.min_win_probability,
            min_risk_reward=self.min_risk_reward,
            atr_multiplier_sl=self.atr_multiplier_sl,
            atr_multiplier_tp=self.atr_multiplier_tp,
            sizing=self.position_sizing,
            position_size_pct=self.position_size_pct,
            max_position_size_pct=self.max_position_size_pct,
            risk_per_trade_pct=self.risk_per_trade_pct,
            kelly_fraction=self.kelly_fraction,
            trailing_stop_atr=self.trailing_stop_atr,
            max_holding_bars=self.max_holding_bars,
            close_at_session_end=self.close_at_session_end,
            spread=self.spread,
            commission=self.charged_commission,
            slippage=self.slippage,
            initial_equity=self.initial_equity,
            account_currency=self.account_currency,
            max_bar_age=None if self.max_bar_age is None else timedelta(seconds=self.max_bar_age),
            max_price_jump=self.max_price_jump,
            protections=self.protections,
        )

    @property
    def protections(self) -> Protections:
        """The settings that keep positions from being opened."""
        return Protections(**{field.name: getattr(self, field.name) for field in fields(Protections)})
