/* What a board says to a question, read byte by byte as it comes off the wire: C99 or C++, no heap, about 500 bytes.
 *
 * Neither a message nor an answer is ever held whole, so a microcontroller reads a reply of any length. What the board
 * promises for that: the keys of its messages come in the order of docs/wire.md, those that tell before the text.
 *
 *     struct edge_answer answer;
 *     edge_answer_init(&answer, "q1", show_piece, NULL);
 *     ... for each message on the reply or status topic:
 *     edge_answer_begin(&answer);
 *     edge_answer_feed(&answer, bytes, count);    as often as there is some of it
 *     switch (edge_answer_finish(&answer)) { ... }
 *
 * Answers of others, unknown types, text that is no JSON: EDGE_NOTHING.
 */
#ifndef EDGE_ANSWER_H
#define EDGE_ANSWER_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum edge_heard {
    EDGE_NOTHING, /* go on */
    EDGE_STATUS,  /* `state` has the board's: online, loading, unloaded, stopping, offline */
    EDGE_REPLY,   /* over: `code` is 200, or `message` says why not */
    EDGE_AGAIN    /* the board began anew and says something else: show a new line, publish the same request again */
};

struct edge_answer {
    /* Read these. */
    int code;              /* of the reply */
    char message[128];     /* why the code is not 200; cut where it is longer */
    char state[12];        /* of the board */
    unsigned long shown;   /* bytes of the answer that show() was given */
    /* The rest is the reader's own. */
    const char *id;
    void (*show)(void *context, const char *bytes, size_t count);
    void *context;
    unsigned long next_index, at; /* the delta that is due; where in a reply's text this is */
    uint32_t shown_hash, hash;    /* of what was shown; of as much of the reply's text */
    uint32_t objects;             /* a bit for each level: is it an object? */
    uint32_t code_point;
    uint16_t high;                /* the first half of a surrogate pair */
    uint8_t depth, in_error, is_bad, is_done, is_key, wants_key, is_ours, is_type, is_due, differs;
    uint8_t mode, digits, target, count, piece_count;
    char key[12], type[8], number[12], piece[32], candidate[128];
};

/* What a string's bytes are for. */
enum { EDGE_SKIP, EDGE_KEY, EDGE_TYPE, EDGE_ID, EDGE_STATE, EDGE_TEXT, EDGE_MESSAGE };
/* Where in a value the reader is. */
enum { EDGE_BETWEEN, EDGE_STRING, EDGE_ESCAPE, EDGE_UNICODE, EDGE_NUMBER };

static const uint32_t EDGE_HASH_BEGIN = 2166136261u; /* FNV-1a */

static inline uint32_t edge_hashed(uint32_t hash, char byte) { return (hash ^ (uint8_t)byte) * 16777619u; }

/* For one question. id: the request's, must stay where it is. show: gets each piece of the answer, UTF-8. */
static inline void edge_answer_init(struct edge_answer *a, const char *id,
                                    void (*show)(void *context, const char *bytes, size_t count), void *context) {
    memset(a, 0, sizeof *a);
    a->id = id;
    a->show = show;
    a->context = context;
    a->shown_hash = EDGE_HASH_BEGIN;
}

/* A message begins. */
static inline void edge_answer_begin(struct edge_answer *a) {
    a->objects = a->high = 0;
    a->depth = a->in_error = a->is_bad = a->is_done = a->is_key = a->wants_key = 0;
    a->is_ours = a->is_type = a->is_due = a->differs = 0;
    a->mode = EDGE_BETWEEN;
    a->piece_count = 0;
    a->at = 0;
    a->hash = EDGE_HASH_BEGIN;
    a->key[0] = a->type[0] = a->state[0] = a->message[0] = '\0';
    a->code = 0;
}

static inline void edge_flush_(struct edge_answer *a) {
    if (a->piece_count && a->show) a->show(a->context, a->piece, a->piece_count);
    a->piece_count = 0;
}

static inline void edge_show_(struct edge_answer *a, char byte) {
    a->shown++;
    a->shown_hash = edge_hashed(a->shown_hash, byte);
    a->piece[a->piece_count++] = byte;
    if (a->piece_count == sizeof a->piece) edge_flush_(a);
}

/* One byte of the answer's text: of the delta that is due, or of a reply behind what was shown before. */
static inline void edge_text_(struct edge_answer *a, char byte) {
    if (!a->is_ours) return;
    if (!strcmp(a->type, "delta") && a->is_due) edge_show_(a, byte);
    if (strcmp(a->type, "reply")) return;
    if (a->at < a->shown) {
        a->hash = edge_hashed(a->hash, byte);
        if (++a->at == a->shown) a->differs = a->hash != a->shown_hash;
    } else if (!a->differs) {
        a->at++;
        edge_show_(a, byte);
    }
}

