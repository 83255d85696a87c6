// Loaded into programs of Node before their own code (NODE_OPTIONS=--require): lets an unmodified server take the
// socket that systemd holds, and end without losing a request.
//
// - The first listen() on the port (or path) in PORT becomes one on file descriptor 3, of LISTEN_FDS.
// - Once it listens, READY=1 goes to systemd, if PM_NATIVE_LISTEN says that it waits for that.
// - On the stop signal no connection is cut: what is under way is answered with `Connection: close`, a connection
//   without a request is closed after a moment, and then the program ends, by that very signal. A program with a
//   handler of its own for the signal ends as it likes; its connections are treated the same.
//
// PM_NATIVE_LISTEN holds words: `stop=SIGTERM timeout=10000 backlog=4096 notify=4`, and `idle=1000`: how long a
// connection may wait for a request, once the program is to end.
'use strict';

const { isMainThread } = require('node:worker_threads');
const own = process.env.LISTEN_PID === String(process.pid) && process.env.PM_NATIVE_LISTEN;

if (isMainThread && own) {
  const options = Object.fromEntries(own.split(' ').map((word) => word.split('=')));
  // Programs that this one starts are not the service.
  const loading = /(^|\s)--require[= ]("[^"]*\/node\.cjs"|\S*\/node\.cjs)(?=\s|$)/;
  process.env.NODE_OPTIONS = (process.env.NODE_OPTIONS || '').replace(loading, '').trim();
  if (!process.env.NODE_OPTIONS) delete process.env.NODE_OPTIONS;
  delete process.env.PM_NATIVE_LISTEN;
  share(options, process.env.PORT);
}

function share({ stop, timeout, backlog, notify, idle = 1000 }, address) {
  const fs = require('node:fs');
  const net = require('node:net');
  const listenAsUsual = net.Server.prototype.listen;
  let shared;

  net.Server.prototype.listen = function listen(...args) {
    const where = asked(args);
    if (shared || !isOurs(where)) {
      if (!shared) tell(`STATUS=listens on ${where}, waiting for it to listen on ${address}`);
      return listenAsUsual.apply(this, args);
    }
    shared = drainable(this, Number(idle));
    const callback = args.filter((item) => typeof item === 'function').slice(-1);
    const { signal } = Object(args[0]);
    this.once('listening', () => tell('READY=1\nSTATUS=listening'));
    return listenAsUsual.call(this, signal ? { fd: 3, signal } : { fd: 3 }, Number(backlog), ...callback);
  };

  function asked([first]) {
    if (first === null || typeof first !== 'object') return first;
    return first.fd === 3 ? address : first.path ?? first.port;
  }

  function isOurs(where) {
    return where !== undefined && where !== null && String(where) === address;
  }

  function tell(message) {
    if (!notify) return;
    try {
      fs.writeSync(Number(notify), message);
    } catch (error) {
      process.emitWarning(`systemd cannot be told: ${error.message}`);
    }
  }

  // First of all handlers, so that it sees those that the program has for once.
  process.prependListener(stop, function ended(signal) {
    const end = () => {
      process.removeListener(stop, ended);
      process.kill(process.pid, signal);
    };
    if (shared) shared.drain();
    if (process.listenerCount(stop) - 1 - merelyWatching() > 0) return; // the program's own handler decides when it ends
    if (!shared) return end();
    // A connection that was upgraded, or of no HTTP, may never end by itself.
    setTimeout(end, Number(timeout)).unref();
    shared.close(end);
  });

  // Handlers of the package signal-exit, which leave the ending to others when there are others.
  function merelyWatching() {
    const known = [process.__signal_exit_emitter__, globalThis[Symbol.for('signal-exit emitter')]];
    return known.reduce((count, emitter) => count + (emitter?.count ?? 0), 0);
  }
}

// What a server needs to end without cutting anybody off: drain(), and close(done).
function drainable(server, idle) {
  const silentSince = new Map(); // connections of HTTP that wait for a request
  const open = new Set(); // responses under way
  const sessions = new Set(); // of HTTP/2
  const isHttp = typeof server.closeIdleConnections === 'function';
  const isHttp2 = /^Http2/.test(server.constructor.name);
  let draining = false;

  if (isHttp) {
    const connected = (socket) => {
      silentSince.set(socket, Date.now());
      socket.once('close', () => silentSince.delete(socket));
    };
    const isTls = typeof server.setSecureContext === 'function';
    server.prependListener(isTls ? 'secureConnection' : 'connection', connected);
    server.prependListener('request', ({ socket }, response) => {
      if (draining) response.shouldKeepAlive = false;
      open.add(response);
      silentSince.delete(socket);
      response.once('close', () => {
        open.delete(response);
        if (!socket.destroyed) silentSince.set(socket, Date.now());
      });
    });
    server.prependListener('upgrade', (_, socket) => silentSince.delete(socket));
    // close() of Node 19 and later calls this, and would cut off a request that is on its way.
    server.closeIdleConnections = drain;
  }
  if (isHttp2) {
    server.on('session', (session) => {
      sessions.add(session);
      session.once('close', () => sessions.delete(session));
      if (draining) session.close();
    });
  }

  function drain() {
    if (draining) return;
    draining = true;
    for (const response of open) if (!response.headersSent) response.shouldKeepAlive = false;
    for (const session of sessions) session.close();
    const timer = setInterval(closeSilent, 50);
    timer.unref();
    server.once('close', () => clearInterval(timer));
  }

  // What comes in the very moment in which a connection is closed is lost. Few clients that will ask again are silent
  // for so long before.
  function closeSilent() {
    const before = Date.now() - idle;
    for (const [socket, since] of silentSince) if (since <= before) socket.destroySoon();
  }

  function close(done) {
    server.close(done);
    if (!isHttp && !isHttp2) return;
    const timer = setInterval(() => {
      if (open.size || silentSince.size || sessions.size) return;
      clearInterval(timer);
      done();
    }, 20);
  }

  return { drain, close };
}
