"""Settings: defaults, precedence, and one line for invalid values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from datetime import date, timedelta
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from opentelemetry.sdk import environment_variables
from pydantic import ValidationError

from tradingsignals_server.adapters.feeds.registry import FEEDS
from tradingsignals_server.commands import config as command
from tradingsignals_server.config.field_types import LogFormat
from tradingsignals_server.config.settings import InvalidSettings, Settings
from tradingsignals_server.domain.calendar import CalendarChoice
from tradingsignals_server.domain.costs import Charge, Charges
from tradingsignals_server.domain.risk import RiskRules, Sizing

Setter = Callable[..., None]


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An empty working folder and an environment without settings."""
    monkeypatch.chdir(tmp_path)
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> Setter:
    """Sets variables of the environment, given by name."""

    def set_all(**values: str) -> None:
        for name, value in values.items():
            monkeypatch.setenv(name, value)

    return set_all


def test_defaults_are_the_documented_ones() -> None:
    settings = Settings.from_env()
    assert (settings.signal_service_host, settings.signal_service_port) == ("127.0.0.1", 8003)
    assert (settings.grpc_host, settings.grpc_port) == ("127.0.0.1", 50051)
    assert (settings.metrics_host, settings.metrics_port) == ("127.0.0.1", 9464)
    assert settings.data_dir == Path("data")
    assert settings.embedded_database
    assert settings.feed is FEEDS["simulate"]
    assert settings.symbols == ("USDCOP",)
    assert settings.simulate_start == date(2020, 1, 2)
    assert settings.session_calendar is CalendarChoice.AUTO
    assert settings.model_path is None
    assert (settings.log_level, settings.log_format) == ("INFO", LogFormat.AUTO)
    assert settings.risk_rules == RiskRules(
        confidence_threshold=0.65,
        min_win_probability=0.0,
        min_risk_reward=1.5,
        atr_multiplier_sl=2.0,
        atr_multiplier_tp=3.0,
        sizing=Sizing.FIXED,
        position_size_pct=0.02,
        max_position_size_pct=0.05,
        spread=Charges(Charge(2.0, in_bp=True)),
        slippage=Charges(Charge(0.5, in_bp=True)),
        max_bar_age=None,
        max_price_jump=0.5,
    )


@pytest.mark.parametrize(
    ("feed", "replayed"), [("simulate", ["USDCOP"]), ("replay", ["EURUSD", "USDCOP"]), ("push", [])]
)
def test_symbol_is_replayed_if_the_feed_delivers_its_bars(feed: str, replayed: list[str]) -> None:
    settings = Settings.from_env(feed=feed, replay_file="bars.csv", symbols="USDCOP")
    assert [symbol for symbol in ("EURUSD", "USDCOP") if settings.is_replayed(symbol)] == replayed


def test_domain_has_the_same_defaults_except_costs() -> None:
    """Trades of tests cost nothing by default."""
    rules = Settings.from_env().risk_rules
    assert rules == RiskRules(spread=rules.spread, slippage=rules.slippage)


