"""The older design, small and fair: FastAPI in one process, a policy in ONNX, all data in memory, nothing durable.

It serves the same calls with the same JSON. Wherever there was a choice it uses the faster option, so that the
comparison is fair: httptools and uvloop under uvicorn, one thread for ONNX Runtime (its default spins both cores),
responses serialised by pydantic's own core, asyncpg for the database. Like ours it logs a line for each call. It keeps
the properties of that design:

- POST /api/signals/generate makes a signal from the fields of the request, and an LSTM that starts from zeros.
- POST /api/signals/generate-from-db opens a connection, reads 100 bars, and lets pandas compute the indicators.
- WebSocket /ws/signals: one loop sends each signal to one client after the other. POST /api/signals/burst makes many at
  once, so that a burst does not need as many calls. The heartbeat to all clients for each idle client, which made a
  million messages with a thousand clients, is left out.
- GET /api/signals/history takes the newest signals from a list in memory, and encodes them as JSON each time.
"""
