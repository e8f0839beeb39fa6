// Drives the unmodified npm client @stackframe/js against a server and prints one JSON object: what each step saw.
// The client lies in CLIENT_DIR (outside the repository); URL, PROJECT and SERVER_KEY name the server, and the file
// CLOCK holds how many nanoseconds its clock is ahead.
"use strict";

const fs = require("node:fs");
const path = require("node:path");
const { createRequire } = require("node:module");

const { CLIENT_DIR, URL: baseUrl, PROJECT: projectId, SERVER_KEY: secretServerKey, CLOCK } = process.env;
const { StackClientApp, StackServerApp } = createRequire(path.join(CLIENT_DIR, "package.json"))("@stackframe/js");

const requests = [];
const realFetch = globalThis.fetch;
globalThis.fetch = async (input, init) => {
  const url = new URL(typeof input === "string" ? input : (input.url ?? input.href));
  if (url.origin !== baseUrl) throw new TypeError(`the client asked ${url.origin}`);
  const response = await realFetch(input, init);
  const method = init?.method ?? input.method ?? "GET";
  const status = Number(response.headers.get("x-stack-actual-status") ?? response.status);
  requests.push(`${method} ${url.pathname.replace(/[0-9a-f]{8}-[0-9a-f-]{27}/g, "*")} ${status}`);
  return response;
};

const server = (key = secretServerKey) =>
  new StackServerApp({ baseUrl, projectId, secretServerKey: key, publishableClientKey: "pk", tokenStore: "memory" });
const client = (tokens) => new StackClientApp({ baseUrl, projectId, publishableClientKey: "pk", tokenStore: tokens });
const keyless = (tokens) => new StackClientApp({ baseUrl, projectId, tokenStore: tokens });

const claimsOf = (token) => JSON.parse(Buffer.from(token.split(".")[1], "base64url").toString());
const withClaims = (token, changes) => {
  const [header, , signature] = token.split(".");
  const claims = Buffer.from(JSON.stringify({ ...claimsOf(token), ...changes })).toString("base64url");
  return [header, claims, signature].join(".");
};
const inSeconds = (seconds) => Math.floor(Date.now() / 1000) + seconds;
const failure = async (promise) => promise.then((value) => ({ value }), (error) => ({ code: error.errorCode, message: error.message }));
const during = async (work) => {
  const before = requests.length;
  const value = await work();
  return { value, requests: requests.slice(before) };
};
const setServerClock = (aheadSeconds) => {
  const ahead = Buffer.alloc(8);
  ahead.writeBigInt64BE(BigInt(aheadSeconds) * 1_000_000_000n);
  const file = fs.openSync(CLOCK, "r+"); // the server has it in memory: it must not shrink meanwhile
  fs.writeSync(file, ahead, 0, 8, 0);
  fs.closeSync(file);
};
const shown = (sessions) => sessions.map(({ userId, isImpersonation, isCurrentSession }) => ({ userId, isImpersonation, isCurrentSession }));

