// GET /resize?image=7 asks a worker. POST /user?id=7 tells the caches that a user has changed.
const http = require("http");
const ipc = require("./pm-native-ipc.cjs");

const client = ipc.connect();

async function answer(request) {
  const url = new URL(request.url, "http://desk");
  if (url.pathname === "/resize") {
    const image = Number(url.searchParams.get("image"));
    return client.call("worker", { image }, { method: "resize", timeout: 5 });
  }
  if (url.pathname === "/user" && request.method === "POST") {
    const told = await client.publish("cache.user", { id: url.searchParams.get("id") });
    return { told };
  }
  return { error: "no such page" };
}

http
  .createServer((request, response) => {
    answer(request)
      .catch((error) => ({ error: error.name }))
      .then((body) => response.end(JSON.stringify(body) + "\n"));
  })
  .listen(Number(process.env.PORT), "127.0.0.1", () => console.log("listening"));
