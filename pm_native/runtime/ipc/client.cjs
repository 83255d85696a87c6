"use strict";
// Messages between the processes of a pm-native project, for Node 16 and later: one file, no dependencies.
//
//   const ipc = require("./pm-native-ipc.cjs");
//   const client = ipc.connect();                               // the socket is in PM_NATIVE_IPC
//   await client.call("worker", { resize: 7 }, { method: "resize", timeout: 5 });
//   await client.publish("cache.invalidate", { key: "user:7" });
//   await client.subscribe("cache.**", (message) => drop(message.body.key));
//   await client.serve({ resize: (message) => resized(message.body) });
//
// The connection is made again when it was lost, with its subscriptions and handlers. A call that was under way then
// is rejected with an IpcError named Disconnected and never repeated: it may have arrived.
//
// This file is the client itself, and may be copied: `pm-native ipc client` prints it.

const net = require("net");
const { EventEmitter } = require("events");

const VERSION = 1;
const FIRST_DELAY_MS = 50;
const LAST_DELAY_MS = 5000;
const GRACE_MS = 1000;

class IpcError extends Error {
  constructor(name, message) {
    super(message || name);
    this.name = name;
  }
}

// Whether a topic matches a pattern: "*" is any one word, a last "**" one or more; "$" begins the broker's own topics.
function matches(pattern, topic) {
  if (topic.startsWith("$") && pattern.startsWith("*")) return false;
  const want = pattern.split(".");
  const have = topic.split(".");
  for (let index = 0; index < want.length; index++) {
    if (index >= have.length) return false;
    if (want[index] === "**" && index === want.length - 1) return true;
    if (want[index] !== "*" && want[index] !== have[index]) return false;
  }
  return want.length === have.length;
}

// Emits "gap" (pattern, count) for messages that were dropped because this did not read them in time, "error" for
// what the broker says of no particular call, "up" and "down" of the connection. An "error" that nobody listens for
// is written to standard error.
class Client extends EventEmitter {
  constructor(path) {
    super();
    this.path = path || process.env.PM_NATIVE_IPC;
    if (!this.path) throw new Error("PM_NATIVE_IPC is not set: `ipc = true` in [project] of the config sets it");
    this.info = null;
    this._waiting = new Map();
    this._subscriptions = new Map();
    this._handlers = new Map();
    this._isServing = false;
    this._serial = 0;
    this._delay = 0;
    this._queue = [];
    this._isClosed = false;
    this._open();
  }

  // The answer of one process of the name `to`: "worker", "worker@3". `timeout` is in seconds.
  call(to, body = null, { method, timeout = 30 } = {}) {
    return this._ask({ op: "call", to, method, timeout }, body, timeout);
  }

  // The answers of all instances of `to`: [{from, body}] or [{from, error}].
  gather(to, body = null, { method, timeout = 30 } = {}) {
    return this._ask({ op: "call", to: `${to}@*`, method, timeout }, body, timeout, []);
  }

  // To how many it went: one of the name `to`, or all with "@*" after it.
  send(to, body = null, { method } = {}) {
    return this._ask({ op: "send", to, method }, body, 10);
  }

  // To how many it went.
  publish(topic, body = null) {
    return this._ask({ op: "pub", topic }, body, 10);
  }

  // Have `handler` called with what is published on the topics of the pattern.
  async subscribe(pattern, handler, { policy = "drop-oldest" } = {}) {
    const known = this._subscriptions.get(pattern);
    if (known) {
      known.handlers.push(handler);
      return;
    }
    const subscription = { policy, handlers: [handler] };
    this._subscriptions.set(pattern, subscription);
    try {
      await this._ask({ op: "sub", topic: pattern, policy }, undefined, 10);
    } catch (error) {
      if (this._subscriptions.get(pattern) === subscription) this._subscriptions.delete(pattern);
      throw error;
    }
  }

  async unsubscribe(pattern) {
    this._subscriptions.delete(pattern);
    await this._ask({ op: "unsub", topic: pattern }, undefined, 10);
  }

  // Answer calls from now on, by method; the handler "" takes all others. What a handler returns, or what its promise
  // comes to, is the answer. An error whose name has a dot in it goes to the caller by that name.
  async serve(handlers) {
    for (const [method, handler] of Object.entries(handlers)) this._handlers.set(method, handler);
    this._isServing = true;
    await this._ask({ op: "serve" }, undefined, 10);
  }

  // Who is connected, and the broker's own figures.
  peers() {
    return this._ask({ op: "peers" }, undefined, 10);
  }

  close() {
    this._isClosed = true;
    if (this._retry) clearTimeout(this._retry);
    this._socket.end();
    this._fail(new IpcError("Disconnected", "this client was closed"));
  }

  // Let the program end although it is connected, as a timer's unref() does.
  unref() {
    this._isUnref = true;
    this._socket.unref();
    return this;
  }

