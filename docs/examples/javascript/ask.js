// Ask a board one question and print its answer as it comes. MQTT 5; `npm install` in this folder brings mqtt.js.
//
//     MQTT_HOST=broker.lan BOARD=pi node ask.js 'What does error E42 mean?'
//
// MQTT_PORT, MQTT_USER, MQTT_PASSWORD and MQTT_CA (which asks for TLS) are taken from the environment, too.
import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import mqtt from "mqtt";

const { MQTT_HOST: host = "127.0.0.1", MQTT_PORT: port = "1883", MQTT_USER: username, MQTT_PASSWORD: password } = process.env;
const { MQTT_CA: ca, BOARD: board = "demo", ME: me = username ?? "me", DEADLINE_SECONDS: seconds = "60" } = process.env;
const topics = { reply: `edge/${board}/reply/${me}`, status: `edge/${board}/status` };

if (process.argv.length !== 3) {
  console.error("usage: ask.js QUESTION");
  process.exit(2);
}
const id = randomUUID();
const request = { prompt: process.argv[2], id, max_tokens: 256, deadline_ms: Math.round(seconds * 1000) };
let printed = "";
let nextIndex = 0;
let isAsked = false;
let isKnown = false;

const client = mqtt.connect({
  protocol: ca ? "mqtts" : "mqtt", host, port: Number(port), ca: ca && readFileSync(ca),
  username, password, protocolVersion: 5, reconnectPeriod: 1000, resubscribe: false,
});

function end(exitStatus, why) {
  if (why) console.error(`ask: ${why}`);
  process.exitCode = exitStatus;
  client.end();
  clearTimeout(deadline);
  clearTimeout(silence);
}

const deadline = setTimeout(() => end(4, "no answer in time"), (Number(seconds) + 5) * 1000);
const silence = setTimeout(() => isKnown || end(69, `no word of a board named ${board}`), 5000);

// At each connect, the first and the later ones. Both topics in one SUBSCRIBE, the answers first: who hears the status,
// which is retained, will hear the answer. The same request, with the same id, is answered once.
client.on("connect", () => client.subscribe([topics.reply, topics.status], { qos: 1 }));
client.on("error", (error) => isKnown || end(69, `no broker at ${host}:${port} that takes us: ${error.message || error.code}`));
client.on("message", (topic, payload) => {
  let said;
  try {
    said = JSON.parse(payload);
  } catch {
    return;
  }
  if (topic === topics.status) onStatus(said);
  else if (said?.id === id && said.type === "delta") onDelta(said);
  else if (said?.id === id && said.type === "reply") onReply(said);
});

function onStatus(said) {
  isKnown = true;
  if (["online", "loading", "unloaded"].includes(said?.state)) {
    client.publish(`edge/${board}/request/${me}`, JSON.stringify(request), { qos: 1 });
    isAsked = true;
  } else if (!isAsked) end(69, `the board is ${said?.state}`);
  // One that goes away in the middle comes back and begins the answer again.
}

function onDelta(said) {
  if (said.index !== nextIndex) return; // a piece was lost: the reply has them all
  process.stdout.write(said.text);
  printed += said.text;
  nextIndex += 1;
}

function onReply(said) {
  const isMore = said.text.startsWith(printed) || said.text === ""; // else the board has begun anew
  process.stdout.write(isMore ? `${said.text.slice(printed.length)}\n` : `\n${said.text}\n`);
  if (said.code === 200) end(0);
  else end(said.code === 408 ? 4 : 1, `${said.code} ${said.error.message}`);
}

process.once("SIGINT", () => client.publish(`edge/${board}/cancel/${me}`, id, { qos: 1 }, () => end(130, "cancelled")));
