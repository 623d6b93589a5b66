/* Reads messages with docs/examples/c/edge_answer.h as a program under test: on standard input, for each, a line
 * `LENGTH PIECE` and its bytes, which are fed PIECE at a time. On standard output, for each, a line: how it ended, the
 * code, the state, the bytes shown by it in hex, and why in hex.
 */
#include "edge_answer.h"

static void show(void *context, const char *bytes, size_t count) {
    (void)context;
    for (size_t i = 0; i < count; i++) printf("%02x", (uint8_t)bytes[i]);
}

int main(void) {
    struct edge_answer answer;
    size_t length, piece;
    edge_answer_init(&answer, "q1", show, NULL);
    while (scanf("%zu %zu", &length, &piece) == 2 && getchar() == '\n') {
        char *bytes = malloc(length ? length : 1);
        if (!bytes || fread(bytes, 1, length, stdin) != length) return 1;
        putchar('x');
        edge_answer_begin(&answer);
        for (size_t at = 0; at < length; at += piece)
            edge_answer_feed(&answer, bytes + at, length - at < piece ? length - at : piece);
        int heard = edge_answer_finish(&answer);
        printf(" %d %d x%s x", heard, answer.code, heard == EDGE_STATUS ? answer.state : "");
        for (const char *c = answer.message; *c; c++) printf("%02x", (uint8_t)*c);
        putchar('\n');
        free(bytes);
    }
    return 0;
}