/* One byte of a string, for whatever it is. */
static inline void edge_byte_(struct edge_answer *a, char byte) {
    if (a->target == EDGE_TEXT) {
        edge_text_(a, byte);
    } else if (a->target != EDGE_SKIP && a->count < sizeof a->candidate - 1) {
        a->candidate[a->count++] = byte;
    }
}

static inline void edge_utf8_(struct edge_answer *a, uint32_t point) {
    if (point < 0x80) {
        edge_byte_(a, (char)point);
    } else if (point < 0x800) {
        edge_byte_(a, (char)(0xC0 | point >> 6));
    } else if (point < 0x10000) {
        edge_byte_(a, (char)(0xE0 | point >> 12));
        edge_byte_(a, (char)(0x80 | (point >> 6 & 0x3F)));
    } else {
        edge_byte_(a, (char)(0xF0 | point >> 18));
        edge_byte_(a, (char)(0x80 | (point >> 12 & 0x3F)));
        edge_byte_(a, (char)(0x80 | (point >> 6 & 0x3F)));
    }
    if (point >= 0x80) edge_byte_(a, (char)(0x80 | (point & 0x3F)));
}

/* A \uXXXX is whole: a half of a pair waits for the other. */
static inline void edge_unit_(struct edge_answer *a, uint32_t unit) {
    if (unit >= 0xD800 && unit < 0xDC00) {
        a->high = (uint16_t)unit;
    } else if (unit >= 0xDC00 && unit < 0xE000) {
        edge_utf8_(a, a->high ? 0x10000 + ((uint32_t)(a->high - 0xD800) << 10) + (unit - 0xDC00) : 0xFFFD);
        a->high = 0;
    } else {
        edge_utf8_(a, unit);
    }
}

/* Copy what was read, as much as there is room for. */
static inline void edge_keep_(const struct edge_answer *a, char *to, size_t size) {
    size_t count = a->count < size - 1 ? a->count : size - 1;
    memcpy(to, a->candidate, count);
    to[count] = '\0';
}

static inline int edge_is_in_object_(const struct edge_answer *a) { return (int)(a->objects >> a->depth & 1); }

static inline void edge_string_begins_(struct edge_answer *a) {
    a->mode = EDGE_STRING;
    a->count = 0;
    a->is_key = a->wants_key;
    a->target = EDGE_SKIP;
    if (a->depth == 2 && a->in_error && !a->is_key && !strcmp(a->key, "message")) a->target = EDGE_MESSAGE;
    if (a->depth == 2 && a->in_error && a->is_key) a->target = EDGE_KEY;
    if (a->depth != 1) return;
    if (a->is_key) a->target = EDGE_KEY;
    else if (!strcmp(a->key, "type")) a->target = EDGE_TYPE;
    else if (!strcmp(a->key, "id")) a->target = EDGE_ID;
    else if (!strcmp(a->key, "state")) a->target = EDGE_STATE;
    else if (!strcmp(a->key, "text")) a->target = EDGE_TEXT;
}

static inline void edge_string_ends_(struct edge_answer *a) {
    a->mode = EDGE_BETWEEN;
    a->high = 0;
    if (a->target == EDGE_KEY) edge_keep_(a, a->key, sizeof a->key);
    if (a->target == EDGE_TYPE) edge_keep_(a, a->type, sizeof a->type);
    if (a->target == EDGE_STATE) edge_keep_(a, a->state, sizeof a->state);
    if (a->target == EDGE_MESSAGE) edge_keep_(a, a->message, sizeof a->message);
    if (a->target == EDGE_ID) a->is_ours = a->count == strlen(a->id) && !memcmp(a->candidate, a->id, a->count);
    if (a->target == EDGE_TEXT) edge_flush_(a);
}

static inline void edge_number_ends_(struct edge_answer *a) {
    a->number[a->count] = '\0';
    a->mode = EDGE_BETWEEN;
    if (a->depth != 1) return;
    if (!strcmp(a->key, "code")) a->code = atoi(a->number);
    if (!strcmp(a->key, "index")) a->is_due = strtoul(a->number, NULL, 10) == a->next_index;
}

static inline void edge_opens_(struct edge_answer *a, int is_object) {
    if (a->depth == 31 || a->is_done) {
        a->is_bad = 1;
        return;
    }
    if (a->depth == 1) a->in_error = is_object && !strcmp(a->key, "error");
    a->depth++;
    a->objects = (a->objects & ~(1u << a->depth)) | (uint32_t)is_object << a->depth;
    a->wants_key = (uint8_t)is_object;
}

static inline void edge_closes_(struct edge_answer *a, int is_object) {
    if (a->depth == 0 || edge_is_in_object_(a) != is_object) {
        a->is_bad = 1;
        return;
    }
    a->depth--;
    a->wants_key = 0;
    if (a->depth == 1) a->in_error = 0;
    if (a->depth == 0) a->is_done = 1;
}

