# The image of `ortolan serve`; how to build and run it: docs/container.md.
#
# A base may be any Debian or Ubuntu with Python 3.11 or newer in its archive. The CUDA libraries come by pip, exactly those
# that ONNX Runtime's wheel asks for; so NVIDIA's smallest image is enough, which brings the check of the driver's version
# and the forward compatibility with older drivers.
ARG CPU_BASE=debian:trixie-slim
ARG GPU_BASE=nvidia/cuda:13.0.2-base-ubuntu24.04

# Of the stages up to the two last ones nothing reaches an image but /opt/ortolan.
FROM ${CPU_BASE} AS cpu-tools
ARG DEBIAN_FRONTEND=noninteractive
RUN apt-get update \
    && apt-get install --yes --no-install-recommends python3-pip \
    && rm -rf /var/lib/apt/lists/*

FROM cpu-tools AS wheel
WORKDIR /source
COPY pyproject.toml README.md LICENSE ./
COPY protos protos
COPY backends backends
COPY server server
COPY clients/python clients/python
RUN python3 -m pip wheel --no-cache-dir --no-deps --wheel-dir /wheels .

FROM cpu-tools AS cpu-packages
# openvino instead: an image for Intel's hardware.
ARG EXTRA=cpu
COPY deploy/requirements/${EXTRA}.txt /requirements.txt
RUN --mount=type=cache,target=/root/.cache/pip \
    python3 -m venv --without-pip /opt/ortolan \
    && python3 -m pip --python /opt/ortolan/bin/python install --no-deps --no-compile --requirement /requirements.txt
COPY --from=wheel /wheels /wheels
# Without an index: a requirement that the list above leaves open is an error. Bytecode that trusts its file's name, since
# nobody changes the source, and times of files do not survive every builder.
RUN python3 -m pip --python /opt/ortolan/bin/python install --no-index --no-compile "$(echo /wheels/*.whl)[${EXTRA}]" \
    && python3 -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/ortolan

FROM ${GPU_BASE} AS gpu-packages
ARG DEBIAN_FRONTEND=noninteractive
RUN apt-get update \
    && apt-get install --yes --no-install-recommends python3-pip \
    && rm -rf /var/lib/apt/lists/*
COPY deploy/requirements/gpu.txt /requirements.txt
RUN --mount=type=cache,target=/root/.cache/pip \
    python3 -m venv --without-pip /opt/ortolan \
    && python3 -m pip --python /opt/ortolan/bin/python install --no-deps --no-compile --requirement /requirements.txt
COPY --from=wheel /wheels /wheels
RUN python3 -m pip --python /opt/ortolan/bin/python install --no-index --no-compile "$(echo /wheels/*.whl)[gpu]" \
    && python3 -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/ortolan

FROM ${GPU_BASE} AS gpu
ARG DEBIAN_FRONTEND=noninteractive
RUN apt-get update \
    && apt-get install --yes --no-install-recommends python3 \
    && rm -rf /var/lib/apt/lists/* \
    && mkdir /models
COPY --from=gpu-packages /opt/ortolan /opt/ortolan
# What NVIDIA's container runtime gives to a container; NVIDIA's own images say the same.
ENV PATH=/opt/ortolan/bin:${PATH} \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
LABEL org.opencontainers.image.title="Ortolan" \
      org.opencontainers.image.description="A gRPC model server for ONNX models that proves where a model runs; for NVIDIA GPUs" \
      org.opencontainers.image.licenses="Apache-2.0"
USER 10001:10001
EXPOSE 8001 8002
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=5m CMD ["ortolan", "health"]
ENTRYPOINT ["ortolan"]
CMD ["serve", "/models", "--grpc-address", "0.0.0.0:8001", "--http-address", "0.0.0.0:8002"]

# The last one is what `docker build` makes unless told otherwise.
FROM ${CPU_BASE} AS cpu
ARG DEBIAN_FRONTEND=noninteractive
RUN apt-get update \
    && apt-get install --yes --no-install-recommends python3 \
    && rm -rf /var/lib/apt/lists/* \
    && mkdir /models
COPY --from=cpu-packages /opt/ortolan /opt/ortolan
ENV PATH=/opt/ortolan/bin:${PATH}
LABEL org.opencontainers.image.title="Ortolan" \
      org.opencontainers.image.description="A gRPC model server for ONNX models that proves where a model runs" \
      org.opencontainers.image.licenses="Apache-2.0"
USER 10001:10001
EXPOSE 8001 8002
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=5m CMD ["ortolan", "health"]
ENTRYPOINT ["ortolan"]
CMD ["serve", "/models", "--grpc-address", "0.0.0.0:8001", "--http-address", "0.0.0.0:8002"]
