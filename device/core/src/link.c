/* Frames, sessions and the kept reply of the fitting link. */
#include "link.h"

#include "bytes.h"
#include "cobs.h"
#include "crc32.h"

enum {
    REQUEST = 0x51,
    REPLY = 0x52,
    CRC_BYTES = 4,
    SHORTEST_BODY = NA_HEAD_BYTES + CRC_BYTES
};

_Static_assert(sizeof(neuroamp_link) <= NEUROAMP_LINK_BYTES, "NEUROAMP_LINK_BYTES is too small");
_Static_assert(NA_BODY_BYTES + 3 == NEUROAMP_LINK_FRAME_BYTES, "zero, code, body, zero");

size_t neuroamp_link_size(void) { return sizeof(neuroamp_link); }

neuroamp_status neuroamp_link_init(void *memory, size_t memory_bytes,
                                   const neuroamp_link_device *device, neuroamp_settings *settings,
                                   neuroamp_link **link) {
    if (memory == NULL || (uintptr_t)memory % NEUROAMP_ALIGNMENT != 0 || device == NULL ||
        settings == NULL || link == NULL) {
        return NEUROAMP_BAD_ARGUMENT;
    }
    if (memory_bytes < sizeof(neuroamp_link)) {
        return NEUROAMP_TOO_LITTLE_MEMORY;
    }
    neuroamp_link *made = memory;
    memset(made, 0, sizeof *made);
    made->device = device;
    made->settings = settings;
    na_link_start(made);
    *link = made;
    return NEUROAMP_OK;
}

void neuroamp_link_log(neuroamp_link *link, unsigned event, unsigned ears, uint32_t argument) {
    na_event *entry = &link->events[link->next_event % NA_EVENTS];
    entry->ms = link->device->now_ms(link->device->context);
    entry->code = (uint16_t)event;
    entry->ears = (uint8_t)ears;
    entry->argument = argument;
    link->next_event++;
}

void neuroamp_link_poll(neuroamp_link *link) { na_link_end_trials(link); }

static void send_body(const neuroamp_link *link, const uint8_t *body, size_t bytes) {
    uint8_t wire[NEUROAMP_LINK_FRAME_BYTES];
    wire[0] = 0;
    const size_t encoded = na_cobs_encode(body, bytes, wire + 1);
    wire[1 + encoded] = 0;
    link->device->send(link->device->context, wire, encoded + 2);
}

/* Makes the reply of `request` in `body`, whose answer is already in its place; returns its length. */
static uint8_t finish_reply(const uint8_t *request, na_reply_status status,
                            const na_exchange *exchange, uint8_t *body) {
    size_t bytes = NA_HEAD_BYTES + 2;
    memcpy(body, request, NA_HEAD_BYTES);
    body[0] = REPLY;
    body[NA_HEAD_BYTES] = (uint8_t)status;
    body[NA_HEAD_BYTES + 1] = exchange->field;
    if (status == NA_REPLY_OK) {
        bytes += exchange->out_bytes;
    } else {
        body[bytes++] = exchange->index;
    }
    na_write_u32(body + bytes, na_crc32(0, body, bytes));
    return (uint8_t)(bytes + CRC_BYTES);
}

/* A session begins, of which this greeting's reply is the first that is kept. */
static void begin_session(neuroamp_link *link, uint32_t session, const uint8_t *body,
                          uint8_t bytes) {
    link->session_before = link->session;
    link->session = session;
    link->last_sequence = 0;
    memcpy(link->kept, body, bytes);
    link->kept_bytes = bytes;
    link->times_ear = 0;
    na_link_drop_staged(link);
}

/* A request whose frame was whole. */
static void take_request(neuroamp_link *link, const uint8_t *request, size_t bytes) {
    uint8_t body[NA_BODY_BYTES];
    const uint8_t command = request[1];
    na_exchange exchange = {0};
    exchange.in = request + NA_HEAD_BYTES;
    exchange.bytes = bytes - NA_HEAD_BYTES;
    exchange.out = body + NA_HEAD_BYTES + 2;
    exchange.sequence = na_read_u16(request + 2);
    exchange.session = na_read_u32(request + 4);
    const int is_ours = exchange.session != 0 && exchange.session == link->session;
    if (command == NA_COMMAND_PANIC) {
        const na_reply_status status = na_link_run(link, command, &exchange);
        send_body(link, body, finish_reply(request, status, &exchange, body));
    } else if (!is_ours && command == NA_COMMAND_HELLO) {
        if (exchange.session != 0 && exchange.session == link->session_before) {
            return; /* a late copy */
        }
        const na_reply_status status = na_link_run(link, command, &exchange);
        const uint8_t length = finish_reply(request, status, &exchange, body);
        if (status == NA_REPLY_OK) {
            begin_session(link, exchange.session, body, length);
        }
        send_body(link, body, length);
    } else if (!is_ours) {
        send_body(link, body, finish_reply(request, NA_REPLY_NO_SESSION, &exchange, body));
    } else if (exchange.sequence > link->last_sequence) {
        const na_reply_status status = na_link_run(link, command, &exchange);
        link->kept_bytes = finish_reply(request, status, &exchange, body);
        memcpy(link->kept, body, link->kept_bytes);
        link->last_sequence = exchange.sequence;
        send_body(link, link->kept, link->kept_bytes);
    } else if (exchange.sequence == link->last_sequence) {
        link->repeats++;
        send_body(link, link->kept, link->kept_bytes);
    } /* else a late copy of an older request */
}

/* What stood between two zeros. */
static void take_frame(neuroamp_link *link) {
    uint8_t *body = link->incoming;
    const size_t bytes = link->is_too_long ? 0 : na_cobs_decode(body, link->incoming_bytes);
    if (bytes < SHORTEST_BODY || body[0] != REQUEST ||
        na_read_u32(body + bytes - CRC_BYTES) != na_crc32(0, body, bytes - CRC_BYTES)) {
        link->dropped_frames++;
        return;
    }
    link->good_frames++;
    take_request(link, body, bytes - CRC_BYTES);
}

void neuroamp_link_receive(neuroamp_link *link, const uint8_t *bytes, size_t count) {
    na_link_end_trials(link);
    for (size_t i = 0; i < count; i++) {
        if (bytes[i] != 0) {
            if (link->incoming_bytes < sizeof link->incoming) {
                link->incoming[link->incoming_bytes++] = bytes[i];
            } else {
                link->is_too_long = 1;
            }
        } else if (link->incoming_bytes > 0) {
            take_frame(link);
            link->incoming_bytes = 0;
            link->is_too_long = 0;
        }
    }
}
