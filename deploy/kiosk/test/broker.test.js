import assert from "node:assert/strict";
import { once } from "node:events";
import { after, test } from "node:test";
import { generate, parser } from "mqtt-packet";
import { WebSocket, WebSocketServer } from "ws";
import { Line } from "../source/broker.js";

globalThis.WebSocket = WebSocket;
const MQTT5 = { protocolVersion: 5 };
const servers = [];
after(() => servers.forEach((server) => server.close()));

/** A broker that answers as it must, but for what a test has it say instead. Returns its address and what it was sent. */
async function broker(answers = {}) {
  const server = new WebSocketServer({ port: 0, host: "127.0.0.1", handleProtocols: () => "mqtt" });
  const sent = [];
  const usual = {
    connect: () => ({ cmd: "connack", reasonCode: 0, sessionPresent: false }),
    subscribe: ({ messageId, subscriptions }) => ({ cmd: "suback", messageId, granted: subscriptions.map(() => 1) }),
    publish: ({ messageId }) => ({ cmd: "puback", messageId, reasonCode: 0 }),
    ...answers,
  };
  server.on("connection", (socket) => {
    const reading = parser(MQTT5);
    reading.on("packet", (packet) => {
      sent.push({ ...packet, socket });
      const answer = usual[packet.cmd]?.(packet);
      if (answer) socket.send(generate(answer, MQTT5));
    });
    socket.on("message", (data) => reading.parse(data));
  });
  servers.push(server);
  await once(server, "listening");
  return { url: `ws://127.0.0.1:${server.address().port}/`, sent, server };
}

/** A line, and a promise of what it says next. */
function line(address, topics = ["answers/me/tab", "edge/demo/status"]) {
  const said = [];
  const waiting = [];
  const say = (...what) => (waiting.length ? waiting.shift()(what) : said.push(what));
  const heard = { up: () => say("up"), down: (why) => say("down", why), message: (...it) => say("message", ...it) };
  const next = () => (said.length ? Promise.resolve(said.shift()) : new Promise((resolve) => waiting.push(resolve)));
  const opened = new Line({ username: null, password: null, ...address }, topics, heard);
  return { opened, next };
}

test("it is up once its topics are granted, and reads and publishes with QoS 1", async () => {
  const { url, sent } = await broker();
  const { opened, next } = line({ url, username: "me", password: "secret" });
  assert.equal(opened.publish("early", "x"), false);
  assert.deepEqual(await next(), ["up"]);
  const [connect, ...subscribes] = sent;
  assert.deepEqual([connect.protocolVersion, connect.clean, connect.username], [5, true, "me"]);
  const read = subscribes.flatMap(({ subscriptions }) => subscriptions.map(({ topic, qos }) => [topic, qos]));
  assert.deepEqual(read, [
    ["answers/me/tab", 1],
    ["edge/demo/status", 1],
  ]);
  await new Promise((taken) =>
    opened.publish("edge/demo/request/me", "{}", { responseTopic: "answers/me/tab" }, taken),
  );
  const { topic, qos, properties } = sent.at(-1);
  assert.deepEqual([topic, qos, properties.responseTopic], ["edge/demo/request/me", 1, "answers/me/tab"]);
  connect.socket.send(generate({ cmd: "publish", topic: "answers/me/tab", payload: "hello", qos: 0 }, MQTT5));
  assert.deepEqual(await next(), ["message", "answers/me/tab", "hello"]);
  opened.close();
});

test("a connection that breaks comes back by itself, under another client id", async () => {
  const { url, sent } = await broker();
  const { opened, next } = line({ url });
  assert.deepEqual(await next(), ["up"]);
  sent[0].socket.terminate();
  assert.deepEqual(await next(), ["down", "lost"]);
  assert.equal(opened.publish("topic", "x"), false);
  assert.deepEqual(await next(), ["up"]);
  const [first, second] = sent.filter(({ cmd }) => cmd === "connect");
  assert.notEqual(first.clientId, second.clientId);
  opened.close();
});

test("a wrong password is told as such, and without its answers there is no connection", async () => {
  const refusing = await broker({ connect: () => ({ cmd: "connack", reasonCode: 0x86, sessionPresent: false }) });
  const stranger = line(refusing);
  assert.deepEqual(await stranger.next(), ["down", "refused"]);
  stranger.opened.close();
  const denying = await broker({ subscribe: ({ messageId }) => ({ cmd: "suback", messageId, granted: [0x87] }) });
  const reader = line(denying);
  assert.deepEqual(await reader.next(), ["down", "lost"]);
  reader.opened.close();
});

test("what it may not know of the board keeps nobody from asking", async () => {
  const isOwn = ({ subscriptions: [{ topic }] }) => topic.startsWith("answers/");
  const subscribe = (packet) => ({ cmd: "suback", messageId: packet.messageId, granted: [isOwn(packet) ? 1 : 0x87] });
  const { opened, next } = line(await broker({ subscribe }));
  assert.deepEqual(await next(), ["up"]);
  opened.close();
});

test("nobody there is told, and tried again", async () => {
  const { url, server } = await broker();
  await new Promise((closed) => server.close(closed));
  const { opened, next } = line({ url });
  assert.deepEqual(await next(), ["down", "lost"]);
  assert.deepEqual(await next(), ["down", "lost"]);
  opened.close();
});

test("what is closed says goodbye, and nothing more", async () => {
  const { url, sent } = await broker();
  const { opened, next } = line({ url });
  await next();
  opened.publish("edge/demo/forget/me", "{}");
  opened.close();
  await once(sent[0].socket, "close");
  assert.deepEqual(
    sent.slice(3).map(({ cmd }) => cmd),
    ["publish", "disconnect"],
  );
});
