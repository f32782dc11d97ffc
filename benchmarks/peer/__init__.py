"""The older design, small and honest: FastAPI in one process, a policy in ONNX, everything in memory, nothing durable.

It answers the same calls with the same JSON. Wherever there was a choice it takes what is faster, so that nobody beats
a straw man: httptools and uvloop under uvicorn, one thread for ONNX Runtime (its default spins both cores), answers
serialised by pydantic's own core, asyncpg for the database. Like ours it writes a line of log for each call. It keeps
the habits the design is about:

- POST /api/signals/generate makes a signal from the fields of the request, and an LSTM that starts from zeros.
- POST /api/signals/generate-from-db opens a connection, reads 100 bars, and lets pandas compute the indicators.
- WebSocket /ws/signals: one loop sends each signal to one client after the other. POST /api/signals/burst makes many at
  once, so that a burst need not come in by as many calls. The heartbeat to everyone for each idle client, which made a
  million messages of a thousand of them, is left out.
- GET /api/signals/history cuts the newest signals from a list in memory, and makes JSON of them again each time.
"""