def test_every_risk_rule_can_be_set(environment: Setter) -> None:
    values = {
        "CONFIDENCE_THRESHOLD": 0.7,
        "MIN_WIN_PROBABILITY": 0.55,
        "MIN_RISK_REWARD": 1.2,
        "ATR_MULTIPLIER_SL": 1.5,
        "ATR_MULTIPLIER_TP": 4.5,
        "POSITION_SIZING": "kelly",
        "POSITION_SIZE_PCT": 0.03,
        "MAX_POSITION_SIZE_PCT": 0.06,
        "RISK_PER_TRADE_PCT": 0.002,
        "KELLY_FRACTION": 0.5,
        "TRAILING_STOP_ATR": 1.0,
        "MAX_HOLDING_BARS": 12,
        "CLOSE_AT_SESSION_END": False,
        "SPREAD": "USDCOP=1,*=0.4",
        "COMMISSION": "EURUSD=1bp,*=0",
        "SLIPPAGE": "USDCOP=0.3,*=1bp",
        "INITIAL_EQUITY": 5000.0,
        "ACCOUNT_CURRENCY": "EUR",
        "MAX_BAR_AGE": "0:10:00",
        "MAX_PRICE_JUMP": 0.2,
        "MAX_DAILY_LOSS_PCT": 0.02,
        "MAX_DRAWDOWN_PCT": 0.1,
        "COOLDOWN_AFTER_STOPS": 3,
        "COOLDOWN_MINUTES": 30.0,
        "MAX_OPEN_POSITIONS": 4,
        "MAX_EXPOSURE_PCT": 0.5,
        "TRADING_HALTED": True,
    }
    environment(**{name: str(value) for name, value in values.items()} | {"MAX_BAR_AGE": "600"})
    rules = Settings.from_env().risk_rules
    found: dict[str, object] = {field.name: getattr(rules, field.name) for field in fields(rules)}
    del found["protections"]
    found |= {field.name: getattr(rules.protections, field.name) for field in fields(rules.protections)}
    for field, value in found.items():
        name = "POSITION_SIZING" if field == "sizing" else field.upper()
        assert (str(value) if isinstance(value, Charges | timedelta) else value) == values.pop(name), field
    assert values == {}


# ----------------------------------------------------------------------------------------------------------- precedence


def test_environment_overrides_the_file_and_the_command_line_both(environment: Setter, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text('GRPC_PORT=1\nSPREAD=0.5\nLOG_LEVEL="warning"\n# a comment\n')
    assert Settings.from_env().grpc_port == 1
    environment(GRPC_PORT="2", PATH_OF_NOTHING="x")
    settings = Settings.from_env()
    assert (settings.grpc_port, str(settings.spread), settings.log_level) == (2, "*=0.5", "WARNING")
    assert Settings.from_env(grpc_port=3).grpc_port == 3
    assert Settings.from_env(grpc_port=None).grpc_port == 2


def test_older_name_of_a_setting_is_accepted(environment: Setter, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("LEAN_PORT=60001\n")
    assert Settings.from_env().fanout_port == 60001
    environment(LEAN_PORT="60002")
    assert Settings.from_env().fanout_port == 60002
    environment(FANOUT_PORT="60003")
    assert Settings.ignored() == ["LEAN_PORT is the older name of FANOUT_PORT; both are set: remove it"]
    assert Settings.from_env().fanout_port == 60003, "the newer name wins"


def test_invalid_value_of_an_older_name_is_refused(environment: Setter) -> None:
    environment(LEAN_PORT="65536")
    with pytest.raises(InvalidSettings, match=r"^LEAN_PORT=65536: "):
        Settings.from_env()


@pytest.mark.parametrize(("fanout_port", "last"), [("1", "65538"), ("0", "65536")])
def test_ports_of_all_servers_must_exist(environment: Setter, fanout_port: str, last: str) -> None:
    environment(GRPC_PORT="65535", FANOUT_PORT=fanout_port, SERVERS="2")
    with pytest.raises(InvalidSettings, match=f"^GRPC_PORT=65535: SERVERS=2 would use the ports up to {last};"):
        Settings.from_env()
    environment(GRPC_PORT="65532")
    assert Settings.from_env().servers == 2


@pytest.mark.parametrize("day", ["0001-01-01", "1989-12-31", "2999-01-01"])
def test_simulation_starts_on_a_day_that_can_have_bars(environment: Setter, day: str) -> None:
    environment(SIMULATE_START=day)
    with pytest.raises(InvalidSettings, match=f"^SIMULATE_START={day}: must be from 1990-01-01, .* to today"):
        Settings.from_env()


def test_empty_variable_counts_as_unset(environment: Setter) -> None:
    environment(GRPC_PORT="", POSTGRES_HOST="", MODEL_PATH="")
    settings = Settings.from_env()
    assert settings.grpc_port == 50051
    assert settings.embedded_database
    assert settings.model_path is None


@pytest.mark.parametrize(
    ("host", "address"),
    [("0.0.0.0", "127.0.0.1:8003"), ("::", "[::1]:8003"), ("::1", "[::1]:8003"), ("desk", "desk:8003")],  # noqa: S104
)
def test_address_for_programs_of_this_machine_is_one_that_is_listened_on(host: str, address: str) -> None:
    """A listener on every interface of IPv6 takes no connection of IPv4."""
    assert Settings(signal_service_host=host).public_address() == address


def test_settings_are_immutable() -> None:
    settings = Settings.from_env()
    with pytest.raises(ValidationError):
        settings.grpc_port = 1  # type: ignore[misc]  # that it is refused is the test


@pytest.mark.parametrize(
    ("text", "symbols"),
    [
        ("USD/COP", ("USDCOP",)),
        ("USDCOP, EURUSD", ("USDCOP", "EURUSD")),
        ("USDCOP,EUR/COP", ("USDCOP", "EURCOP")),
        ("USDCOP,USD/COP", ("USDCOP",)),
    ],
)
def test_symbols_are_parsed_as_a_list(environment: Setter, text: str, symbols: tuple[str, ...]) -> None:
    environment(SYMBOLS=text)
    assert Settings.from_env().symbols == symbols


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("http://collector:4318/", "http://collector:4318"),
        ("http://127.0.0.1", "http://127.0.0.1:4317"),
        ("http://[::1]", "http://[::1]:4317"),
    ],
)
def test_collector_has_a_port(environment: Setter, text: str, address: str) -> None:
    environment(OTEL_EXPORTER_OTLP_ENDPOINT=text)
    assert Settings.from_env().otel_exporter_otlp_endpoint == address


