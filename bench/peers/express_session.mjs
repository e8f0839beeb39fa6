// express-session with connect-redis: one Redis command per look. Redis keeps an append-only file and syncs it at
// each write, so that a sign-in is durable before its answer. Stubbed: there is no password.
import { RedisStore } from "connect-redis";
import express from "express";
import session from "express-session";
import { createClient } from "redis";

const client = createClient({ url: process.env.REDIS_URL });
await client.connect();
const app = express();
app.disable("x-powered-by");
app.use(
  session({
    store: new RedisStore({ client, prefix: "bench:" }),
    secret: "bench-secret-0123456789abcdefghijklmnop",
    resave: false,
    saveUninitialized: false,
    cookie: { maxAge: 30 * 24 * 60 * 60 * 1000, httpOnly: true, sameSite: "lax" },
  }),
);
app.post("/login", express.json(), (request, response, next) =>
  request.session.regenerate((error) => {
    if (error) return next(error);
    request.session.subject = request.body.subject;
    request.session.save((failed) => (failed ? next(failed) : response.status(201).json({ subject: request.body.subject })));
  }),
);
app.get("/session", (request, response) =>
  request.session.subject ? response.json({ subject: request.session.subject }) : response.sendStatus(401),
);
app.post("/refresh", (request, response, next) => {
  const subject = request.session.subject;
  if (!subject) return response.sendStatus(401);
  request.session.regenerate((error) => {
    if (error) return next(error);
    request.session.subject = subject;
    request.session.save((failed) => (failed ? next(failed) : response.json({ subject })));
  });
});
app.post("/logout", (request, response, next) =>
  request.session.destroy((error) => (error ? next(error) : response.sendStatus(204))),
);
app.listen(Number(process.env.PORT), "127.0.0.1");
