# emq as one static binary, without a shell or a package manager beside it.
#
#   docker build -t emq .
#   docker build -t emq --build-arg VERSION=1.2.3 .

FROM --platform=$BUILDPLATFORM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG TARGETOS
ARG TARGETARCH
ARG VERSION=dev
RUN CGO_ENABLED=0 GOOS=${TARGETOS} GOARCH=${TARGETARCH} \
    go build -trimpath -ldflags "-s -w -X main.version=${VERSION}" -o /out/emq ./cmd/emq

FROM scratch
ARG VERSION=dev
LABEL org.opencontainers.image.title="emq" \
      org.opencontainers.image.description="Durable outbound job queue for Easemob's IM REST API, with dead-letter handling" \
      org.opencontainers.image.source="https://github.com/imqueue/emq" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}"
# Calls to Easemob are HTTPS: certificates are all that emq needs of a system.
# It needs no time zones; every time it writes is UTC.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /out/emq /emq
# A number, so that Kubernetes can tell that it is not root.
USER 65532:65532
# Asks the worker's health endpoint. Containers that run another command than
# the worker set their own check, or none.
HEALTHCHECK --interval=10s --timeout=5s --start-period=15s --retries=3 CMD ["/emq", "health"]
ENTRYPOINT ["/emq"]
CMD ["worker"]
