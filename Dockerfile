# Images of yaks, of whatever architecture they are built on or for:
#
#   docker build --target agent  --build-arg YAKS_COMMIT=$(git rev-parse --short HEAD) -t yaks/agent .
#   docker build --target cache  ...    docker build --target oracle ...
#   docker build --target zip --output dist .        # materializer.zip for Lambda
#
# What they are built with is infra/dist/*.sh, which run without an engine too: `make dist`.

# The version of rust-toolchain.toml.
FROM rust:1.95.0-bookworm AS toolchain
ARG YAKS_COMMIT=unknown
ENV YAKS_COMMIT=$YAKS_COMMIT CARGO_TERM_COLOR=never
WORKDIR /src
COPY . .

FROM toolchain AS programs
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/src/target,id=yaks-programs \
    infra/dist/programs.sh /out

FROM toolchain AS function
# hadolint ignore=DL3008
RUN apt-get update && apt-get install --no-install-recommends -y python3-venv && rm -rf /var/lib/apt/lists/*
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/src/target,id=yaks-function \
    infra/dist/zip.sh /out

# The zip alone.
FROM scratch AS zip
COPY --from=function /out/materializer.zip /

# The zip for who has to copy it somewhere: LocalStack's compose file.
FROM busybox:1.37.0 AS zip-carrier
COPY --from=function /out/materializer.zip /
USER 65534

FROM debian:bookworm-slim AS base
# Authorities for TLS to AWS; nothing else is needed.
# hadolint ignore=DL3008
RUN apt-get update && apt-get install --no-install-recommends -y ca-certificates && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --no-create-home yaks

FROM base AS oracle
COPY --from=programs /out/yaks-oracle /usr/local/bin/
USER 10001
WORKDIR /tmp
ENTRYPOINT ["yaks-oracle"]

FROM base AS cache
COPY --from=programs /out/yaks-cache /usr/local/bin/
# The sidecar's user owns its disk, also where a volume is mounted there.
RUN install -d -o 10001 /var/cache/yaks
USER 10001
VOLUME /var/cache/yaks
EXPOSE 9080
HEALTHCHECK --interval=10s --timeout=3s CMD ["yaks-cache", "health"]
ENTRYPOINT ["yaks-cache"]

FROM base AS agent
COPY --from=programs /out/yaks-agent /usr/local/bin/
COPY infra/dist/rds-global-bundle.pem /etc/ssl/rds/global-bundle.pem
USER 10001
EXPOSE 9092 9090
HEALTHCHECK --interval=10s --timeout=3s CMD ["yaks-agent", "health"]
ENTRYPOINT ["yaks-agent"]