def test_variables_that_the_sdk_of_opentelemetry_reads_are_no_misspelt_settings(environment: Setter) -> None:
    names = {name for name in vars(environment_variables) if name.startswith("OTEL_")}
    assert {"OTEL_EXPORTER_OTLP_HEADERS", "OTEL_TRACES_SAMPLER", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"} < names
    environment(**dict.fromkeys(names - {name.upper() for name in Settings.model_fields}, "x"))
    assert Settings.from_env().otel_exporter_otlp_endpoint is None


@pytest.mark.parametrize(
    ("text", "hosts"),
    [
        ("signals.example.com, *.desk.example", ("signals.example.com", "*.desk.example")),
        ("A.example,a.example", ("a.example",)),
        ("10.0.0.7,::1,[fe80::0:1]", ("10.0.0.7", "[::1]", "[fe80::1]")),
    ],
)
def test_allowed_hosts_are_parsed_as_a_list(environment: Setter, text: str, hosts: tuple[str, ...]) -> None:
    environment(ALLOWED_HOSTS=text)
    assert Settings.from_env().allowed_hosts == hosts


# ------------------------------------------------------------------------------------------------------- invalid values

IMPOSSIBLE = [
    ("AUTH", "perhaps"),
    ("CORS_ORIGINS", "desk.example"),
    ("CORS_ORIGINS", "https://desk.example/page"),
    ("TRUSTED_PROXIES", "proxy.example"),
    ("TRUSTED_PROXIES", "10.0.0.1/8"),
    ("WEBHOOK_NETWORKS", "10.0.0.1/8"),
    ("CORS_ORIGINS", "*"),
    ("TLS_CLIENT_REQUIRED", "perhaps"),
    ("TLS_CLIENT_ROLES", "engine.desk.example=king"),
    ("TLS_CLIENT_ROLES", "=viewer"),
    ("JWT_MAX_SECONDS", "0"),
    ("RATE_LIMITS", "viewer=-1"),
    ("RATE_LIMITS", "everyone=5"),
    ("RATE_LIMITS", "viewer"),
    ("RATE_LIMITS", "viewer=nan"),
    ("MAX_STREAMS_PER_CALLER", "-1"),
    ("MAX_STREAM_SECONDS", "-1"),
    ("AUDIT_RETENTION_DAYS", "-1"),
    ("IDEMPOTENCY_SECONDS", "0"),
    ("ALLOW_INSECURE", "perhaps"),
    ("ALLOWED_HOSTS", "*"),
    ("ALLOWED_HOSTS", "a.example:8003"),
    ("ALLOWED_HOSTS", "https://a.example"),
    ("SIGNAL_SERVICE_PORT", "65536"),
    ("SIGNAL_SERVICE_PORT", "-1"),
    ("SIGNAL_SERVICE_PORT", "http"),
    ("GRPC_PORT", "1.5"),
    ("FANOUT_PORT", "65536"),
    ("POSTGRES_PORT", "70000"),
    ("METRICS_PORT", "65536"),
    ("EDGE_METRICS_PORT", "-1"),
    ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://collector"),
    ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4317/v1/traces"),
    ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:70000"),
    ("OTEL_TRACES_SAMPLER_ARG", "1.1"),
    ("FEED", "carrier-pigeon"),
    ("TWELVEDATA_URL", "http://api.twelvedata.com"),
    ("TWELVEDATA_URL", "api.twelvedata.com"),
    ("TWELVEDATA_URL", "https://user:password@api.twelvedata.com"),
    ("TWELVEDATA_URL", "https://api.twelvedata.com/?apikey=x"),
    ("TWELVEDATA_URL", "https://api.twelvedata.com:99999"),
    ("TWELVEDATA_URL", "https://[api]"),
    ("REPLAY_SPEED", "-1"),
    ("REPLAY_SPEED", "nan"),
    ("SIMULATE_SPEED", "inf"),
    ("SIMULATE_SEED", "lucky"),
    ("SIMULATE_START", "someday"),
    ("SYMBOLS", "USDCOP,?"),
    ("MAX_SYMBOLS", "0"),
    ("SERVERS", "0"),
    ("SERVERS", "65"),
    ("DRAIN_SECONDS", "-1"),
    ("SYMBOLS", ","),
    ("SESSION_CALENDAR", "london"),
    ("SIGNAL_RETENTION_DAYS", "-1"),
    ("SIGNAL_RETENTION_DAYS", "0.5"),
    ("STREAM_STALL_SECONDS", "0"),
    ("STREAM_STALL_SECONDS", "inf"),
    ("CONFIDENCE_THRESHOLD", "1.01"),
    ("CONFIDENCE_THRESHOLD", "-0.01"),
    ("CONFIDENCE_THRESHOLD", "nan"),
    ("MIN_WIN_PROBABILITY", "1.01"),
    ("MIN_WIN_PROBABILITY", "-0.01"),
    ("MIN_RISK_REWARD", "-0.1"),
    ("MIN_RISK_REWARD", "nan"),
    ("ATR_MULTIPLIER_SL", "0"),
    ("ATR_MULTIPLIER_SL", "inf"),
    ("ATR_MULTIPLIER_TP", "-3"),
    ("POSITION_SIZING", "feeling"),
    ("POSITION_SIZE_PCT", "0"),
    ("POSITION_SIZE_PCT", "1.1"),
    ("POSITION_SIZE_PCT", "nan"),
    ("MAX_POSITION_SIZE_PCT", "2"),
    ("RISK_PER_TRADE_PCT", "0"),
    ("KELLY_FRACTION", "1.5"),
    ("TRAILING_STOP_ATR", "-1"),
    ("MAX_HOLDING_BARS", "-1"),
    ("MAX_HOLDING_BARS", "2.5"),
    ("CLOSE_AT_SESSION_END", "perhaps"),
    ("MAX_DAILY_LOSS_PCT", "5"),
    ("MAX_DAILY_LOSS_PCT", "-0.01"),
    ("MAX_DRAWDOWN_PCT", "20"),
    ("COOLDOWN_AFTER_STOPS", "-1"),
    ("COOLDOWN_AFTER_STOPS", "2.5"),
    ("COOLDOWN_MINUTES", "inf"),
    ("MAX_OPEN_POSITIONS", "-1"),
    ("MAX_EXPOSURE_PCT", "50"),
    ("TRADING_HALTED", "perhaps"),
    ("SLIPPAGE", "-0.1"),
    ("SPREAD", "-0.1"),
    ("SPREAD", "USDCOP"),
    ("SPREAD", "USDCOP=1,USD/COP=2"),
    ("SPREAD", "*=1pip"),
    ("SPREAD", "BRK.B=1pip"),
    ("SPREAD", "1001bp"),
    ("SPREAD", "!=1"),
    ("COMMISSION", "1%"),
    ("MAX_BAR_AGE", "-1"),
    ("BAR_INTERVAL", "2h"),
    ("BAR_INTERVAL", "BTCUSDT=1h,BTC/USDT=5m"),
    ("MAX_PRICE_JUMP", "nan"),
    ("TRAILING_STOP_ATR", "1e4"),
    ("INITIAL_EQUITY", "1e16"),
    ("COMMISSION_PCT", "-1"),
    ("INITIAL_EQUITY", "0"),
    ("OUTCOME_EXPIRY_BARS", "0"),
    ("ACCOUNT_CURRENCY", "usd"),
    ("ACCOUNT_CURRENCY", "US DOLLAR"),
    ("LOG_LEVEL", "LOUD"),
    ("LOG_FORMAT", "xml"),
]


@pytest.mark.parametrize(("name", "value"), IMPOSSIBLE)
def test_invalid_value_is_refused_in_one_line_with_its_name(environment: Setter, name: str, value: str) -> None:
    environment(**{name: value})
    with pytest.raises(InvalidSettings) as caught:
        Settings.from_env()
    message = str(caught.value)
    assert message.startswith(f"{name}={value}: ") or (name == "SYMBOLS" and message.startswith("SYMBOLS"))
    assert "\n" not in message
    assert len(message) > len(f"{name}={value}: ")
    assert "pattern" not in message, "it says what must be, in words"


def test_every_invalid_value_is_listed_in_one_line(environment: Setter) -> None:
    environment(GRPC_PORT="70000", FEED="pigeon", SPREAD="nan", CLOSE_AT_SESSION_END="perhaps", SIMULATE_START="soon")
    with pytest.raises(InvalidSettings) as caught:
        Settings.from_env()
    assert str(caught.value).split("; ") == [
        "GRPC_PORT=70000: must be a whole number >= 0 and <= 65535",
        "FEED=pigeon: must be simulate, replay, push or twelvedata",
        "SIMULATE_START=soon: must be a date such as 2020-01-02",
        "CLOSE_AT_SESSION_END=perhaps: must be true or false",
        "SPREAD=nan: 'nan' must be a number, in price, or one with bp or pip, such as 1.0, 2bp or 0.9pip",
    ]


def test_invalid_value_is_quoted_printably_and_truncated(environment: Setter) -> None:
    environment(GRPC_PORT="1\n\x1b[2J" + "9" * 500)
    with pytest.raises(InvalidSettings) as caught:
        Settings.from_env()
    message = str(caught.value)
    assert message.startswith(r"GRPC_PORT=1\n\x1b[2J999")
    assert message.isprintable()
    assert len(message) < 200


# -------------------------------------------------------------------------------------------------------- unknown names


def refusal() -> str | None:
    """Return the error of the names that are set, None if there is none."""
    try:
        Settings.from_env()
    except InvalidSettings as error:
        return str(error)
    return None


def test_misspelt_name_in_the_file_is_refused_with_the_nearest_setting(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("CONFIDENCE_TRESHOLD=0.9\n")
    assert refusal() == ".env: CONFIDENCE_TRESHOLD is not a setting; did you mean CONFIDENCE_THRESHOLD?"


def test_every_unknown_name_in_the_file_is_refused_except_those_of_compose(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(
        "COMPOSE_PROJECT_NAME=x\nGRAFANA_PASSWORD=x\nPOSTGRES_PASSWORD=x\nexport grpc_prot=1\nAWS_REGION=x\n"
    )
    assert refusal() == (
        ".env: AWS_REGION is not a setting; `tradingsignals config --example` lists them all; "
        ".env: GRPC_PROT is not a setting; did you mean GRPC_PORT?"
    )


@pytest.mark.parametrize(("text", "line"), [("\n\nGRPC_PORT 9\n", 3), ("FEED=push\nGRPC_PORT\n", 2), ("A: 1", 1)])
def test_line_of_the_file_without_an_assignment_is_refused(tmp_path: Path, text: str, line: int) -> None:
    (tmp_path / ".env").write_text(text)
    assert refusal() == f".env, line {line}: a line is NAME=value, or a comment that begins with #"


def test_file_that_is_not_utf_8_is_refused(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"GRPC_PORT=1 # \xff\n")
    assert refusal() == ".env cannot be read: it is not UTF-8"


def test_folder_in_place_of_the_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / ".env").mkdir()
    assert refusal() == ".env cannot be read: Is a directory"


@pytest.mark.parametrize("setting", [name.upper() for name in Settings.model_fields if len(name) > 4])
def test_any_setting_with_a_letter_missing_is_refused_in_the_environment(environment: Setter, setting: str) -> None:
    misspelt = setting[:-2] + setting[-1]
    environment(**{misspelt: "1"})
    assert str(refusal()).startswith(f"{misspelt} is not a setting; did you mean {setting}")


@pytest.mark.parametrize(
    ("misspelt", "nearest"),
    [
        ("CONFIDENCE_THRESHHOLD", "CONFIDENCE_THRESHOLD"),
        ("SINGAL_SERVICE_PORT", "SIGNAL_SERVICE_PORT"),
        ("SIGNALS_SERVICE_PORT", "SIGNAL_SERVICE_PORT"),
        ("MODEL_PAHT", "MODEL_PATH"),
        ("LOGLEVEL", "LOG_LEVEL"),
        ("SYMBOL", "SYMBOLS"),
        ("POSTGRES_PASSWD", "POSTGRES_PASSWORD"),
        ("POSITION_SIZE", "POSITION_SIZE_PCT or POSITION_SIZING"),
        ("ATR_MULTIPLIER_STOP", "ATR_MULTIPLIER_TP or ATR_MULTIPLIER_SL"),
        ("grpc_prot", "GRPC_PORT"),
    ],
)
def test_name_similar_to_a_setting_is_refused_in_the_environment(
    environment: Setter, misspelt: str, nearest: str
) -> None:
    environment(**{misspelt: "1"})
    assert refusal() == f"{misspelt.upper()} is not a setting; did you mean {nearest}?"


FOREIGN = [
    *("PATH", "HOME", "USER", "LOGNAME", "MODULEPATH", "SESSION_MANAGER", "LEAN_PATH", "SEED", "DATA", "BARS", "ARGS"),
    *("GRPC_VERBOSITY", "GRPC_TRACE", "LOG_FILE", "UV_LOG_LEVEL", "RUST_LOG_LEVEL", "MODEL_NAME", "DATABASE_NAME"),
    *("POSTGRES_INITDB_ARGS", "POSTGRES_HOST_AUTH_METHOD", "POSTGRES_SERVICE_HOST", "POSTGRES_PORT_5432_TCP"),
    *("POSTGRES_PASSWORD_FILE", "POSTGRES_URL", "DATABASE_USER", "DATABASE_HOST", "POSTGRES_VERSION"),
    *("SIGNAL_SERVICE_SERVICE_HOST", "SIGNAL_SERVICE_PORT_8003_TCP_ADDR", "SIGNAL_SERVICE_SERVICE_PORT_HTTP"),
]


@pytest.mark.parametrize("name", FOREIGN)
def test_name_of_another_program_is_ignored(environment: Setter, name: str) -> None:
    environment(**{name: "1"})
    assert refusal() is None


def test_unknown_variable_that_is_empty_is_ignored(environment: Setter) -> None:
    environment(CONFIDENCE_TRESHOLD="")
    assert refusal() is None


def test_these_tests_cover_every_setting_with_bounds() -> None:
    unbounded = {
        "edge_secret",
        "tls_cert",
        "tls_key",
        "tls_client_ca",
        "jwt_issuer",
        "jwt_audience",
        "jwt_jwks",
        "jwt_role_claim",
        "signal_service_host",
        "grpc_host",
        "metrics_host",
        "data_dir",
        "postgres_host",
        "postgres_db",
        "postgres_user",
    }
    unbounded |= {
        "edge_secret",
        "grpc_tls_cert",
        "grpc_tls_key",
        "grpc_tls_ca",
        "grpc_tls_name",
        "jwt_issuer",
        "jwt_audience",
        "jwt_jwks",
        "jwt_role_claim",
        "postgres_password",
        "bars_table",
        "metrics_host",
        "peer_host",
        "replay_file",
        "model_path",
        "shadow_model_path",
        "features",
    }
    elsewhere = {"database_url", "twelvedata_api_key"}
    covered = {name.lower() for name, _ in IMPOSSIBLE}
    assert covered | unbounded | elsewhere == set(Settings.model_fields)


def test_replay_feed_requires_a_file(environment: Setter) -> None:
    environment(FEED="replay")
    with pytest.raises(InvalidSettings, match=r"^FEED=replay needs REPLAY_FILE, the file to replay$"):
        Settings.from_env()
    environment(REPLAY_FILE="bars.csv")
    assert Settings.from_env().replay_file == Path("bars.csv")


def test_twelvedata_feed_requires_a_key(environment: Setter) -> None:
    environment(FEED="twelvedata")
    with pytest.raises(InvalidSettings, match=r"^FEED=twelvedata needs TWELVEDATA_API_KEY, the key of your account"):
        Settings.from_env()
    environment(TWELVEDATA_API_KEY="demo", TWELVEDATA_URL="http://127.0.0.1:8080/proxy/")
    assert Settings.from_env().twelvedata_url == "http://127.0.0.1:8080/proxy"


def test_base_position_size_above_the_maximum_is_refused(environment: Setter) -> None:
    environment(POSITION_SIZE_PCT="0.06")
    with pytest.raises(InvalidSettings, match=r"^POSITION_SIZE_PCT must not be above MAX_POSITION_SIZE_PCT$"):
        Settings.from_env()
    environment(MAX_POSITION_SIZE_PCT="0.06")
    assert Settings.from_env().position_size_pct == 0.06


# ------------------------------------------------------------------------------------------------------- secrets

SECRET = "hunter2"  # noqa: S105


@pytest.mark.parametrize("url", [f"postgres//u:{SECRET}@h/db", f"mysql://u:{SECRET}@h/db", f"://{SECRET}"])
def test_invalid_database_url_is_refused_without_being_shown(environment: Setter, url: str) -> None:
    environment(DATABASE_URL=url)
    with pytest.raises(InvalidSettings, match=r"^DATABASE_URL: ") as caught:
        Settings.from_env()
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    "set_",
    [
        {"POSTGRES_HOST": "h", "POSTGRES_PASSWORD": SECRET},
        {"DATABASE_URL": f"postgresql://u:{SECRET}@h/db"},
        {"DATABASE_URL": f"postgresql://u:x{SECRET}%40@h1:1,h2:2/db?sslmode=require"},
        {"DATABASE_URL": f"postgresql://u@h/db?password={SECRET}"},
    ],
)
def test_secrets_are_never_shown(environment: Setter, set_: dict[str, str]) -> None:
    environment(**set_)
    settings = Settings.from_env()
    assert SECRET in settings.dsn
    assert SECRET not in command.table(settings)


@pytest.mark.parametrize("key", [f"{SECRET} {SECRET}", f"{SECRET}\n", f"schlüssel{SECRET}"])
def test_key_that_no_header_can_have_is_refused_without_being_shown(environment: Setter, key: str) -> None:
    environment(TWELVEDATA_API_KEY=key)
    with pytest.raises(InvalidSettings, match=r"^TWELVEDATA_API_KEY: must be letters, digits and") as caught:
        Settings.from_env()
    assert SECRET not in str(caught.value)


def test_key_of_a_feed_is_never_shown(environment: Setter) -> None:
    environment(FEED="twelvedata", TWELVEDATA_API_KEY=SECRET)
    settings = Settings.from_env()
    assert settings.twelvedata_api_key is not None
    assert SECRET not in f"{command.table(settings)} {settings} {settings!r}"


# ---------------------------------------------------------------------------------------------- the database's address


def test_database_url_overrides_the_host(environment: Setter) -> None:
    environment(POSTGRES_HOST="ignored", DATABASE_URL="postgresql://u:p@h:5433/db?sslmode=require")
    settings = Settings.from_env()
    assert not settings.embedded_database
    assert settings.dsn == "postgresql://u:p@h:5433/db?sslmode=require"


@pytest.mark.parametrize("host", ["db.example", "127.0.0.1", "/run/postgresql", "/odd folder/a&b"])
@pytest.mark.parametrize(
    ("user", "password", "database"), [("u", "p", "d"), ("u@x:y/z", "p@:/?#%&", "d"), ("u", "", "odd/name?#%")]
)
def test_database_address_is_composed_of_its_parts(
    environment: Setter, host: str, user: str, password: str, database: str
) -> None:
    environment(POSTGRES_HOST=host, POSTGRES_PORT="5433", POSTGRES_DB=database)
    environment(POSTGRES_USER=user, POSTGRES_PASSWORD=password)
    settings = Settings.from_env()
    assert not settings.embedded_database
    read = urlsplit(settings.dsn)
    assert (unquote(read.username or ""), unquote(read.password or "")) == (user, password)
    assert unquote(read.path.removeprefix("/")) == database
    assert parse_qs(read.query) == {"host": [host], "port": ["5433"]}


# ------------------------------------------------------------------------------------------------ how they are reported


def test_table_shows_every_setting_and_marks_changed_ones(environment: Setter) -> None:
    environment(GRPC_PORT="2", SYMBOLS="USDCOP,EURUSD", CLOSE_AT_SESSION_END="false")
    lines = command.table(Settings.from_env()).splitlines()
    shown = [line for line in lines if not line.startswith("      ")]
    assert [line[2:].partition("=")[0] for line in shown] == [name.upper() for name in Settings.model_fields]
    marked = [line for line in shown if line.startswith("*")]
    assert marked == ["* GRPC_PORT=2", "* SYMBOLS=USDCOP,EURUSD", "* CLOSE_AT_SESSION_END=false"]


def test_every_setting_has_a_description() -> None:
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []


def test_example_is_a_file_of_the_defaults(tmp_path: Path) -> None:
    example = command.example()
    assert all(line.startswith("#") or not line for line in example.splitlines())
    set_ = [line[1:] for line in example.splitlines() if line.startswith("#") and not line.startswith("# ")]
    assert [line.partition("=")[0] for line in set_] == [name.upper() for name in Settings.model_fields]
    (tmp_path / ".env").write_text("\n".join(set_))
    assert Settings.from_env() == Settings()


def test_audit_log_is_kept_for_thirty_days_at_least(environment: Setter) -> None:
    environment(AUDIT_RETENTION_DAYS="29")
    with pytest.raises(InvalidSettings, match=r"^AUDIT_RETENTION_DAYS must be 0, or at least 30$"):
        Settings.from_env()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"TLS_CERT": "a"}, "TLS_CERT and TLS_KEY must be set together"),
        ({"TLS_KEY": "a"}, "TLS_CERT and TLS_KEY must be set together"),
        ({"TLS_CLIENT_CA": "a"}, "TLS_CLIENT_CA needs TLS_CERT and TLS_KEY"),
        ({"TLS_CLIENT_ROLES": "a=viewer"}, "TLS_CLIENT_ROLES needs TLS_CLIENT_CA"),
        ({"JWT_ISSUER": "a", "JWT_AUDIENCE": "b"}, "JWT_ISSUER, JWT_AUDIENCE and JWT_JWKS must be set together"),
    ],
)
def test_identity_that_is_not_whole_is_refused(environment: Setter, values: dict[str, str], message: str) -> None:
    environment(**values)
    with pytest.raises(InvalidSettings, match=f"^{message}$"):
        Settings.from_env()


def test_tokens_are_accepted_with_authentication_only(environment: Setter) -> None:
    environment(JWT_ISSUER="a", JWT_AUDIENCE="b", JWT_JWKS="c")
    assert Settings.from_env().tokens is None
    environment(AUTH="on")
    assert Settings.from_env().tokens is not None
