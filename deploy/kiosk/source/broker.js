/** The one file that knows MQTT's client. Each connection has a client of its own, so nothing of an earlier one stays. */
import mqtt from "mqtt/lib/client";
import { browserStreamBuilder } from "mqtt/lib/connect/ws";
import { randomName } from "./names.js";

const MqttClient = mqtt.default;
const RETRY_MS = [500, 1000, 2000, 4000, 5000];
const REFUSED_RETRY_MS = 15_000;
const LOGIN_REFUSED = [0x86, 0x87, 4, 5];
const ENDING_MS = 1500;

function dial({ url, username, password }) {
  const { protocol, hostname, port, pathname } = new URL(url);
  const options = {
    protocol: protocol.replace(":", ""),
    hostname,
    port: port || undefined,
    path: pathname,
    protocolId: "MQTT",
    protocolVersion: 5,
    clientId: `kiosk-${randomName()}`,
    username: username ?? undefined,
    password: password ?? undefined,
    clean: true,
    keepalive: 15,
    connectTimeout: 10_000,
    reconnectPeriod: 0,
    timerVariant: "native",
  };
  return new MqttClient((client) => browserStreamBuilder(client, options), options);
}

/**
 * Keep a connection to the broker until `close`.
 * @param {{url: string, username: ?string, password: ?string}} address
 * @param {string[]} topics read with QoS 1; none is taken as readable before the broker has granted them
 * @param {{up: () => void, down: (why: "lost" | "refused") => void, message: (topic: string, text: string) => void}} heard
 */
export function openLine(address, topics, heard) {
  let client = null;
  let isUp = false;
  let isClosed = false;
  let tries = 0;
  let timer = 0;

  function lost(why) {
    if (isClosed || !client) return;
    client.end(true);
    client = null;
    isUp = false;
    heard.down(why);
    timer = setTimeout(begin, why === "refused" ? REFUSED_RETRY_MS : RETRY_MS[Math.min(tries++, RETRY_MS.length - 1)]);
  }

  function begin() {
    clearTimeout(timer);
    const own = dial(address);
    client = own;
    own.on("connect", () => own.subscribe(topics, { qos: 1 }, (error) => (error ? lost("lost") : granted(own))));
    own.on("message", (topic, payload) => own === client && heard.message(topic, payload.toString()));
    own.on("error", (error) => own === client && lost(LOGIN_REFUSED.includes(error.code) ? "refused" : "lost"));
    own.on("close", () => own === client && lost("lost"));
  }

  function granted(own) {
    if (own !== client) return;
    isUp = true;
    tries = 0;
    heard.up();
  }

  begin();
  return {
    isUp: () => isUp,
    /** Try at once, where it waits to try again. */
    hurry: () => !client && !isClosed && begin(),
    /** Publish with QoS 1; false where there is no connection. `taken` is called once the broker has it. */
    publish(topic, payload, properties = {}, taken = () => {}) {
      if (!isUp) return false;
      client.publish(topic, payload, { qos: 1, properties }, (error) => error || taken());
      return true;
    },
    /** End for good; what was published before goes out first, as far as that takes no long. */
    close() {
      isClosed = true;
      clearTimeout(timer);
      const own = client;
      client = null;
      own?.end(!isUp);
      setTimeout(() => own?.end(true), ENDING_MS);
      isUp = false;
    },
  };
}