/* A byte between strings and numbers. */
static inline void edge_between_(struct edge_answer *a, char byte) {
    if (byte == '{' || byte == '[') edge_opens_(a, byte == '{');
    else if (byte == '}' || byte == ']') edge_closes_(a, byte == '}');
    else if (byte == ',') a->wants_key = (uint8_t)edge_is_in_object_(a);
    else if (byte == ':') a->wants_key = 0;
    else if (a->depth == 0 && byte != ' ' && byte != '\n' && byte != '\0') a->is_bad = 1; /* no object */
    else if (byte == '"') edge_string_begins_(a);
    else if (byte == '-' || (byte >= '0' && byte <= '9')) {
        a->mode = EDGE_NUMBER;
        a->number[0] = byte;
        a->count = 1;
    }
}

static inline void edge_escaped_(struct edge_answer *a, char byte) {
    static const char names[] = "bfnrt", meanings[] = "\b\f\n\r\t";
    const char *found = byte ? strchr(names, byte) : NULL;
    a->mode = byte == 'u' ? EDGE_UNICODE : EDGE_STRING;
    a->digits = 0;
    a->code_point = 0;
    if (byte != 'u') edge_byte_(a, found ? meanings[found - names] : byte);
}

static inline void edge_unicode_(struct edge_answer *a, char byte) {
    static const char hex[] = "0123456789abcdef";
    const char *found = byte ? strchr(hex, byte >= 'A' && byte <= 'F' ? byte + 32 : byte) : NULL;
    if (!found) {
        a->is_bad = 1;
        return;
    }
    a->code_point = a->code_point << 4 | (uint32_t)(found - hex);
    if (++a->digits < 4) return;
    a->mode = EDGE_STRING;
    edge_unit_(a, a->code_point);
}

/* Some more bytes of the message. */
static inline void edge_answer_feed(struct edge_answer *a, const char *bytes, size_t count) {
    for (size_t i = 0; i < count && !a->is_bad; i++) {
        char byte = bytes[i];
        if (a->mode == EDGE_NUMBER) {
            if (strchr("+-.eE0123456789", byte) && byte) {
                if (a->count < sizeof a->number - 1) a->number[a->count++] = byte;
                continue;
            }
            edge_number_ends_(a);
        }
        if (a->mode == EDGE_BETWEEN) edge_between_(a, byte);
        else if (a->mode == EDGE_ESCAPE) edge_escaped_(a, byte);
        else if (a->mode == EDGE_UNICODE) edge_unicode_(a, byte);
        else if (byte == '\\') a->mode = EDGE_ESCAPE;
        else if (byte == '"') edge_string_ends_(a);
        else edge_byte_(a, byte);
    }
    edge_flush_(a);
}

/* The message is at its end: what it was. */
static inline enum edge_heard edge_answer_finish(struct edge_answer *a) {
    if (a->is_bad || !a->is_done) return EDGE_NOTHING;
    if (a->state[0] && !a->type[0]) return EDGE_STATUS;
    if (!a->is_ours) return EDGE_NOTHING;
    if (!strcmp(a->type, "delta") && a->is_due) a->next_index++;
    if (strcmp(a->type, "reply")) return EDGE_NOTHING;
    if (a->at && (a->differs || a->at < a->shown)) { /* a reply without text is one that was left out */
        a->shown = a->next_index = 0;
        a->shown_hash = EDGE_HASH_BEGIN;
        return EDGE_AGAIN;
    }
    return EDGE_REPLY;
}

/* Whether a board in this state takes questions. */
static inline int edge_can_be_asked(const struct edge_answer *a) {
    return !strcmp(a->state, "online") || !strcmp(a->state, "loading") || !strcmp(a->state, "unloaded");
}

/* Write the request; its length, or 0 where there is no room for it. prompt: UTF-8. */
static inline size_t edge_request(char *to, size_t size, const char *id, const char *prompt, int max_tokens,
                                  long deadline_ms) {
    int head = snprintf(to, size, "{\"id\":\"%s\",\"max_tokens\":%d,\"deadline_ms\":%ld,\"prompt\":\"", id, max_tokens,
                        deadline_ms);
    if (head < 0 || (size_t)head >= size) return 0;
    size_t at = (size_t)head;
    for (; *prompt; prompt++) {
        if (at + 9 > size) return 0; /* an escape, and the end */
        if (*prompt == '"' || *prompt == '\\') to[at++] = '\\';
        if ((uint8_t)*prompt >= 0x20) to[at++] = *prompt;
        else at += (size_t)snprintf(to + at, 7, "\\u%04x", (unsigned)(uint8_t)*prompt);
    }
    if (at + 3 > size) return 0;
    memcpy(to + at, "\"}", 3);
    return at + 2;
}

#endif
