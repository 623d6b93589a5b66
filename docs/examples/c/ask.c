/* Ask a board one question and print its answer as it comes. MQTT 5; libmosquitto.
 *
 *     sudo apt install gcc libmosquitto-dev
 *     cc -O2 -Wall -Wextra -o ask ask.c -lmosquitto
 *     MQTT_HOST=broker.lan BOARD=pi ./ask 'What does error E42 mean?'
 *
 * MQTT_PORT, MQTT_USER, MQTT_PASSWORD and MQTT_CA (which asks for TLS) are taken from the environment, too.
 */
#define _POSIX_C_SOURCE 200809L
#include "edge_answer.h"

#include <mosquitto.h>
#include <mqtt_protocol.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

enum { OK = 0, REFUSED = 1, USAGE = 2, OUT_OF_TIME = 4, UNAVAILABLE = 69, INTERRUPTED = 130, GOING_ON = -1 };

struct question {
    char id[17], request[8192], reply_topic[160], status_topic[160], request_topic[160], cancel_topic[160];
    int request_length, exit_status, is_known, is_asked, is_refused;
    struct edge_answer answer;
};

static volatile sig_atomic_t is_interrupted;

static void on_signal(int number) {
    (void)number;
    is_interrupted = 1;
}

static const char *setting(const char *name, const char *otherwise) {
    const char *value = getenv(name);
    return value && *value ? value : otherwise;
}

static int end(struct question *q, int exit_status, const char *why) {
    if (why) fprintf(stderr, "ask: %s\n", why);
    return q->exit_status = exit_status;
}

static void show(void *context, const char *bytes, size_t count) {
    (void)context;
    fwrite(bytes, 1, count, stdout);
    fflush(stdout);
}

/* At each connect. Both topics in one SUBSCRIBE, the answers first: who hears the status will hear the answer. */
static void on_connect(struct mosquitto *client, void *context, int code) {
    struct question *q = context;
    char *topics[] = {q->reply_topic, q->status_topic};
    if (code) {
        q->is_refused = 1;
        end(q, UNAVAILABLE, mosquitto_reason_string(code));
    } else {
        mosquitto_subscribe_multiple(client, NULL, 2, topics, 1, 0, NULL);
    }
}

/* The same request each time: with the same id it is answered once. */
static void publish(struct mosquitto *client, struct question *q) {
    mosquitto_publish(client, NULL, q->request_topic, q->request_length, q->request, 1, false);
    q->is_asked = 1;
}

/* The status is retained, so it comes at each connect. A board that goes away in the middle comes back and begins again. */
static void on_status(struct mosquitto *client, struct question *q) {
    char why[64];
    q->is_known = 1;
    snprintf(why, sizeof why, "the board is %s", q->answer.state);
    if (edge_can_be_asked(&q->answer)) publish(client, q);
    else if (!q->is_asked) end(q, UNAVAILABLE, why);
}

static void on_reply(struct question *q) {
    char why[sizeof q->answer.message + 16];
    putchar('\n');
    snprintf(why, sizeof why, "%d %s", q->answer.code, q->answer.message);
    if (q->answer.code == 200) end(q, OK, NULL);
    else end(q, q->answer.code == 408 ? OUT_OF_TIME : REFUSED, why);
}

static void on_message(struct mosquitto *client, void *context, const struct mosquitto_message *message) {
    struct question *q = context;
    if (q->exit_status != GOING_ON) return;
    edge_answer_begin(&q->answer);
    edge_answer_feed(&q->answer, message->payload, (size_t)message->payloadlen);
    switch (edge_answer_finish(&q->answer)) {
    case EDGE_STATUS: on_status(client, q); break;
    case EDGE_REPLY: on_reply(q); break;
    case EDGE_AGAIN:
        putchar('\n');
        publish(client, q);
        break;
    case EDGE_NOTHING: break;
    }
}

