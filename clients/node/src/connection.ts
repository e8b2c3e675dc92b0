/** The connection: where to, how it is secured, and what becomes of a call whose server dies or hangs. */

import { type ChannelCredentials, type ClientOptions, credentials } from "@grpc/grpc-js";

/** What to trust, and what to show. Each is a file in PEM form, as text or as a Buffer. */
export interface Tls {
  /** What the server's certificate must be signed by; without it the roots that Node.js brings. */
  ca?: string | Buffer | undefined;
  /** The client's own certificate, for a server that demands one (mTLS); goes with `key`. */
  cert?: string | Buffer | undefined;
  key?: string | Buffer | undefined;
  /** The host that the server's certificate must be for, where it is not the address's own. */
  serverName?: string | undefined;
}

const ADDRESS = /^(unix:.+|(dns|ipv4|ipv6):.+|[^/]+:\d{1,5})$/;
const LOOPBACK = /^(127\.0\.0\.1|localhost|\[::1\]):/;
const MIB = 2 ** 20;

// An inference changes nothing, so it may be asked for again. DNS cannot change this: see the option below.
const SERVICE_CONFIG = JSON.stringify({
  loadBalancingConfig: [{ round_robin: {} }],
  methodConfig: [
    {
      name: [{}],
      retryPolicy: {
        maxAttempts: 4,
        initialBackoff: "0.1s",
        maxBackoff: "2s",
        backoffMultiplier: 2,
        retryableStatusCodes: ["UNAVAILABLE"],
      },
    },
  ],
});

/** Throws TypeError for what is no address. */
export function connectionOptions(address: string, tls: Tls | undefined): ClientOptions {
  if (!ADDRESS.test(address)) {
    throw new TypeError(
      `an address is HOST:PORT, unix:PATH or a target of gRPC such as dns:HOST:PORT, not '${address}'`,
    );
  }
  return {
    // A server that hangs keeps its connection open: only pings find it out. The time-out is longer than a busy event
    // loop stands still, for until then a ping's answer goes unread.
    "grpc.keepalive_time_ms": 10_000,
    "grpc.keepalive_timeout_ms": 5_000,
    "grpc.max_receive_message_length": -1,
    "grpc.service_config": SERVICE_CONFIG,
    "grpc.service_config_disable_resolution": 1,
    // A request that does not fit here is not sent again; gRPC's own limit of 1 MiB is little for tensors.
    "grpc.per_rpc_retry_buffer_size": 16 * MIB,
    "grpc.retry_buffer_size": 256 * MIB,
    // gRPC would send even these through `http_proxy`.
    ...(LOOPBACK.test(address) && { "grpc.enable_http_proxy": 0 }),
    ...(tls?.serverName && {
      "grpc.ssl_target_name_override": tls.serverName,
      "grpc.default_authority": tls.serverName,
    }),
  };
}

/** Throws TypeError for a certificate without its key, and what Node.js throws for PEM that it cannot read. */
export function channelCredentials(tls: Tls | undefined): ChannelCredentials {
  if (tls === undefined) return credentials.createInsecure();
  if ((tls.cert === undefined) !== (tls.key === undefined)) {
    throw new TypeError("TLS: a client's certificate needs both `cert` and `key`");
  }
  return credentials.createSsl(pem(tls.ca), pem(tls.key), pem(tls.cert));
}

function pem(content: string | Buffer | undefined): Buffer | null {
  return content === undefined ? null : Buffer.from(content);
}
