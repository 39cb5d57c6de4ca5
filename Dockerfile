# A small image of the service. Every step is plain Debian and also works by hand.
#
#   docker build -t isms .
#   docker run -p 8080:8080 -v isms-data:/data isms

FROM rust:1.95-bookworm AS builder
# Does nothing in this image; on a bare Debian with Rust it installs what the C libraries require.
RUN pkg-config --exists openssl \
    || (apt-get update && apt-get install -y --no-install-recommends build-essential pkg-config libssl-dev ca-certificates)
WORKDIR /src
COPY . .
RUN cargo build --release --locked

# The same Debian as the builder. SQLite, libpq and OpenSSL are linked in; the binary depends only on libc.
FROM debian:bookworm-slim
RUN groupadd --gid 10001 isms \
    && useradd --uid 10001 --gid 10001 --home-dir /data --no-create-home --shell /usr/sbin/nologin isms \
    && install -d -o 10001 -g 10001 -m 0700 /data
# For TLS to PostgreSQL with sslmode=verify-full and sslrootcert=system.
COPY --from=builder /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=builder /src/target/release/isms /usr/local/bin/isms
COPY LICENSE NOTICE /usr/share/doc/isms/

ENV ISMS_DATA_DIR=/data \
    ISMS_BIND=0.0.0.0:8080 \
    SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt
USER 10001:10001
WORKDIR /data
VOLUME ["/data"]
EXPOSE 8080
# No shell or curl required: the program checks itself.
HEALTHCHECK --interval=30s --timeout=5s --start-period=15s --retries=3 CMD ["/usr/local/bin/isms", "health"]
ENTRYPOINT ["/usr/local/bin/isms"]
CMD ["serve"]