static int prepare(struct question *q, const char *prompt, long seconds) {
    const char *board = setting("BOARD", "demo"), *me = setting("ME", setting("MQTT_USER", "me"));
    unsigned char random[8];
    FILE *source = fopen("/dev/urandom", "rb");
    if (!source || fread(random, 1, sizeof random, source) != sizeof random) return 0;
    fclose(source);
    for (size_t i = 0; i < sizeof random; i++) snprintf(q->id + 2 * i, 3, "%02x", random[i]);
    snprintf(q->request_topic, sizeof q->request_topic, "edge/%.64s/request/%.64s", board, me);
    snprintf(q->cancel_topic, sizeof q->cancel_topic, "edge/%.64s/cancel/%.64s", board, me);
    snprintf(q->reply_topic, sizeof q->reply_topic, "edge/%.64s/reply/%.64s", board, me);
    snprintf(q->status_topic, sizeof q->status_topic, "edge/%.64s/status", board);
    q->request_length = (int)edge_request(q->request, sizeof q->request, q->id, prompt, 256, seconds * 1000);
    q->exit_status = GOING_ON;
    edge_answer_init(&q->answer, q->id, show, NULL);
    return q->request_length;
}

static struct mosquitto *connected(struct question *q) {
    const char *user = getenv("MQTT_USER"), *ca = getenv("MQTT_CA");
    struct mosquitto *client = mosquitto_new(NULL, true, q);
    if (!client) return NULL;
    mosquitto_int_option(client, MOSQ_OPT_PROTOCOL_VERSION, MQTT_PROTOCOL_V5);
    mosquitto_connect_callback_set(client, on_connect);
    mosquitto_message_callback_set(client, on_message);
    if (user) mosquitto_username_pw_set(client, user, getenv("MQTT_PASSWORD"));
    if (ca) mosquitto_tls_set(client, ca, NULL, NULL, NULL, NULL);
    int fault = mosquitto_connect(client, setting("MQTT_HOST", "127.0.0.1"), atoi(setting("MQTT_PORT", "1883")), 30);
    if (fault) end(q, UNAVAILABLE, fault == MOSQ_ERR_ERRNO ? "no broker answers" : mosquitto_strerror(fault));
    return client;
}

static double now_seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* Until it is answered, or cannot be any more. */
static void wait(struct mosquitto *client, struct question *q, long seconds) {
    double begun = now_seconds();
    while (q->exit_status == GOING_ON) {
        double waited = now_seconds() - begun;
        if (is_interrupted) {
            mosquitto_publish(client, NULL, q->cancel_topic, (int)strlen(q->id), q->id, 1, false);
            for (int i = 0; i < 20 && mosquitto_want_write(client); i++) mosquitto_loop(client, 50, 1);
            end(q, INTERRUPTED, "cancelled");
        } else if (waited > 5 && !q->is_known) {
            end(q, UNAVAILABLE, "no word of such a board");
        } else if (waited > (double)seconds + 5) {
            end(q, OUT_OF_TIME, "no answer in time");
        } else if (mosquitto_loop(client, 100, 1) != MOSQ_ERR_SUCCESS && !q->is_refused) {
            sleep(1);
            mosquitto_reconnect(client);
        }
    }
}

int main(int count, char **words) {
    static struct question question;
    long seconds = atol(setting("DEADLINE_SECONDS", "60"));
    if (count != 2 || seconds <= 0) return fprintf(stderr, "usage: ask QUESTION\n"), USAGE;
    if (!prepare(&question, words[1], seconds)) return end(&question, USAGE, "the question is too long");
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGINT, &action, NULL);
    mosquitto_lib_init();
    struct mosquitto *client = connected(&question);
    if (client) {
        wait(client, &question, seconds);
        mosquitto_disconnect(client);
        mosquitto_loop(client, 100, 1);
        mosquitto_destroy(client);
    }
    mosquitto_lib_cleanup();
    return question.exit_status;
}
