/** A way to the server that can be cut, or stop to move, in the middle of a call. */

import { createConnection, createServer, type Server, type Socket } from "node:net";
import { ADDRESS } from "./server.js";

/** What becomes of a connection: "cut" and "hang" let LET_THROUGH_BYTES through. */
export type Fate = "serve" | "cut" | "hang";

const LET_THROUGH_BYTES = 10_000;

export class Relay {
  connections = 0;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(fates: (connection: number) => Fate) {
    this.#server = createServer((caller) => this.#connect(caller, fates(this.connections++)));
  }

  /** Listens. `fates` is asked for each connection, by its number from 0. */
  static async listen(fates: (connection: number) => Fate): Promise<Relay> {
    const relay = new Relay(fates);
    await new Promise<void>((resolve) => relay.#server.listen(0, "127.0.0.1", resolve));
    return relay;
  }

  get address(): string {
    const bound = this.#server.address();
    if (bound === null || typeof bound === "string") throw new Error("the relay does not listen");
    return `127.0.0.1:${bound.port}`;
  }

  close(): void {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
  }

  #connect(caller: Socket, fate: Fate): void {
    const [host, port] = ADDRESS.split(":");
    const server = createConnection(Number(port), host);
    for (const socket of [caller, server]) {
      this.#sockets.add(socket);
      socket.on("error", () => {});
      socket.on("close", () => {
        caller.destroy();
        server.destroy();
      });
    }
    server.pipe(caller);
    let letThrough = 0;
    caller.on("data", (data) => {
      letThrough += data.length;
      if (fate === "serve" || letThrough < LET_THROUGH_BYTES) server.write(data);
      else if (fate === "cut") caller.destroy();
      else caller.pause();
    });
  }
}
