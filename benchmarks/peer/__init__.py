"""The older design, small and fair: FastAPI in one process, a policy in ONNX; a volatile variant and a durable one.

It serves the same calls with the same JSON. Wherever there was a choice it uses the faster option, so that the
comparison is fair: httptools and uvloop under uvicorn, one thread for ONNX Runtime (its default spins both cores),
responses serialised by pydantic's own core, asyncpg for the database. Like ours it logs a line for each call. It keeps
the properties of that design:

- POST /api/signals/generate makes a signal from the fields of the request, and an LSTM that starts from zeros.
- POST /api/signals/generate-from-db reads 100 bars, and lets pandas compute the indicators.
- WebSocket /ws/signals: one loop sends each signal to one client after the other. POST /api/signals/burst makes many at
  once, so that a burst does not need as many calls. The heartbeat to all clients for each idle client, which made a
  million messages with a thousand clients, is left out.
- GET /api/signals/history encodes the newest signals as JSON each time.

The volatile variant is the older design as it was: signals in a list in memory, a connection for each reading of bars.
The durable variant is what the older design would be if a signal had to survive a crash: a pool of asyncpg with its
defaults, one INSERT committed for each signal, the broadcast after the commit, and a history that is read from the
table. A burst is saved by as many connections at once as the pool has.
"""
