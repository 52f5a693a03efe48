# syntax=docker/dockerfile:1
# docker build --target gateway -t blockcache-gateway .        no torch
# docker build --target worker  -t blockcache-worker .         CUDA's torch on x86-64
# docker build --target worker  -t blockcache-worker:cpu --build-arg TORCH_INDEX=https://download.pytorch.org/whl/cpu .
ARG PYTHON_IMAGE=docker.io/library/python:3.11-slim-bookworm

# What is installed changes more rarely than the code: these layers are kept from build to build.
FROM ${PYTHON_IMAGE} AS base
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore \
    PYTHONDONTWRITEBYTECODE=1
SHELL ["/bin/sh", "-euc"]
WORKDIR /src
RUN python -m venv /opt/venv

FROM base AS requirements
COPY pyproject.toml ./
COPY deploy/docker/requirements.py deploy/docker/
RUN python deploy/docker/requirements.py gateway tracing > gateway.txt; \
    python deploy/docker/requirements.py worker gpu tracing > worker.txt

FROM base AS gateway-packages
COPY constraints.txt ./
COPY --from=requirements /src/gateway.txt ./
RUN /opt/venv/bin/pip install --constraint constraints.txt --requirement gateway.txt

FROM base AS worker-packages
ARG TORCH_INDEX=""
COPY constraints.txt ./
COPY --from=requirements /src/worker.txt ./
RUN /opt/venv/bin/pip install --constraint constraints.txt --requirement worker.txt \
    ${TORCH_INDEX:+--extra-index-url "$TORCH_INDEX"}

FROM base AS wheel
COPY pyproject.toml README.md LICENSE ./
COPY schedules schedules
COPY app app
COPY workers workers
RUN /opt/venv/bin/pip wheel --no-deps --wheel-dir /wheels .

FROM gateway-packages AS gateway-venv
COPY --from=wheel /wheels /wheels
RUN /opt/venv/bin/pip install --no-deps /wheels/*.whl; \
    rm -rf /opt/venv/lib/python3.*/site-packages/workers

FROM worker-packages AS worker-venv
COPY --from=wheel /wheels /wheels
RUN /opt/venv/bin/pip install --no-deps /wheels/*.whl

FROM ${PYTHON_IMAGE} AS runtime
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.description="Text to image that keeps a latency budget" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
RUN groupadd --system --gid 10001 blockcache \
 && useradd --system --uid 10001 --gid blockcache --no-create-home --home-dir /tmp blockcache
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /tmp
USER 10001:10001
STOPSIGNAL SIGTERM

FROM runtime AS gateway
LABEL org.opencontainers.image.title="blockcache-gateway"
COPY --from=gateway-venv /opt/venv /opt/venv
ENV BLOCKCACHE_HOST=0.0.0.0 BLOCKCACHE_PORT=8000
EXPOSE 8000
HEALTHCHECK --interval=5s --timeout=3s --start-period=10s --retries=3 \
  CMD ["python", "-c", "import os, urllib.request as r; r.urlopen('http://127.0.0.1:' + os.environ['BLOCKCACHE_PORT'] + '/healthz', timeout=2)"]
ENTRYPOINT ["blockcache"]
CMD ["gateway"]

FROM runtime AS worker
LABEL org.opencontainers.image.title="blockcache-worker"
COPY --from=worker-venv /opt/venv /opt/venv
# Nothing but /tmp is written; models are read from the image or a mounted folder.
ENV HF_HOME=/tmp/huggingface MPLCONFIGDIR=/tmp/matplotlib NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
EXPOSE 9101
HEALTHCHECK --interval=10s --timeout=5s --start-period=300s --retries=3 \
  CMD ["python", "-m", "workers.health"]
ENTRYPOINT ["blockcache"]
CMD ["worker", "--model", "emoji", "--metrics-host", "0.0.0.0"]
