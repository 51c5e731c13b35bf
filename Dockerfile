# syntax=docker/dockerfile:1
# Pastiche for a GPU host; without a GPU the same image runs on the CPU. PyTorch's wheels bring
# their own CUDA user space, so a slim Python is enough and the host needs its driver alone.
# Without CUDA, gigabytes smaller: docker build --build-arg TORCH_BACKEND=cpu

ARG PYTHON_VERSION=3.11

FROM python:${PYTHON_VERSION}-slim AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
# Knows where PyTorch's builds for each kind of device are; none named, the registry's own.
ARG TORCH_BACKEND=
RUN python3 -m venv /opt/pastiche && python3 -m venv /opt/uv \
    && /opt/uv/bin/pip install "uv>=0.8"
WORKDIR /src
# What changes seldom comes first: the layer of the dependencies, gigabytes, is kept between builds.
COPY pyproject.toml ./
RUN /opt/pastiche/bin/python -c "import tomllib; \
      print(*tomllib.load(open('pyproject.toml', 'rb'))['project']['dependencies'], sep='\n')" \
      > /tmp/requirements.txt \
    && /opt/uv/bin/uv pip install --no-cache --python /opt/pastiche/bin/python \
      ${TORCH_BACKEND:+--torch-backend=$TORCH_BACKEND} -r /tmp/requirements.txt
COPY README.md LICENSE ./
COPY static static
COPY weights weights
COPY model model
COPY app app
RUN /opt/pastiche/bin/pip install --no-deps .

FROM python:${PYTHON_VERSION}-slim
LABEL org.opencontainers.image.title="Pastiche" \
      org.opencontainers.image.description="Photos in the style of paintings" \
      org.opencontainers.image.licenses="Apache-2.0"
RUN useradd --system --uid 10001 --home-dir /data --shell /usr/sbin/nologin pastiche \
    && install --directory --owner=pastiche --group=pastiche /data
COPY --from=build /opt/pastiche /opt/pastiche
# No compiler is in the image, which Triton needs at its first use: the GPU's half precision runs
# uncompiled. To compile, add gcc in an image of your own, and set PASTICHE_COMPILE=auto.
ENV PATH=/opt/pastiche/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    OMP_WAIT_POLICY=PASSIVE \
    PASTICHE_HOST=0.0.0.0 \
    PASTICHE_PORT=8000 \
    PASTICHE_DATA_DIR=/data \
    PASTICHE_LOG_FORMAT=json \
    PASTICHE_COMPILE=off \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
USER 10001
WORKDIR /data
VOLUME /data
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python3", "-c", "import os, urllib.request; urllib.request.urlopen('http://127.0.0.1:' + os.environ['PASTICHE_PORT'] + '/readyz', timeout=4)"]
CMD ["pastiche", "serve"]
