/** What a board says of itself: pure. Its messages go in; what there is to say to a visitor comes out. */

const READINGS_KEPT = 120;

/** A board that has said nothing. */
export const unheard = () => ({
  state: null,
  info: null,
  telemetry: null,
  governor: null,
  throttled: false,
  load: null,
  readings: [],
});

/** The board after a message on one of its topics. kind: the topic's last level; body: its JSON, or null. */
export function boardSays(board, kind, body) {
  const change = { status: onStatus, info: onInfo, telemetry: onTelemetry, event: onEvent, load: onLoad }[kind];
  return change && body ? { ...board, ...change(board, body) } : board;
}

const onStatus = (_board, { state, governor = null }) => ({ state, governor });
const onLoad = (_board, load) => ({ load });
const onInfo = (_board, info) => ({ info });

function onTelemetry(board, telemetry) {
  const { thermal, memory, inference = {}, governor, processes, time } = telemetry;
  const used = memory?.total_bytes ? memory.total_bytes - (memory.available_bytes ?? 0) : null;
  const reading = {
    time,
    temperature: thermal?.hottest_celsius ?? null,
    queue: inference.queue_length ?? null,
    speed: inference.decode_tokens_per_second ?? null,
    memory: used ?? processes?.engine?.pss_bytes ?? null,
  };
  const readings = [...board.readings, reading].slice(-READINGS_KEPT);
  return { telemetry, governor: governor?.state ?? board.governor, readings };
}

function onEvent(board, { event, state, is_on: isOn }) {
  if (event === "governor") return { governor: state };
  if (event === "throttled") return { throttled: Boolean(isOn) };
  return {};
}

/**
 * What is to be said, as a key of the words. line: "connecting" before the first try ended, "up", "lost" or "refused";
 * isKnown: whether the board has had the time to say its state.
 */
export function stateKey(board, line, isKnown) {
  if (line === "refused") return "state_refused_login";
  if (line === "lost") return "state_no_broker";
  if (line === "connecting" || (board.state === null && !isKnown)) return "state_connecting";
  const states = { loading: "state_loading", unloaded: "state_unloaded", stopping: "state_stopping" };
  if (states[board.state]) return states[board.state];
  if (board.state !== "online") return "state_offline";
  return isHot(board) ? "state_hot" : "state_online";
}

const isHot = ({ governor, throttled, load }) => governor === "slowed" || throttled || load?.reason === "hot";

/** Whether the board sees pictures. */
export const sees = ({ info }) => Boolean(info?.capabilities?.includes("vision"));
