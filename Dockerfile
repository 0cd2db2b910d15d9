# tcpd in a container: docker build -t tcpd . && docker run --privileged tcpd
# Both base images are arguments, so that it also builds from local ones.
ARG BUILD_IMAGE=golang:1.26
ARG RUNTIME_IMAGE=scratch

FROM ${BUILD_IMAGE} AS build
ARG GOPROXY
ARG GOFLAGS
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY cmd cmd
COPY pkg pkg
RUN CGO_ENABLED=0 go build -trimpath -ldflags=-s -o /tcpd ./cmd/tcpd

FROM ${RUNTIME_IMAGE}
COPY --from=build /tcpd /tcpd
ENTRYPOINT ["/tcpd"]
CMD ["run"]
