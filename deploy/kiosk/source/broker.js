/**
 * The one file that knows MQTT's client. Each connection has a client of its own, so nothing of an earlier one stays.
 */
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

/** A connection to the broker, kept until `close`. */
export class Line {
  #client = null;
  #isClosed = false;
  #tries = 0;
  #timer = 0;
  /** Whether it is connected and may read what it wants to. */
  isUp = false;

  /**
   * @param {{url: string, username: ?string, password: ?string}} address
   * @param {string[]} topics read with QoS 1; the first must be granted, the others are read where they may be
   * @param {object} heard what is called: `up()`, `down("lost" or "refused")`, `message(topic, text)`
   *   up: once the broker has answered for the topics; down: with each try that failed, too
   */
  constructor(address, topics, heard) {
    Object.assign(this, { address, topics, heard });
    this.#begin();
  }

  /** Try at once, where it waits to try again. */
  hurry() {
    if (!this.#client && !this.#isClosed) this.#begin();
  }

  /** Publish with QoS 1; false where there is no connection. taken: called once the broker has it. */
  publish(topic, payload, properties = {}, taken = () => {}) {
    if (!this.isUp) return false;
    this.#client.publish(topic, payload, { qos: 1, properties }, (error) => error || taken());
    return true;
  }

  /** End for good; what was published before goes out first, as far as that takes no long. */
  close() {
    const client = this.#client;
    this.#isClosed = true;
    clearTimeout(this.#timer);
    client?.end(!this.isUp);
    setTimeout(() => client?.end(true), ENDING_MS);
    this.#client = null;
    this.isUp = false;
  }

  #begin() {
    clearTimeout(this.#timer);
    const client = dial(this.address);
    this.#client = client;
    const on = (event, act) => client.on(event, (...what) => client === this.#client && act(...what));
    on("connect", () => this.#read(this.topics.slice(0, 1), (error) => this.#granted(error)));
    on("message", (topic, payload) => this.heard.message(topic, payload.toString()));
    on("error", ({ code }) => this.#lost(LOGIN_REFUSED.includes(code) ? "refused" : "lost"));
    on("close", () => this.#lost("lost"));
  }

  /** Subscribe; `next` is called with what is wrong or null, if the connection is still this one. */
  #read(topics, next) {
    const client = this.#client;
    client.subscribe(topics, { qos: 1 }, (error) => client === this.#client && next(error));
  }

  #granted(error) {
    if (error) this.#lost("lost");
    else this.#read(this.topics.slice(1), () => this.#ready());
  }

  #ready() {
    this.isUp = true;
    this.#tries = 0;
    this.heard.up();
  }

  #lost(why) {
    const client = this.#client;
    this.#client = null;
    this.isUp = false;
    client.end(true);
    const pause = why === "refused" ? REFUSED_RETRY_MS : RETRY_MS[Math.min(this.#tries++, RETRY_MS.length - 1)];
    this.#timer = setTimeout(() => this.#begin(), pause);
    this.heard.down(why);
  }
}