const steps = {
  async users(seen) {
    const user = await server().createUser({ displayName: "Bob", primaryEmail: "bob@example.com", primaryEmailVerified: true, clientMetadata: { seats: 3 } });
    seen.created = { displayName: user.displayName, primaryEmail: user.primaryEmail, clientMetadata: user.clientMetadata, isAnonymous: user.isAnonymous };
    const again = await server().getUser(user.id);
    seen.read = { same: again.id === user.id, displayName: again.displayName };
    seen.unknown = await server().getUser("11111111-1111-4111-8111-111111111111");
    seen.wrongKey = await failure(server("wrong-key").getUser(user.id));
    return user;
  },

  async sessions(seen, user) {
    const usual = await (await user.createSession({})).getTokens();
    const short = await (await user.createSession({ expiresInMillis: 3_600_000 })).getTokens();
    const impersonation = await (await user.createSession({ expiresInMillis: 3_600_000, isImpersonation: true })).getTokens();
    seen.tokens = [usual, short, impersonation].map((tokens) => Object.keys(tokens).sort());
    const own = await client(usual).getUser();
    seen.me = { same: own.id === user.id, displayName: own.displayName };
    seen.keyless = (await keyless(short).getUser()).id === user.id;
    seen.impersonated = (await client(impersonation).getUser()).id === user.id;
    seen.byServer = (await server().getUser({ tokenStore: usual })).id === user.id;
    const request = { headers: new Headers({ "x-stack-auth": JSON.stringify(usual) }) };
    seen.byRequest = (await server().getUser({ tokenStore: request })).id === user.id;
    seen.partial = await during(async () => (await client(usual).getPartialUser({ from: "token" })).id === user.id);
    seen.listedByClient = shown(await own.getActiveSessions());
    seen.listedByServer = shown(await user.getActiveSessions());
    return { usual, short };
  },

  async refreshing(seen, user, { usual }) {
    const tokens = (accessToken) => ({ accessToken, refreshToken: usual.refreshToken });
    const whoWith = async (accessToken) => during(async () => (await client(tokens(accessToken)).getUser())?.id === user.id);
    seen.fresh = await whoWith(usual.accessToken);
    seen.expired = await whoWith(withClaims(usual.accessToken, { exp: inSeconds(-60) }));
    seen.short = await whoWith(withClaims(usual.accessToken, { exp: inSeconds(10) }));
    seen.absent = await whoWith(null);
    seen.lackingClaims = await whoWith(withClaims(usual.accessToken, { role: undefined }));
    seen.forged = await whoWith(withClaims(usual.accessToken, { sub: "11111111-1111-4111-8111-111111111111" }));
    const eight = await during(() => Promise.all(Array.from({ length: 8 }, () => client(tokens(null)).getUser())));
    seen.parallel = { same: eight.value.filter((each) => each?.id === user.id).length, refreshes: eight.requests.filter((line) => line.includes("oauth/token")) };
    seen.stillFresh = await whoWith(null);
  },

  async revoking(seen, user, { usual, short }) {
    const own = await client(usual).getUser();
    const sessions = await own.getActiveSessions();
    const current = sessions.find((session) => session.isCurrentSession);
    seen.current = await failure(own.revokeSession(current.id));
    const other = sessions.find((session) => session.id === claimsOf(short.accessToken).refresh_token_id);
    seen.other = await failure(own.revokeSession(other.id));
    seen.again = await failure(own.revokeSession(other.id));
    seen.left = shown(await own.getActiveSessions());
    seen.revokedUser = await client(short).getUser();
    const third = await (await user.createSession({})).getTokens();
    const listed = await user.getActiveSessions();
    const thirdId = claimsOf(third.accessToken).refresh_token_id;
    seen.byServer = await failure(user.revokeSession(listed.find((session) => session.id === thirdId).id));
    seen.unknownByServer = await failure(user.revokeSession("11111111-1111-4111-8111-111111111111"));
    const ended = client(third);
    seen.endedElsewhere = { user: await ended.getUser() };
  },

  async signingOut(seen, user, { usual }) {
    const app = client(usual);
    const own = await app.getUser();
    seen.signOut = await during(() => own.signOut());
    seen.after = await app.getUser();
    seen.afterByTokens = await client(usual).getUser();
    const tokens = await (await user.createSession({})).getTokens();
    const late = await client(tokens).getUser();
    await user.revokeSession(claimsOf(tokens.accessToken).refresh_token_id);
    seen.lateSignOut = await failure(during(() => late.signOut()));
  },

  async anonymous(seen) {
    const app = client("memory");
    seen.nobody = await app.getUser();
    const user = await app.getUser({ or: "anonymous" });
    seen.user = { isAnonymous: user.isAnonymous, displayName: user.displayName };
    const again = await app.getUser({ or: "anonymous" });
    seen.same = again.id === user.id;
    seen.hidden = await app.getUser();
    seen.byServer = (await server().getUser(user.id)).isAnonymous;
  },

  async deleting(seen) {
    const user = await server().createUser({});
    const tokens = await (await user.createSession({})).getTokens();
    await user.delete();
    seen.found = await server().getUser(user.id);
    seen.signedIn = await client(tokens).getUser();
    seen.createSession = await failure(user.createSession({}));
  },

  async shortSession(seen, user) {
    // The client does without an access token that lives for less than 20 seconds more.
    const tokens = await (await user.createSession({ expiresInMillis: 19_000 })).getTokens();
    seen.alive = (await client(tokens).getUser())?.id === user.id;
    seen.refreshed = (await client({ ...tokens, accessToken: null }).getUser())?.id === user.id;
    setServerClock(20);
    seen.ended = (await client({ ...tokens, accessToken: null }).getUser()) === null;
    seen.endedByToken = await client(tokens).getUser();
  },
};

(async () => {
  const seen = Object.fromEntries(Object.keys(steps).map((name) => [name, {}]));
  try {
    const user = await steps.users(seen.users);
    const tokens = await steps.sessions(seen.sessions, user);
    await steps.refreshing(seen.refreshing, user, tokens);
    await steps.revoking(seen.revoking, user, tokens);
    await steps.signingOut(seen.signingOut, user, tokens);
    await steps.anonymous(seen.anonymous);
    await steps.deleting(seen.deleting);
    await steps.shortSession(seen.shortSession, user);
  } catch (error) {
    seen.error = `${error.stack}`;
  }
  console.log(`RESULT ${JSON.stringify({ ...seen, requests })}`);
  process.exit(0);
})();
