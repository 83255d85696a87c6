// Evaluates a config that is a program and writes what it exports, as one JSON object, to a private pipe.
// Called as: node evaluate.mjs CONFIG FD. The config may print, throw, exit or wait: the pipe tells which it was.
import fs from "node:fs";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const [config, descriptor] = process.argv.splice(2, 2);
const { exit } = process;
const MAX_DEPTH = 60;
let isTold = false;
let isExit = false;

function tell(message) {
  if (isTold) return;
  isTold = true;
  const bytes = Buffer.from(JSON.stringify(message));
  for (let sent = 0; sent < bytes.length; ) sent += fs.writeSync(Number(descriptor), bytes, sent);
}

function tellError(error) {
  const isError = error !== null && typeof error === "object" && "message" in error;
  tell({
    kind: "throw",
    name: isError ? String(error.name) : typeof error,
    code: isError ? String(error.code ?? "") : "",
    message: isError ? String(error.message) : String(error),
    stack: isError ? String(error.stack) : "",
  });
}

// Half a surrogate pair is no character: it becomes U+FFFD, as in everything that Node writes.
const wellFormed = (text) => Buffer.from(text).toString();

class Unprintable extends Error {}

// Plain data out of what a program made. `dropped` gets the path of each value that no text can hold.
function plain(value, path, parents, dropped) {
  if (value !== null && typeof value === "object" && typeof value.toJSON === "function") value = value.toJSON();
  switch (typeof value) {
    case "string":
      return wellFormed(value);
    case "boolean":
      return value;
    case "number":
      return Number.isFinite(value) ? value : String(value);
    case "bigint":
      return String(value);
    case "undefined":
    case "function":
    case "symbol":
      dropped.push([path, typeof value]);
      return undefined;
  }
  if (value === null) return null;
  if (value instanceof RegExp) return String(value);
  if (parents.includes(value)) throw new Unprintable(`${path} contains itself`);
  if (parents.length > MAX_DEPTH) throw new Unprintable(`${path} is nested more than ${MAX_DEPTH} levels deep`);
  const inside = [...parents, value];
  if (Array.isArray(value)) {
    return Array.from(value, (item, index) => plain(item, `${path}[${index}]`, inside, dropped) ?? null);
  }
  const entries = Object.keys(value).map((key) => {
    return [wellFormed(key), plain(value[key], path ? `${path}.${key}` : key, inside, dropped)];
  });
  return Object.fromEntries(entries.filter(([, item]) => item !== undefined));
}

// `module.exports` of CommonJS is the default export; ESM has it under either name, compiled TypeScript one deeper.
function exported(module) {
  const isConfig = (value) => value !== null && typeof value === "object"
    && (Array.isArray(value) || ["apps", "pm2", "script"].some((key) => key in value));
  const named = { ...module };
  delete named.default;
  delete named["module.exports"];
  const candidates = [module.default, module.default?.default, named];
  return candidates.find(isConfig) ?? module.default ?? named;
}

// The compiler that the project itself has; TypeScript 7 is a program and no library.
function compilerOf(require) {
  try {
    const ts = require("typescript");
    return ts.transpileModule ? ts : null;
  } catch {
    return null;
  }
}

// A config in TypeScript: by this Node, which strips types from 22.18 on, else by the project's own compiler.
async function typed(config) {
  const require = createRequire(config);
  const ts = compilerOf(require);
  try {
    return await import(pathToFileURL(config));
  } catch (error) {
    const isBeyondNode = ["ERR_UNKNOWN_FILE_EXTENSION", "ERR_UNSUPPORTED_TYPESCRIPT_SYNTAX"].includes(error?.code);
    if (!ts || !isBeyondNode) throw error;
  }
  const compilerOptions = {
    module: ts.ModuleKind.CommonJS, target: ts.ScriptTarget.ES2022, esModuleInterop: true, inlineSourceMap: true,
  };
  const load = (module, file) => {
    const options = { fileName: file, compilerOptions, reportDiagnostics: true };
    const { outputText, diagnostics } = ts.transpileModule(fs.readFileSync(file, "utf8"), options);
    for (const { file: source, start, messageText } of diagnostics) {
      const { line, character } = source.getLineAndCharacterOfPosition(start);
      const error = new SyntaxError(ts.flattenDiagnosticMessageText(messageText, " "));
      throw Object.assign(error, { stack: `${file}:${line + 1}:${character + 1}` });
    }
    module._compile(outputText, file);
  };
  for (const suffix of [".ts", ".mts", ".cts"]) require.extensions[suffix] = load;
  return { default: require(config) };
}

process.exit = (code) => {
  isExit = true;
  exit(code);
};
process.on("exit", (code) => tell({ kind: isExit ? "exit" : "unsettled", code }));
process.on("uncaughtException", (error) => { tellError(error); exit(0); });
process.on("unhandledRejection", (error) => { tellError(error); exit(0); });

try {
  const value = exported(await (/\.[cm]?ts$/.test(config) ? typed(config) : import(pathToFileURL(config))));
  const dropped = [];
  const type = typeof value === "function" ? "function" : typeof value?.then === "function" ? "promise" : "data";
  const files = Object.keys(createRequire(import.meta.url).cache);
  tell({ kind: "value", type, value: type === "data" ? plain(value, "", [], dropped) : null, dropped, files });
} catch (error) {
  if (error instanceof Unprintable) tell({ kind: "unprintable", message: error.message });
  else tellError(error);
}
exit(0);
