# The server, without anything else: no shell, no package manager, not root.
#
#   docker build --tag holdfast .
#   docker run --publish 8080:8080 --env DATABASE_URL --env REDIS_URL --env HOLDFAST_AUTH_SECRET holdfast

FROM golang:1.26-trixie AS build
WORKDIR /src
# Modules first: they change less often than the code, and this step is then taken from the cache.
COPY go.mod go.sum ./
RUN --mount=type=cache,target=/go/pkg/mod go mod download
COPY . .
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    CGO_ENABLED=0 go build -trimpath -o /holdfast .

# static has certificates of public authorities and time zones; nonroot is user 65532.
FROM gcr.io/distroless/static-debian12:nonroot
COPY --from=build /holdfast /holdfast
ENV HOLDFAST_PROFILE=production HOLDFAST_LISTEN=0.0.0.0:8080
# Writable for nonroot, for a SQLite database on a volume.
WORKDIR /home/nonroot
EXPOSE 8080
# No HEALTHCHECK: it would need a program inside of the image. Ask /livez and /readyz from outside. Metrics and profiles are at
# HOLDFAST_ADMIN_LISTEN, which is reached from inside of the container only until you set it.
ENTRYPOINT ["/holdfast"]