  _ask(fields, body, timeout, answers) {
    if (this._isClosed) return Promise.reject(new IpcError("Disconnected", "this client was closed"));
    const id = ++this._serial;
    const { op, ...rest } = fields;
    const frame = body === undefined ? { op, ...rest, id } : { op, ...rest, id, body };
    return new Promise((resolve, reject) => {
      // The broker says when a deadline has passed; without it, this does, a little later.
      const timer = setTimeout(() => {
        this._waiting.delete(id);
        reject(new IpcError("Timeout", "no answer in time, nor a word of the broker"));
      }, timeout * 1000 + GRACE_MS);
      const entry = { resolve, reject, timer, answers, isSent: false };
      this._waiting.set(id, entry);
      // What waits for a connection was not sent, and goes out when there is one.
      if (this.info) this._write(frame, entry);
      else this._queue.push([frame, id]);
    });
  }

  _write(frame, entry) {
    if (entry) entry.isSent = true;
    this._socket.write(JSON.stringify(frame) + "\n");
  }

  _open() {
    let partial = [];
    const socket = (this._socket = net.createConnection(this.path));
    if (this._isUnref) socket.unref();
    socket.setNoDelay && socket.setNoDelay();
    socket.on("connect", () => {
      this._write({ op: "hello", version: VERSION, serve: this._isServing, id: 0 });
      for (const [topic, { policy }] of this._subscriptions) this._write({ op: "sub", topic, policy });
    });
    socket.on("data", (chunk) => {
      let start = 0;
      for (let end; (end = chunk.indexOf(10, start)) >= 0; start = end + 1) {
        partial.push(chunk.subarray(start, end));
        const line = partial.length > 1 ? Buffer.concat(partial) : partial[0];
        partial = [];
        this._take(JSON.parse(line.toString()));
      }
      if (start < chunk.length) partial.push(chunk.subarray(start));
    });
    socket.on("error", (error) => {
      this._lastError = error;
    });
    socket.on("close", () => this._lost(socket));
  }

  _lost(socket) {
    if (socket !== this._socket) return;
    const wasUp = this.info !== null;
    this.info = null;
    if (wasUp) this.emit("down");
    this._fail(new IpcError("Disconnected", "the connection to the broker was lost"), true);
    if (this._isClosed) return;
    const limit = this._delay;
    this._delay = Math.min(Math.max(limit * 2, FIRST_DELAY_MS), LAST_DELAY_MS);
    this._retry = setTimeout(() => this._open(), limit / 2 + (Math.random() * limit) / 2);
    if (this._isUnref) this._retry.unref();
  }

  _fail(error, onlySent = false) {
    for (const [id, entry] of this._waiting) {
      if (onlySent && !entry.isSent) continue;
      this._waiting.delete(id);
      clearTimeout(entry.timer);
      entry.reject(error);
    }
  }

  _take(frame) {
    switch (frame.op) {
      case "pub":
        for (const [pattern, { handlers }] of this._subscriptions) {
          if (matches(pattern, frame.topic)) for (const handler of handlers) handler(message(frame));
        }
        return;
      case "call":
      case "send":
        this._handle(frame);
        return;
      case "gap":
        this.emit("gap", frame.topic, frame.count);
        return;
      case "hello":
        this._greeted(frame);
        return;
      case "bye":
        return;
    }
    const entry = this._waiting.get(frame.id);
    if (entry === undefined) {
      if (frame.op === "error") this._complain(new IpcError(frame.error, frame.message));
      return;
    }
    if (frame.more) {
      entry.answers.push(
        frame.op === "error"
          ? { from: frame.from, error: new IpcError(frame.error, frame.message) }
          : { from: frame.from, body: frame.body },
      );
      return;
    }
    this._waiting.delete(frame.id);
    clearTimeout(entry.timer);
    if (frame.op === "error") entry.reject(new IpcError(frame.error, frame.message));
    else if (frame.op === "end") entry.resolve(entry.answers);
    else entry.resolve(frame.op === "ok" ? frame.count : frame.body);
  }

  _greeted(frame) {
    this.info = frame;
    this._delay = 0;
    const queue = this._queue;
    this._queue = [];
    for (const [waiting, id] of queue) {
      const entry = this._waiting.get(id);
      if (entry) this._write(waiting, entry);
    }
    this.emit("up", frame);
  }

  async _handle(frame) {
    const handler = this._handlers.get(frame.method || "") || this._handlers.get("");
    try {
      if (!handler) throw new IpcError("Failed", `there is no method '${frame.method || ""}'`);
      const body = await handler(message(frame));
      if (frame.op === "call") this._write({ op: "reply", id: frame.id, body: body === undefined ? null : body });
    } catch (error) {
      if (frame.op === "call") {
        this._write({ op: "error", id: frame.id, error: String(error.name), message: String(error.message) });
      } else this._complain(error);
    }
  }

  _complain(error) {
    if (this.listenerCount("error")) this.emit("error", error);
    else console.error("pm-native ipc: %s: %s", error.name, error.message);
  }
}

function message(frame) {
  return { topic: frame.topic, method: frame.method || "", from: frame.from, body: frame.body };
}

module.exports = { Client, IpcError, connect: (path) => new Client(path), matches };
