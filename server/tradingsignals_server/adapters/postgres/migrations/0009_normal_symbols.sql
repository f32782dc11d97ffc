-- A pair has one normal form now, without the mark between its two words: what was stored as BTC-USD is BTCUSD. What is
-- stored under the old form is renamed, so that its bars, positions and states go on. Messages keep the name they were
-- sent with. If both forms are stored they stay apart, for their bars may contradict each other.

CREATE TEMPORARY TABLE renamed ON COMMIT DROP AS
SELECT DISTINCT ON (normal) symbol, normal
FROM (
    SELECT symbol, regexp_replace(symbol, '[-_]', '') AS normal
    FROM (SELECT symbol FROM bars UNION SELECT symbol FROM positions) AS known
    WHERE symbol ~ '^[A-Z]{3,5}[-_][A-Z]{3,5}$'
) AS pairs
WHERE NOT EXISTS (SELECT FROM bars WHERE bars.symbol = normal)
AND NOT EXISTS (SELECT FROM positions WHERE positions.symbol = normal)
ORDER BY normal, symbol;

UPDATE bars SET symbol = normal FROM renamed WHERE bars.symbol = renamed.symbol;
UPDATE signals SET symbol = normal FROM renamed WHERE signals.symbol = renamed.symbol;
UPDATE positions SET symbol = normal FROM renamed WHERE positions.symbol = renamed.symbol;
UPDATE events SET symbol = normal FROM renamed WHERE events.symbol = renamed.symbol;
UPDATE recurrent_states SET symbol = normal FROM renamed WHERE recurrent_states.symbol = renamed.symbol;
UPDATE shadow_signals SET symbol = normal FROM renamed WHERE shadow_signals.symbol = renamed.symbol;
UPDATE shadow_positions SET symbol = normal FROM renamed WHERE shadow_positions.symbol = renamed.symbol;
UPDATE symbols SET symbol = normal FROM renamed WHERE symbols.symbol = renamed.symbol;
