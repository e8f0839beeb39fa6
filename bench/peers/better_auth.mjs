// Better Auth on better-sqlite3: WAL and synchronous=FULL, so that a sign-in is durable before its answer, as ours is.
// Stubbed: the password hash (it would hide the session work). Off: its rate limit and its logger.
// /api/auth refreshes a session at most once a day, its default; /api/renewing does at each look, for `refresh`.
import { createServer } from "node:http";
import { betterAuth } from "better-auth";
import { getMigrations } from "better-auth/db/migration";
import { toNodeHandler } from "better-auth/node";
import Database from "better-sqlite3";

const port = Number(process.env.PORT);
const database = new Database("auth.db");
database.pragma("journal_mode = WAL");
database.pragma("synchronous = FULL");

const password = { hash: async (text) => text, verify: async ({ hash, password }) => hash === password };
const common = {
  database,
  baseURL: `http://127.0.0.1:${port}`,
  secret: "bench-secret-0123456789abcdefghijklmnop",
  emailAndPassword: { enabled: true, password },
  rateLimit: { enabled: false },
  telemetry: { enabled: false },
  logger: { disabled: true },
};
const auth = betterAuth({ ...common, basePath: "/api/auth" });
const renewing = betterAuth({ ...common, basePath: "/api/renewing", session: { updateAge: 0 } });
await (await getMigrations(auth.options)).runMigrations();

const handle = toNodeHandler(auth);
const handleRenewing = toNodeHandler(renewing);
createServer((request, response) =>
  (request.url.startsWith("/api/renewing") ? handleRenewing : handle)(request, response),
).listen(port, "127.0.0.1");
