// Ask a board one question and print its answer as it comes. MQTT 3.1.1; the library ArduinoMqttClient.
//
// Put edge_answer.h (docs/examples/c) beside this file. For boards with WiFi: ESP32 as it is; for others change the
// first include (WiFiNINA.h, WiFiS3.h). For TLS take WiFiClientSecure, port 8883 and network.setCACert(…).
//
// Why not PubSubClient: it needs a buffer for a whole message (256 bytes unless setBufferSize() says more), drops what is
// larger without a word, and publishes with QoS 0. Here a message of any length goes through in pieces.
#include <WiFi.h>
#include <ArduinoMqttClient.h>
#include "edge_answer.h"

const char WIFI[] = "name", WIFI_PASSWORD[] = "password";
const char BROKER[] = "broker.lan", USER[] = "", PASSWORD[] = "";
const char REPLY[] = "edge/demo/reply/me", STATUS[] = "edge/demo/status", REQUEST[] = "edge/demo/request/me";
const char QUESTION[] = "What does error E42 mean?";
const long DEADLINE_MS = 60000;

WiFiClient network;
MqttClient mqtt(network);
edge_answer answer;
char id[17], request[512];
size_t requestLength;
unsigned long begun;
bool isKnown, isAsked, isToBeAsked, isOver;

void show(void *, const char *bytes, size_t count) { Serial.write((const uint8_t *)bytes, count); }

void end(const char *why) {
  Serial.println();
  Serial.println(why);
  isOver = true;
}

// A message has come: it is read off the network as it is, whatever its length. (Publishing waits until loop().)
void onMessage(int) {
  edge_answer_begin(&answer);
  for (int byte; mqtt.available() && (byte = mqtt.read()) >= 0;) {
    char one = (char)byte;
    edge_answer_feed(&answer, &one, 1);
  }
  if (isOver) return;
  switch (edge_answer_finish(&answer)) {
    case EDGE_STATUS:  // retained, so it comes at each connect
      isKnown = true;
      if (edge_can_be_asked(&answer)) isToBeAsked = true;
      else if (!isAsked) end("the board is not there");
      break;
    case EDGE_AGAIN:
      Serial.println();
      isToBeAsked = true;
      break;
    case EDGE_REPLY: {
      char why[sizeof answer.message + 8];
      snprintf(why, sizeof why, "%d %s", answer.code, answer.message);
      end(why);
      break;
    }
    case EDGE_NOTHING: break;  // of others, or of a type that is not known
  }
}

// The answers first: who hears the status, which is retained, will hear the answer.
void connectAgain() {
  if (WiFi.status() != WL_CONNECTED || !mqtt.connect(BROKER, 1883)) {
    delay(1000);
    return;
  }
  mqtt.subscribe(REPLY, 1);
  mqtt.subscribe(STATUS, 1);
}

void setup() {
  Serial.begin(115200);
  WiFi.begin(WIFI, WIFI_PASSWORD);
  randomSeed(micros());  // an id that no other request of the last hour has
  snprintf(id, sizeof id, "%08lx%08lx", (unsigned long)random(0x7FFFFFFF), (unsigned long)micros());
  requestLength = edge_request(request, sizeof request, id, QUESTION, 128, DEADLINE_MS);
  edge_answer_init(&answer, id, show, nullptr);
  mqtt.onMessage(onMessage);
  mqtt.setId(id);
  if (USER[0]) mqtt.setUsernamePassword(USER, PASSWORD);
  begun = millis();
}

void loop() {
  if (isOver) return;
  if (!mqtt.connected()) connectAgain();
  mqtt.poll();
  if (isToBeAsked) {  // the same each time: with the same id it is answered once
    isToBeAsked = false;
    isAsked = true;
    mqtt.beginMessage(REQUEST, requestLength, false, 1);
    mqtt.write((const uint8_t *)request, requestLength);
    if (!mqtt.endMessage()) mqtt.stop();  // no PUBACK: connect anew
  }
  if (millis() - begun > 15000 && !isKnown) end("no word of such a board, or no broker that takes us");
  if (millis() - begun > (unsigned long)DEADLINE_MS + 5000) end("no answer in time");
}
