/* Ask a board one question and print its answer as it comes. MQTT 3.1.1; ESP-IDF 5 and its component mqtt.
 *
 * Put edge_answer.h (docs/examples/c) beside this file. `idf.py menuconfig` has the WiFi's name and password where
 * protocol_examples_common asks for them. With TLS: "mqtts://broker.lan", .broker.verification.certificate.
 */
#include <inttypes.h>

#include "edge_answer.h"
#include "esp_event.h"
#include "esp_netif.h"
#include "esp_random.h"
#include "freertos/FreeRTOS.h"
#include "freertos/event_groups.h"
#include "mqtt_client.h"
#include "nvs_flash.h"
#include "protocol_examples_common.h"

#define BROKER "mqtt://broker.lan"
#define REPLY "edge/demo/reply/me"
#define STATUS "edge/demo/status"
#define REQUEST "edge/demo/request/me"
#define DEADLINE_MS 60000

enum { KNOWN = BIT0, OVER = BIT1 };

static struct edge_answer answer;
static char id[17], request[512];
static size_t request_length;
static int is_asked;
static EventGroupHandle_t told;

static void show(void *context, const char *bytes, size_t count) {
    (void)context;
    fwrite(bytes, 1, count, stdout);
    fflush(stdout);
}

/* The same each time: with the same id it is answered once. It waits in the outbox, so nothing blocks here. */
static void publish(esp_mqtt_client_handle_t client) {
    esp_mqtt_client_enqueue(client, REQUEST, request, (int)request_length, 1, 0, true);
    is_asked = 1;
}

static void on_heard(esp_mqtt_client_handle_t client, enum edge_heard heard) {
    if (heard == EDGE_STATUS) { /* retained, so it comes at each connect */
        xEventGroupSetBits(told, KNOWN);
        if (edge_can_be_asked(&answer)) publish(client);
        else if (!is_asked) printf("the board is %s\n", answer.state);
        if (!is_asked) xEventGroupSetBits(told, OVER);
    } else if (heard == EDGE_AGAIN) {
        putchar('\n');
        publish(client);
    } else if (heard == EDGE_REPLY) {
        printf("\n%d %s\n", answer.code, answer.message);
        xEventGroupSetBits(told, OVER);
    }
}

static void on_event(void *context, esp_event_base_t base, int32_t event_id, void *data) {
    esp_mqtt_event_handle_t event = data;
    (void)context;
    (void)base;
    if (event_id == MQTT_EVENT_CONNECTED) { /* the answers first: who hears the status will hear the answer */
        esp_mqtt_client_subscribe_single(event->client, REPLY, 1);
        esp_mqtt_client_subscribe_single(event->client, STATUS, 1);
    } else if (event_id == MQTT_EVENT_DATA) { /* a message that is larger than the buffer comes in pieces */
        if (event->current_data_offset == 0) edge_answer_begin(&answer);
        edge_answer_feed(&answer, event->data, (size_t)event->data_len);
        if (event->current_data_offset + event->data_len >= event->total_data_len)
            on_heard(event->client, edge_answer_finish(&answer));
    }
}

void app_main(void) {
    ESP_ERROR_CHECK(nvs_flash_init());
    ESP_ERROR_CHECK(esp_netif_init());
    ESP_ERROR_CHECK(esp_event_loop_create_default());
    ESP_ERROR_CHECK(example_connect());

    told = xEventGroupCreate();
    snprintf(id, sizeof id, "%08" PRIx32 "%08" PRIx32, esp_random(), esp_random());
    request_length = edge_request(request, sizeof request, id, "What does error E42 mean?", 128, DEADLINE_MS);
    edge_answer_init(&answer, id, show, NULL);

    esp_mqtt_client_config_t config = {.broker.address.uri = BROKER};
    esp_mqtt_client_handle_t client = esp_mqtt_client_init(&config);
    esp_mqtt_client_register_event(client, MQTT_EVENT_ANY, on_event, NULL);
    esp_mqtt_client_start(client);

    if (!(xEventGroupWaitBits(told, KNOWN | OVER, pdFALSE, pdFALSE, pdMS_TO_TICKS(15000))))
        printf("no word of such a board, or no broker that takes us\n");
    else if (!(xEventGroupWaitBits(told, OVER, pdFALSE, pdFALSE, pdMS_TO_TICKS(DEADLINE_MS + 5000)) & OVER))
        printf("\nno answer in time\n");
    esp_mqtt_client_stop(client);
    esp_mqtt_client_destroy(client);
}
